"""Dagster definitions: names, descriptions, partitions, schedules and sensors, loaded without requests."""

import os
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.dagster_home import delete_run, open_instance
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import MAX_WINDOWS_PER_RUN, build_partitions, build_range_tags
from pipelines.runs.account_jobs import run_job
from pipelines.settings import PROJECT, load_settings
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import open_folder, open_inbox
from tests.support.account import Account, RecordedProgress, now
from tests.support.raw_responses import call, fold, response
from warehouse.raw.inbox import Event
from warehouse.schema.marts import MARTS
from warehouse.schema.tables import FOLDED_TABLES, PUBLISHED_TABLES, VIEWS
from warehouse.snapshot.publish import publish
from warehouse.windows import window_of, windows_between

NOW = datetime(2024, 3, 14, 9, tzinfo=UTC)


def definitions(tmp_path: Path, **environ: str) -> dg.Definitions:
    environ = {"IPLUM_START_DATE": "2024-01-01", **environ}
    return build_definitions(load_settings(environ, tmp_path), clock=lambda: NOW)


def list_own_specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    owned = [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    return {spec.key.to_user_string(): spec for asset in owned for spec in asset.specs}


def test_documented_assets_jobs_schedules_sensors_and_checks_exist_with_descriptions(tmp_path: Path) -> None:
    defs = definitions(tmp_path)
    specs = list_own_specs(defs)
    assert {"raw_usage", "usage", "raw_recordings", "recordings", "contents", "recording_files"} <= specs.keys()
    assert {"callbacks", "report"} <= specs.keys()
    assert {f"warehouse/{table.name}" for table in PUBLISHED_TABLES} <= specs.keys()
    assert {f"marts/{mart.name}" for mart in MARTS} <= specs.keys()
    assert all(spec.description for spec in specs.values())
    assert defs.resolve_job_def("sync").description
    assert defs.resolve_job_def("publish").description
    assert defs.resolve_job_def("archive").description
    assert defs.resolve_job_def("drain").description
    assert defs.resolve_sensor_def("callback_inbox").description
    daily_archive = defs.resolve_schedule_def("daily_archive")
    assert daily_archive.description
    assert daily_archive.default_status == dg.DefaultScheduleStatus.STOPPED, (
        "message texts are private (docs/design.md)"
    )
    assert defs.resolve_schedule_def("daily_sync").description
    assert defs.resolve_job_def("audit").description
    weekly_audit = defs.resolve_schedule_def("weekly_audit")
    assert weekly_audit.description
    assert (weekly_audit.cron_schedule, weekly_audit.default_status.value) == ("15 5 * * 0", "RUNNING")
    assert defs.resolve_sensor_def("stale_snapshot").description
    checks = [spec for check in defs.asset_checks or [] for spec in check.check_specs]
    expected = {
        "unique_ids",
        "rows_in_window",
        "all_read",
        "nothing_gone",
        "permitted",
        "all_fetched",
        "callbacks_kept",
        "audits_agree",
        "known_channels",
        "known_directions",
        "known_types",
        "one_payload",
        "plausible_times",
        "all_fields",
    }
    assert expected == {c.name for c in checks}
    assert all(check.description for check in checks)


def test_every_asset_has_an_owner_a_privacy_tag_and_a_documentation_link(tmp_path: Path) -> None:
    specs = list_own_specs(definitions(tmp_path, IPLUM_ACCOUNT="clinic"))
    holds = {name: spec.tags["holds"] for name, spec in specs.items()}
    assert all(spec.owners == ["team:clinic"] for spec in specs.values())
    assert all(Path(spec.metadata["read_on"].value).is_file() for spec in specs.values())
    assert all(spec.group_name and spec.kinds for spec in specs.values())
    assert set(holds.values()) == {"content", "names", "numbers", "logins", "counts"}
    assert {holds[name] for name in ("contents", "warehouse/messages", "recording_files")} == {"content"}
    assert (holds["raw_usage"], holds["report"], holds["marts/unanswered_texts"]) == ("numbers", "numbers", "names")
    assert (holds["marts/user_summary"], holds["marts/daily_totals"]) == ("names", "counts")


def test_tables_have_a_column_schema_with_descriptions(tmp_path: Path) -> None:
    specs = list_own_specs(definitions(tmp_path))
    tables = {table.name: table.columns for table in FOLDED_TABLES}
    tables |= {f"warehouse/{table.name}": table.columns for table in (*PUBLISHED_TABLES, *VIEWS)}
    tables |= {f"marts/{mart.name}": mart.columns for mart in MARTS}
    for name, columns in tables.items():
        schema = specs[name].metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [column.name for column in columns]
        assert all(column.description for column in schema.columns)


def test_an_empty_environment_loads_and_shows_no_secret() -> None:
    script = "from pipelines.definitions import defs; import json; print(defs.resolve_job_def('sync').name)"
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environ,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("sync\n", 0), done.stderr


@pytest.mark.parametrize("start", [date(2023, 12, 30), date(2024, 2, 28), date(2024, 1, 1), date(2025, 3, 31)])
def test_partitions_match_the_storage_windows(start: date) -> None:
    """The cron expression `1,6,11,…` was tried: it gives windows of six days, and a start inside one drops days."""
    instant = datetime.combine(start, datetime.min.time(), UTC)
    until = instant + timedelta(days=800)
    keys = build_partitions(start).get_partition_keys(until)
    assert keys == [window.key for window in windows_between(window_of(start).start, until + timedelta(microseconds=1))]
    assert window_of(until).key == keys[-1], "the open window has a partition"


def list_due_tags(tmp_path: Path, **environ: str) -> list[dict[str, str]]:
    schedule = definitions(tmp_path, **environ).resolve_schedule_def("daily_sync")
    with dg.DagsterInstance.ephemeral() as instance:
        result = schedule.evaluate_tick(dg.build_schedule_context(instance, scheduled_execution_time=NOW))
    return [
        {name: value for name, value in request.tags.items() if "partition_range" in name}
        for request in result.run_requests or []
    ]


def test_the_schedule_requests_due_windows_newest_first_with_a_maximum_per_run(tmp_path: Path) -> None:
    windows = list(windows_between(datetime(2022, 11, 1, tzinfo=UTC), NOW))
    newest = windows[-MAX_WINDOWS_PER_RUN:]
    assert list_due_tags(tmp_path, IPLUM_START_DATE="2022-11-01") == [
        build_range_tags(newest),
        build_range_tags(windows[: -len(newest)]),
    ]


def test_the_daily_sync_is_on_by_default_and_runs_in_the_accounts_time_zone(tmp_path: Path) -> None:
    defs = definitions(tmp_path, IPLUM_TIMEZONE="America/New_York", IPLUM_SYNC_AT="23:05")
    schedule = defs.resolve_schedule_def("daily_sync")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 23 * * *", "America/New_York")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert defs.resolve_sensor_def("stale_snapshot").default_status == dg.DefaultSensorStatus.RUNNING


def tick_sensor(defs: dg.Definitions, instance: dg.DagsterInstance, name: str = "stale_snapshot") -> tuple[int, str]:
    context = dg.build_sensor_context(instance=instance, definitions=defs)
    data = defs.resolve_sensor_def(name).evaluate_tick(context)
    return len(data.run_requests or []), data.skip_message or ""


def test_stale_snapshot_requests_a_publish_once_if_the_lake_is_newer(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path)
    defs = build_definitions(settings, clock=now)
    from pipelines.warehouse_folder import open_folder

    folder = open_folder(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick_sensor(defs, instance) == (0, "the snapshot is up to date")
        fold(folder, response([call()], 1))
        assert tick_sensor(defs, instance) == (1, "")
        assert run_job(defs, "publish", instance) == []
        assert tick_sensor(defs, instance) == (0, "the snapshot is up to date")


def test_callback_inbox_drains_pending_events_and_waits_after_a_failed_drain(tmp_path: Path) -> None:
    clock = datetime.now(UTC)
    settings = load_settings({"IPLUM_START_DATE": "2024-01-01"}, tmp_path)
    defs = build_definitions(settings, clock=lambda: clock)
    folder = open_folder(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick_sensor(defs, instance, "callback_inbox") == (0, "no inbox: the receiver has not run yet")
        with open_inbox(settings, folder) as inbox:
            assert tick_sensor(defs, instance, "callback_inbox") == (0, "no pending events")
            body = b'{"recordId":"a","startTimeUTC":"2024-03-01T00:00:00Z"}'
            inbox.append([Event(dataset="usage_callbacks", received_at=NOW, body=body)])
            assert tick_sensor(defs, instance, "callback_inbox") == (1, "")
            assert run_job(defs, "drain", instance) == []
            assert tick_sensor(defs, instance, "callback_inbox") == (0, "no pending events")
            assert instance.get_runs_count() == 1
            two_days_later = build_definitions(settings, clock=lambda: clock + timedelta(days=2))
            assert tick_sensor(two_days_later, instance, "callback_inbox") == (0, "no pending events")
            assert instance.get_runs_count() == 0, "the history of one drain per minute would fill the disk"
            inbox.append([Event(dataset="usage_callbacks", received_at=NOW, body=body)])
        folder.snapshot.unlink()
        folder.snapshot.mkdir()
        (failure,) = run_job(defs, "drain", instance)
        assert str(folder.snapshot) in failure
        with open_inbox(settings, folder) as inbox:
            inbox.append([Event(dataset="usage_callbacks", received_at=NOW, body=body)])
        requests, message = tick_sensor(defs, instance, "callback_inbox")
        assert (requests, "failed" in message) == (0, True)
        later = build_definitions(settings, clock=lambda: clock + timedelta(minutes=10))
        assert tick_sensor(later, instance, "callback_inbox") == (1, "")


def test_delete_run_removes_the_files_of_the_run(tmp_path: Path) -> None:
    settings = load_settings({"IPLUM_START_DATE": "2024-01-01"}, tmp_path)
    with open_instance(settings) as instance:
        assert run_job(build_definitions(settings), "drain", instance) == []
        (run,) = instance.get_runs()
        files = [path for path in (settings.state / "dagster").rglob("*") if run.run_id in str(path)]
        assert files
        delete_run(instance, run.run_id)
        assert instance.get_runs() == []
        assert not [path for path in files if path.exists()]


def test_a_single_asset_check_can_be_run(tmp_path: Path) -> None:
    folder = open_folder(load_settings({}, tmp_path))
    fold(folder, response([call()], 1))
    publish(folder)
    key = dg.AssetCheckKey(dg.AssetKey(["warehouse", "usage"]), "unique_ids")
    one = dg.define_asset_job("one", selection=dg.AssetSelection.checks(key))
    defs = dg.Definitions.merge(definitions(tmp_path), dg.Definitions(jobs=[one]))
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_job(defs, "one", instance) == []
        # The job's page in the UI lists runs with this tag.
        tag = {".dagster/repository": "__repository__@pipelines.definitions"}
        (run,) = instance.get_runs(dg.RunsFilter(job_name="one", tags=tag))
        logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        names = [e.dagster_event.asset_check_evaluation_data.check_name for e in logs if e.dagster_event]
        assert names == ["unique_ids"]


def test_stale_snapshot_waits_an_hour_after_a_failed_publish(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path)
    defs = build_definitions(settings, clock=now)
    from pipelines.warehouse_folder import open_folder

    folder = open_folder(settings)
    fold(folder, response([call()], 1))
    folder.snapshot.mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        (failure,) = run_job(defs, "publish", instance)
        assert "warehouse.duckdb" in failure
        requests, message = tick_sensor(defs, instance)
        assert (requests, "failed within the last hour" in message) == (0, True)
        later = build_definitions(settings, clock=lambda: now() + timedelta(hours=2))
        assert tick_sensor(later, instance) == (1, "")


def test_a_run_over_a_range_records_one_materialization_per_window_with_row_counts(account: Account) -> None:
    progress = RecordedProgress()
    defs = build_definitions(account.settings, clock=now, progress=progress)
    windows = list(windows_between(account.created_at - timedelta(days=12), account.created_at))
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_job(defs, "sync", instance, tags=build_range_tags(windows)) == []
        for name in ("raw_usage", "usage", "raw_recordings", "recordings"):
            records = instance.fetch_materializations(dg.AssetKey(name), limit=100).records
            assert sorted(str(record.partition_key) for record in records) == [window.key for window in windows]
        newest = instance.fetch_materializations(dg.AssetKey("usage"), limit=1).records[0]
        assert newest.asset_materialization is not None
        metadata = newest.asset_materialization.metadata
        assert metadata["rows"].value == metadata["new"].value
        assert {"changed", "absent", "unreadable"} <= metadata.keys()
    assert sorted({outcome.window for _, outcome in progress.outcomes}) == windows


def test_failed_checks_do_not_fail_the_run(account: Account) -> None:
    account.set_options(odd_rows=True, recording_plan=False)
    defs = build_definitions(account.settings, clock=now, progress=Progress())
    windows = list(windows_between(account.created_at - timedelta(days=6), account.created_at))
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_job(defs, "sync", instance, tags=build_range_tags(windows)) == []
        (run,) = instance.get_runs()
        logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        found = {
            (data.asset_key.path[-1], data.check_name): data.passed
            for entry in logs
            if entry.dagster_event and (data := entry.dagster_event.asset_check_evaluation_data)
        }
    assert found["usage", "all_read"] is False
    assert found["recordings", "permitted"] is False
    assert found["usage", "unique_ids"] is found["usage", "rows_in_window"] is found["usage", "nothing_gone"] is True


def test_the_workspace_and_the_dg_command_load_the_same_module() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert f"python_module: {project['code_location_target_module']}\n" in (PROJECT / "workspace.yaml").read_text()
