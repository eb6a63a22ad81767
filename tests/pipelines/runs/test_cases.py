"""Syncs of small inputs, with the expected rows.

Each file in `tests/fixtures/cases/` has steps, each with the records that the API lists, the callbacks that arrive,
and the days of the sync. `expect` has queries and their expected rows.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from iplum_resource.callbacks import parse_callback
from pipelines.runs.sync import sync
from pipelines.settings import Settings, load_settings
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import build_mart_settings, open_folder, open_inbox
from tests.support.scripted_server import Received, ScriptedServer, Step, respond
from warehouse.outputs.query import run_query
from warehouse.raw.inbox import Event
from warehouse.snapshot.publish import publish

CASES = sorted((Path(__file__).parents[2] / "fixtures" / "cases").glob("*.json"))
CREDENTIALS = ("IPLUM_ACCESS_KEY", "IPLUM_SECRET_KEY", "IPLUM_LOGIN_ID")
_DATASETS = {"/usage/getusage": "usage", "/callrecordings/getrecordings": "recordings"}


class ListedApi:
    """An API that lists the given entries. The end of a requested range is inclusive."""

    def __init__(self) -> None:
        self.step: dict[str, Any] = {}

    def choose(self, request: Received) -> Step:
        """Return the response to a request."""
        body = json.loads(request.body)
        start, end = (datetime.fromisoformat(body[name]).replace(tzinfo=UTC) for name in ("StartDate", "EndDate"))
        entries = self.step.get(_DATASETS[request.path], [])
        texts = [
            entry.get("raw") or json.dumps(entry["record"])
            for entry in entries
            if start <= datetime.fromisoformat(entry["at"]) <= end
        ]
        return respond(200, f"[{','.join(texts)}]".encode())


@pytest.fixture
def api() -> Iterator[tuple[ListedApi, str]]:
    listed = ListedApi()
    with ScriptedServer(choose=listed.choose) as server:
        yield listed, server.url


def receive(settings: Settings, callbacks: dict[str, list[dict[str, Any]]]) -> None:
    """Store callbacks in the inbox, as the receiver does."""
    with open_inbox(settings, open_folder(settings)) as inbox:
        for kind, records in callbacks.items():
            parsed = parse_callback(json.dumps(records).encode(), "usage" if kind == "usage" else "recordings")
            dataset = {"usage": "usage_callbacks", "recordings": "recording_callbacks"}[kind]
            inbox.append([Event(dataset=dataset, received_at=datetime.now(UTC), body=one.body) for one in parsed])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_sync_of_a_case_produces_the_expected_rows(
    path: Path, api: tuple[ListedApi, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = json.loads(path.read_text())
    listed, url = api
    environ = {
        "IPLUM_ACCESS_KEY": "KEY",
        "IPLUM_SECRET_KEY": "secret",
        "IPLUM_LOGIN_ID": "admin@clinic.example",
        "IPLUM_BASE_URL": url,
        "IPLUM_DATA": str(tmp_path / "data"),
        "IPLUM_START_DATE": case["start_date"],
        "IPLUM_REQUESTS_PER_SECOND": "1000",
    }
    for name in CREDENTIALS:
        monkeypatch.setenv(name, environ[name])  # Dagster reads them from the environment of the process
    settings = load_settings(environ, tmp_path)
    for step in case["steps"]:
        listed.step = step
        receive(settings, step.get("callbacks", {}))
        since, until = (date.fromisoformat(day) for day in step.get("sync", [case["start_date"], case["until"]]))
        with dg.DagsterInstance.ephemeral() as instance:
            sync(
                settings,
                environ=environ,
                since=since,
                until=until,
                progress=Progress(),
                clock=lambda: datetime.now(UTC),
                instance=instance,
                publishes=False,
            )
        publish(open_folder(settings), build_mart_settings([settings]))
    for query in case["expect"]:
        assert [list(row) for row in run_query(open_folder(settings), query["sql"]).rows] == query["rows"]
