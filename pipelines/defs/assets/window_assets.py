"""The two assets of a dataset, raw and folded, made by one step that pulls and folds a range of windows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import dagster as dg

from iplum_resource.client import IPlumClient
from iplum_resource.window_pull import FetchWindow
from pipelines.clock import Clock
from pipelines.defs.assets.catalog import build_column_schema
from pipelines.defs.failures import fail_windows, failing_step
from pipelines.defs.partitions import AUDIT_TAG, FINDINGS_TAG, open_account, window_step
from pipelines.defs.schedules import find_first_window
from pipelines.settings import Settings
from pipelines.steps.audit_windows import NO_FINDINGS
from pipelines.steps.progress import Progress
from pipelines.steps.pull_windows import DatasetLoader, WindowOutcome
from warehouse.schema.tables import RAW_COLUMNS, Table
from warehouse.windows import StorageWindow, window_of_key

Metadata = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset: its table, descriptions, and functions that fetch a window with and without retries."""

    table: Table
    raw_description: str
    description: str
    build_fetches: Callable[[IPlumClient, Settings], tuple[FetchWindow, FetchWindow]]
    refusable: bool = False

    def keys(self, settings: Settings) -> tuple[dg.AssetKey, dg.AssetKey]:
        """Return an account's raw asset key and its folded one."""
        return dg.AssetKey(settings.key(f"raw_{self.table.name}")), dg.AssetKey(settings.key(self.table.name))


def build_window_assets(
    dataset: Dataset, settings: Settings, *, clock: Clock, progress: Progress
) -> dg.AssetsDefinition:
    """Build the assets `raw_<name>` and `<name>`, pulled and folded in one step.

    A failed step skips everything downstream in its run, so pull and fold are one step, which records finished
    windows before it raises (docs/design.md, "Runs and backfills").
    """
    raw_key, key = dataset.keys(settings)
    label = "/".join(key.path)

    specs = [
        dg.AssetSpec(
            raw_key,
            description=dataset.raw_description,
            group_name="raw",
            kinds={"python", "parquet"},
            metadata={"dagster/column_schema": build_column_schema(RAW_COLUMNS)},
        ),
        dg.AssetSpec(
            key,
            deps=[raw_key],
            description=dataset.description,
            group_name="lake",
            kinds={"pandas", "parquet"},
            metadata={"dagster/column_schema": build_column_schema(dataset.table.columns)},
        ),
    ]

    @window_step(settings, f"pull_{dataset.table.name}", specs)
    def pull(context: dg.AssetExecutionContext) -> tuple[None, None]:
        partitions = [window_of_key(key) for key in context.partition_keys]
        with failing_step():
            first = find_first_window(settings, clock())
        windows = [window for window in partitions if window >= first]
        for window in (window for window in partitions if window < first):
            for key in dataset.keys(settings):
                context.add_asset_metadata({"deleted_by_retention": True}, asset_key=key, partition_key=window.key)
        progress.start(label, len(windows))
        outcomes: list[WindowOutcome] = []
        for outcome in _build_loader(context, dataset, settings, clock).load(windows):
            outcomes.append(outcome)
            progress.finish_window(label, outcome)
        _report(context, dataset, windows, outcomes=outcomes, settings=settings)
        return None, None

    return pull


def _build_loader(
    context: dg.AssetExecutionContext, dataset: Dataset, settings: Settings, clock: Clock
) -> DatasetLoader:
    folder, client = open_account(context, settings)
    fetch, fetch_once = dataset.build_fetches(client, settings)
    is_audit = AUDIT_TAG in context.run.tags
    return DatasetLoader(
        folder=folder,
        account=settings.account,
        table=dataset.table,
        fetch=fetch,
        fetch_once=fetch_once,
        concurrency=settings.concurrency,
        verify="always" if is_audit else settings.verify,
        clock=lambda: client.correct_time(clock()),
        refusable=dataset.refusable,
        reason="audit" if is_audit else "pull",
        lookback=timedelta(days=settings.lookback_days),
    )


def _report(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    windows: Sequence[StorageWindow],
    *,
    outcomes: Sequence[WindowOutcome],
    settings: Settings,
) -> None:
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    latest = {outcome.window: outcome for outcome in outcomes if outcome.window in windows}
    if any(outcome.refused for outcome in outcomes):
        context.log.warning(
            f"iPlum refuses {dataset.table.name} for this account (HTTP 403): it needs a call recording plan. "
            "Everything else continues."
        )
    findings = sum((outcome.findings for outcome in outcomes), NO_FINDINGS)
    if findings.total:
        context.log.warning(
            f"The audit of {dataset.table.name} found {findings.missing} rows missing here, {findings.changed} "
            f"changed and {findings.deleted} deleted at iPlum. New data was stored; nothing was removed."
        )
        context.instance.add_run_tags(context.run.run_id, {f"{FINDINGS_TAG}{dataset.table.name}": str(findings)})
    if not failed:
        for window in windows:
            for key, metadata in _describe(dataset, settings, latest.get(window)):
                context.add_asset_metadata(metadata, asset_key=key, partition_key=window.key)
        return
    for window in latest.keys() - {outcome.window for outcome in failed}:
        for key, metadata in _describe(dataset, settings, latest[window]):
            context.log_event(dg.AssetMaterialization(key, partition=window.key, metadata=metadata))
    raise fail_windows(dataset.table.name, failed, left_out=len(windows) - len(latest)) from failed[0].error


def _describe(
    dataset: Dataset, settings: Settings, outcome: WindowOutcome | None
) -> list[tuple[dg.AssetKey, Metadata]]:
    """Return the metadata of a window: counts, never content."""
    raw_key, key = dataset.keys(settings)
    if outcome is None or outcome.fold is None or outcome.refused:
        return [(raw_key, {"refused": True}), (key, {"refused": True})]
    raw = {"responses": outcome.responses, "body_bytes": outcome.body_bytes, "split_checked": outcome.split_checked}
    state = outcome.fold.state
    rows = {
        "dagster/partition_row_count": state.rows,
        "rows": state.rows,
        "new": outcome.fold.new,
        "changed": outcome.fold.changed,
        "absent": state.absent,
        "unreadable": state.unreadable + state.unread,
    }
    findings = asdict(outcome.findings) if outcome.findings.total else {}
    return [(raw_key, raw), (key, rows | {f"audit_{name}": number for name, number in findings.items()})]
