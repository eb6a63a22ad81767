"""Checks of this machine: data folder, data, Dagster with its daemon, and alerts."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pipelines.alerts import Alert, AlertFailed, send_alert
from pipelines.doctor.diagnosis import Diagnosis, State
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.errors import StorageFailed, WarehouseError
from warehouse.storage.paths import DataFolder
from warehouse.windows import window_of

_GIGABYTE = 1 << 30
#: Dagster's daemon reports twice a minute.
_SILENCE = timedelta(minutes=5)
#: Longer runs are reported.
_LONGEST_RUN = timedelta(days=1)
_SCHEDULE = "daily_sync"
_FIRST_SYNC = "does not exist yet; the first sync creates it"


def diagnose_folder(settings: Settings) -> Iterator[Diagnosis]:
    """Check that the data folder is writable and private, and the free space."""
    folder = open_folder(settings)
    name = "data folder"
    if folder.bucket is not None:
        yield _diagnose_bucket(folder)
        name = "local copy"
    existing = next(path for path in (folder.root, *folder.root.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            has_modes = _has_modes(file.fileno())
    except OSError as error:
        yield _fail(name, StorageFailed.during("write to", existing, error))
        return
    free = f"{shutil.disk_usage(existing).free / _GIGABYTE:,.1f} GB free"
    if existing != folder.root:
        yield Diagnosis(name, State.OK, f"{folder.root} {_FIRST_SYNC}; {free}")
    else:
        yield Diagnosis(name, State.OK, f"{folder.root} is writable, {free}")
        mode, allowed = folder.root.stat().st_mode & 0o777, folder.modes.folder
        if not has_modes:
            found = f"{folder.root} cannot have file modes: other users of this machine may read the data"
            yield Diagnosis("data folder", State.WARNING, found, "Use a folder on a disk of Linux or macOS.")
        elif mode & ~allowed:
            found = f"other users may read {folder.root} (mode {mode:04o})"
            yield Diagnosis("data folder", State.WARNING, found, f"Run: chmod {allowed:o} {folder.root}")
    if shutil.disk_usage(existing).free < _GIGABYTE:
        yield Diagnosis(name, State.WARNING, f"only {free}", "Free some space before a long backfill.")


def _has_modes(descriptor: int) -> bool:
    """Whether the filesystem of a file keeps modes: FAT, Windows and some network shares do not."""
    try:
        os.fchmod(descriptor, 0o640)
        first = os.fstat(descriptor).st_mode & 0o777
        os.fchmod(descriptor, 0o600)
    except (AttributeError, OSError):  # Windows has no fchmod
        return False
    return (first, os.fstat(descriptor).st_mode & 0o777) == (0o640, 0o600)


def _diagnose_bucket(folder: DataFolder) -> Diagnosis:
    try:
        folder.check()
    except StorageFailed as error:
        return _fail("data folder", error)
    return Diagnosis("data folder", State.OK, f"{folder.address}: files can be written, read and deleted")


def diagnose_snapshot(settings: Settings) -> Iterator[Diagnosis]:
    """Check that the published file can be opened, and that no other program writes to it."""
    from warehouse.snapshot.database import count_rows, find_foreign_wal

    folder = open_folder(settings)
    wal = find_foreign_wal(folder.snapshot)
    if wal is not None:
        found = f"another program opened {folder.snapshot} for writing and left {wal.name}"
        fix = "Open it read-only there (docs/sql.md). The next sync or 'iplum publish' removes that file."
        yield Diagnosis("warehouse", State.WARNING, found, fix)
    if wal is not None or not os.path.lexists(folder.snapshot):
        return
    try:
        count_rows(folder.snapshot)
    except WarehouseError as error:
        yield _fail("warehouse", error)
    else:
        yield Diagnosis("warehouse", State.OK, f"{folder.snapshot} can be read")


def diagnose_records(settings: Settings) -> Iterator[Diagnosis]:
    """Check for records that iPlum sent in an unusable form."""
    from warehouse.checks.data_problems import find_problems

    try:
        problems = find_problems(open_folder(settings), [settings.account])
    except WarehouseError as error:
        yield _fail("records", error)
        return
    for problem in problems:
        fix = "Run 'iplum verify' for details." if problem.is_damage else ""
        yield Diagnosis("records", State.WARNING if problem.is_damage else State.OK, str(problem), fix)


def diagnose_deletions(settings: Settings, now: datetime) -> Iterator[Diagnosis]:
    """Check the deletion record because of which windows are skipped."""
    from warehouse.retention.skipped_windows import check_effective_record, describe_skipped_windows

    folder, lookback = open_folder(settings), timedelta(days=settings.lookback_days)
    try:
        check_effective_record(folder, settings.account, now=now, lookback=lookback)
        skipped = describe_skipped_windows(folder, settings.account, first=window_of(settings.start_date))
    except WarehouseError as error:
        yield _fail("retention", error)
        return
    if skipped:
        yield Diagnosis("retention", State.OK, skipped)


def diagnose_data(settings: Settings, now: datetime) -> Diagnosis:
    """Check how recent the newest data is."""
    from warehouse.lake.due_windows import find_latest_pull
    from warehouse.schema.tables import USAGE

    try:
        latest = find_latest_pull(open_folder(settings), USAGE, settings.account, now=now)
    except StorageFailed as error:
        return _fail("data", error)
    if latest is None:
        return Diagnosis("data", State.WARNING, "no data yet", "Run 'iplum sync'.")
    found = f"pulled up to {latest:%Y-%m-%d %H:%M} UTC"
    if now - latest > settings.alerts.after:
        return Diagnosis("data", State.WARNING, found, "Run 'iplum sync', and schedule it daily.")
    return Diagnosis("data", State.OK, found)


def diagnose_types(settings: Settings, now: datetime) -> Iterator[Diagnosis]:
    """Check for usage types that windows of history were not pulled with."""
    from warehouse.lake.due_windows import count_missing_types, read_states
    from warehouse.schema.tables import USAGE

    folder = open_folder(settings).with_cached_listings(settings.account)
    try:
        first = window_of(settings.start_date)
        windows = [window for window in folder.lake_windows(USAGE.name, settings.account) if window >= first]
        states = read_states(folder, USAGE, settings.account, windows)
    except StorageFailed:
        return  # reported by the check of the data
    for name, count in count_missing_types(list(states.values()), settings.usage_types, now=now).items():
        found = f"{name}: not requested yet in {count:,} of {len(states):,} windows"
        yield Diagnosis("usage types", State.WARNING, found, "Run 'iplum sync': it requests them again.")


def diagnose_dagster(accounts: Sequence[Settings], now: datetime) -> Iterator[Diagnosis]:
    """Check Dagster's history, its daemon, and the daily schedules."""
    settings = accounts[0]
    home = settings.state / "dagster"
    if not home.is_dir():
        yield Diagnosis("Dagster", State.OK, f"the history in {home} {_FIRST_SYNC}")
        return
    import dagster as dg

    from pipelines.dagster_home import open_instance
    from pipelines.run_locks import ACTIVE, find_dead_runs

    try:
        with open_instance(settings, ends_dead_runs=False) as instance:
            dead = len(find_dead_runs(instance))
            old = dg.RunsFilter(statuses=list(ACTIVE), created_before=now - _LONGEST_RUN)
            unended = instance.get_runs_count(old)
            heartbeats = [heartbeat.timestamp for heartbeat in instance.get_daemon_heartbeats().values()]
            switches = [(state.instigator_name, state.status.value) for state in instance.all_instigator_state()]
    except StorageFailed as error:
        yield _fail("Dagster", error)
        return
    yield Diagnosis("Dagster", State.OK, f"the history in {home} can be opened")
    yield from _diagnose_runs(dead, unended)
    yield _diagnose_daemon(heartbeats, now)
    for settings in accounts:
        name = settings.name(_SCHEDULE)
        if {switch for schedule, switch in switches if schedule == name} == {"STOPPED"}:
            yield Diagnosis("daily sync", State.WARNING, f"{name} is off", "Turn it on in the Dagster UI.")
        else:
            found = f"{name} is on, at {settings.sync_at:%H:%M} {settings.time_zone}"
            yield Diagnosis("daily sync", State.OK, found)


