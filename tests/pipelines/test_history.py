"""Dagster's history, written in batches, is the history that Dagster itself would have written."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.history import BATCH_SIZE_VARIABLE, BatchedEventLog
from pipelines.instance import open_instance, prepare_dagster_home
from pipelines.settings import Settings, load_settings

_DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-06")
_RANGE = {
    "dagster/asset_partition_range_start": "2024-01-02",
    "dagster/asset_partition_range_end": "2024-01-04",
}

#: Hashes, run ids, names of logs, and times.
_OF_ONE_RUN = re.compile(
    r'[0-9a-f-]{36,64}|(?<="log_key": )"\w+"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*|\d+\.\d+(e-\d+)?|\d+ms'
)


@dg.multi_asset(
    name="two",
    partitions_def=_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    specs=[dg.AssetSpec("raw"), dg.AssetSpec("rows", deps=["raw"])],
)
def _two(context: dg.AssetExecutionContext) -> tuple[None, None]:
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": len(key)}, asset_key="rows", partition_key=key)
    return None, None


@dg.asset_check(asset="rows")
def _checked() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def _read_history(home: Path) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Give the rows of each table, without what differs between any two runs: run ids and times."""
    for path in sorted((home / "history" / "runs").glob("*.db"), key=lambda path: path.name == "index.db"):
        connection = sqlite3.connect(path)
        for table in ("event_logs", "asset_keys", "asset_check_executions", "asset_event_tags"):
            cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1")
            rows = [tuple(map(_strip, row)) for row in cursor]
            yield f"{path.name == 'index.db'} {table}", rows
        connection.close()


def _strip(value: object) -> object:
    return _OF_ONE_RUN.sub("*", value) if isinstance(value, str) else value


def _run(instance: dg.DagsterInstance) -> None:
    definitions = dg.Definitions(
        assets=[_two], asset_checks=[_checked], jobs=[dg.define_asset_job("all")], executor=dg.in_process_executor
    )
    assert definitions.resolve_job_def("all").execute_in_process(instance=instance, tags=_RANGE).success


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"IPLUM_DATA": str(tmp_path / "data"), "IPLUM_START_DATE": "2024-01-01"}, tmp_path)


def test_a_batched_history_is_the_one_that_dagster_writes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BATCH_SIZE_VARIABLE, raising=False)
    (tmp_path / "own").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "own")) as instance:
        _run(instance)
    with open_instance(settings) as instance:
        assert isinstance(instance.event_log_storage, BatchedEventLog)
        _run(instance)
    own = dict(_read_history(tmp_path / "own"))
    assert len(own["True event_logs"]) > len(_RANGE)
    assert dict(_read_history(settings.state / "dagster")) == own


def test_a_history_configured_elsewhere_stays_there(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    configuration = prepare_dagster_home(settings) / "dagster.yaml"
    configuration.write_text(f"storage:\n  sqlite:\n    base_dir: {elsewhere}\n")
    with open_instance(settings) as instance:
        _run(instance)
        assert not isinstance(instance.event_log_storage, BatchedEventLog)
    assert (elsewhere / "history" / "runs" / "index.db").is_file()
