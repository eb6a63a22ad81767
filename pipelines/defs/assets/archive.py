"""The assets `contents` and `recording_files`, which download on demand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import dagster as dg

from iplum_resource.client import IPlumClient
from iplum_resource.media.client import MediaClient
from pipelines.clock import Clock
from pipelines.defs.assets.catalog import build_column_schema
from pipelines.defs.failures import fail_records, failing_step
from pipelines.defs.partitions import open_account, window_step
from pipelines.settings import Settings
from pipelines.steps.archive_records import STATUSES, ArchiveOutcome, Fetch, RecordArchiver
from pipelines.steps.fetch_content import ContentFetcher, RecordingFetcher
from pipelines.steps.progress import Progress
from warehouse.archive.media_store import MediaStore
from warehouse.schema.tables import CONTENTS, RECORDING_FILES, Table
from warehouse.windows import StorageWindow, window_of_key

_ON_DEMAND = "Off until you turn on the schedule `daily_archive` or run `iplum archive`."


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive table, and how the content of one record is downloaded."""

    table: Table
    description: str
    build_fetch: Callable[[IPlumClient, MediaClient, MediaStore], Fetch]


_CONTENTS = Archive(
    table=CONTENTS,
    description=f"Message texts, attachments and faxes. Verified ones are not requested again. {_ON_DEMAND}",
    build_fetch=ContentFetcher,
)
_RECORDING_FILES = Archive(
    table=RECORDING_FILES,
    description=f"Files of call recordings. Verified ones are not requested again. {_ON_DEMAND}",
    build_fetch=RecordingFetcher,
)
ARCHIVES = (_CONTENTS, _RECORDING_FILES)


def build_archive_assets(
    archive: Archive, settings: Settings, *, clock: Clock, progress: Progress
) -> dg.AssetsDefinition:
    """Build the partitioned asset of one archive table."""
    key = dg.AssetKey(settings.key(archive.table.name))
    label = "/".join(key.path)

    spec = dg.AssetSpec(
        key,
        deps=[settings.key(archive.table.source)],
        description=archive.description,
        group_name="archive",
        kinds={"python", "parquet"},
        metadata={"dagster/column_schema": build_column_schema(archive.table.columns)},
    )

    @window_step(settings, f"archive_{archive.table.name}", [spec])
    def fetch(context: dg.AssetExecutionContext) -> None:
        windows = [window_of_key(key) for key in context.partition_keys]
        folder, client = open_account(context, settings)
        store = MediaStore(folder)
        with failing_step():
            store.clean()
        with MediaClient(settings.media_hosts) as media:
            archiver = RecordArchiver(
                folder=folder,
                account=settings.account,
                table=archive.table,
                fetch=archive.build_fetch(client, media, store),
                concurrency=settings.concurrency,
                clock=clock,
                on_attempt=partial(progress.finish_record, label),
            )
            backlog = archiver.list_backlog(windows)
            progress.start(label, sum(map(len, backlog.values())), "records")
            outcomes = list(archiver.archive(backlog))
        _report(context, key, windows, outcomes)

    return fetch


def _report(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    windows: Sequence[StorageWindow],
    outcomes: Sequence[ArchiveOutcome],
) -> None:
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    is_refused = any(outcome.refused for outcome in outcomes)
    if is_refused:
        context.log.warning(
            f"iPlum refuses {key.path[-1]} for this account (HTTP 403): the plan or permission is missing. "
            "Everything else continues."
        )
    finished = {outcome.window: outcome for outcome in outcomes if outcome.error is None}
    left_out = len(windows) - len(finished)
    if not left_out or is_refused:
        for window in windows:
            metadata = _describe(finished.get(window))
            context.add_asset_metadata(metadata, asset_key=key, partition_key=window.key)
        return
    for window, outcome in finished.items():
        context.log_event(dg.AssetMaterialization(key, partition=window.key, metadata=_describe(outcome)))
    failure = fail_records(key.path[-1], errors, left_out=left_out)
    raise failure from (errors[0] if errors else None)


def _describe(outcome: ArchiveOutcome | None) -> dict[str, int | bool]:
    if outcome is None or outcome.refused:
        return {"refused": True}
    return {"bytes": outcome.bytes, **{name: outcome.statuses.get(name, 0) for name in STATUSES}}