def _diagnose_runs(dead: int, unended: int) -> Iterator[Diagnosis]:
    if dead:
        found = f"runs whose process was killed: {dead}; they count as started"
        fix = "Run 'iplum sync' or restart 'iplum ui': both mark them as failed."
        yield Diagnosis("runs", State.WARNING, found, fix)
    if unended > dead:
        found = f"runs that have not ended for over a day: {unended - dead}"
        yield Diagnosis("runs", State.WARNING, found, "If they do not run, terminate them in the Dagster UI.")


def _diagnose_daemon(heartbeats: list[float], now: datetime) -> Diagnosis:
    fix = "Keep 'iplum ui' or the daemon running, or run 'iplum sync' from cron."
    if not heartbeats:
        return Diagnosis("daemon", State.WARNING, "no daemon has run, so schedules do nothing", fix)
    last = datetime.fromtimestamp(max(heartbeats), UTC)
    if now - last > _SILENCE:
        return Diagnosis("daemon", State.WARNING, f"last seen at {last:%Y-%m-%d %H:%M} UTC", fix)
    return Diagnosis("daemon", State.OK, "running")


def _fail(name: str, error: WarehouseError) -> Diagnosis:
    return Diagnosis(name, State.FAILED, f"{error.failed}: {error.cause}", f"{error.fix}.")


def diagnose_alerts(settings: Settings, *, send_test: bool) -> Iterator[Diagnosis]:
    """Check whether alerts are on; with `send_test`, send a test alert."""
    hours = settings.alerts.after.total_seconds() / 3600
    if not settings.alerts.is_on:
        if send_test:
            fix = "Set IPLUM_ALERT_WEBHOOK, or IPLUM_ALERT_SMTP, _FROM and _TO."
            yield Diagnosis("alerts", State.WRONG, "no recipient is set", fix)
        return
    if not send_test:
        found = f"sent for failures and for data older than {hours:g} h; 'iplum doctor --try-alert' sends a test"
        yield Diagnosis("alerts", State.OK, found)
        return
    test_alert = Alert(
        f"iPlum warehouse, account {settings.account}: test alert", "Nothing failed. Alerts arrive here."
    )
    try:
        send_alert(test_alert, settings.alerts)
    except AlertFailed as error:
        found, _, fix = str(error).partition("; ")
        yield Diagnosis("alerts", State.FAILED, found, fix)
    else:
        yield Diagnosis("alerts", State.OK, "a test alert was sent; check that it arrived")
