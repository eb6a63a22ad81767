"""A backfill as a person starts one in Dagster's UI: through `dagster dev` and its GraphQL, with its daemon.

One window fails; the others must be kept, shown green, and come into SQL by the sensor's publishing.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from iplum_resource.standin import Running
from tests.end_to_end.dagster_dev import run_dagster_dev, wait_for
from tests.pipelines.account import Account
from warehouse.windows import windows_between

LAUNCH = """
mutation Launch($keys: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["raw_usage"]}, {path: ["usage"]}], partitionNames: $keys
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
  assetNodes(assetKeys: [{path: ["usage"]}]) {
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
  }
}
"""


@pytest.fixture
def account(standin: Running, tmp_path: Path) -> Account:
    account = Account(standin, tmp_path)
    account.play()
    return account


@pytest.mark.slow
def test_a_backfill_from_the_ui_keeps_what_succeeded(account: Account) -> None:
    windows = list(windows_between(account.began - timedelta(days=20), account.began))
    bad = windows[0]
    account.play(fail_500_days=frozenset({bad.first_day}))
    with run_dagster_dev(account) as dagster:
        ask = dagster.ask
        launched = ask(LAUNCH, keys=[window.key for window in windows])["launchPartitionBackfill"]
        backfill = launched["backfillId"]
        status = wait_for(
            lambda: ask(STATUS, id=backfill),
            until=lambda s: s["partitionBackfillOrError"]["status"].startswith(("COMPLETED", "FAILED")),
        )
        assert status["partitionBackfillOrError"]["status"] == "COMPLETED_FAILED"
        ranges = status["assetNodes"][0]["assetPartitionStatuses"]["ranges"]
        green = [(r["startKey"], r["endKey"]) for r in ranges if r["status"] == "MATERIALIZED"]
        assert green == [(windows[1].key, windows[-1].key)]
        # The sensor publishes what the red run left.
        wait_for(lambda: {"done": account.folder.snapshot.is_file()}, until=lambda s: bool(s["done"]))
    start = f"{windows[1].first_day}"
    assert account.ask(f"SELECT min(window_start)::VARCHAR FROM usage WHERE window_start >= '{start}'") == [
        (start,)
    ]
    expected = [i for i in account.expected_ids() if i in set(account.ids())]
    assert len(expected) > 300
