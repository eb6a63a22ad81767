"""Asset checks of data quality. They only warn, so that good data is never held back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from pipelines.defs.assets.warehouse_tables import build_table_key
from pipelines.defs.failures import failing_step
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.checks.data_quality import CheckResult, find_by_select, find_by_state, find_refused
from warehouse.lake.files import WindowState
from warehouse.schema.tables import ARCHIVE_TABLES, LAKE_TABLES, RECORDINGS, Table
from warehouse.storage.paths import DataFolder

_SHOWN = 10


@dataclass(frozen=True)
class Check:
    """A check of a table. Its failing rows are found by the SELECT of the same name, or by `find`."""

    name: str
    description: str
    find: Callable[[DataFolder, Table], list[CheckResult]] | None = None


def _count(count: Callable[[WindowState], int]) -> Callable[[DataFolder, Table], list[CheckResult]]:
    return lambda folder, table: find_by_state(folder, table, count)


_UNIQUE_IDS = Check("unique_ids", "Each record ID occurs once per account.")
_ON_FOLDED_TABLES = (
    _UNIQUE_IDS,
    Check("rows_in_window", "Each row started in its window."),
    Check(
        "all_read",
        "Every record and value could be parsed. Others are kept: records in the raw response log, values in `extra`.",
        _count(lambda state: state.unreadable + state.unread),
    ),
    Check("nothing_gone", "iPlum still has every row. Rows it no longer has are kept, with `absent_since`."),
    Check(
        "one_payload",
        "No response has different payloads for one record ID. Others are in `extra`.",
        _count(lambda state: state.conflicts),
    ),
    Check(
        "plausible_times",
        "No record starts or ends before 2000, or over a day after the response with it. Such times are in `extra`.",
        _count(lambda state: state.implausible),
    ),
    Check(
        "all_fields",
        "Every documented field occurs in each window that has records.",
        _count(lambda state: len(state.missing_fields)),
    ),
    Check("known_directions", "Every record is inbound or outbound."),
    Check("audits_agree", "The latest audit of each window found no missing row."),
    Check("callbacks_kept", "On each of the last 30 days, at most 1 % of the pulled records had no callback."),
)
_KNOWN_CHANNELS = Check(
    "known_channels", "Every record is a call, text or fax. Marts count others under no channel and without minutes."
)
_KNOWN_TYPES = Check("known_types", "Every record is between iPlum users or external.")
_PERMITTED = Check(
    "permitted", "The account may request recordings. A 403 means that it has no call recording plan.", find_refused
)
_ALL_FETCHED = Check(
    "all_fetched", "Every attempted body and file is verified. Rows of others say why, and they are retried."
)


def _list_checks(table: Table) -> tuple[Check, ...]:
    if table in ARCHIVE_TABLES:
        return (_UNIQUE_IDS, _ALL_FETCHED)
    if table is RECORDINGS:
        return (*_ON_FOLDED_TABLES, _PERMITTED)
    return (*_ON_FOLDED_TABLES, _KNOWN_CHANNELS, _KNOWN_TYPES)


def build_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Build one step of checks per table; they run with every publish."""
    return [_build_table_checks(table, settings) for table in LAKE_TABLES]


def _build_table_checks(table: Table, settings: Settings) -> dg.AssetChecksDefinition:
    checks = _list_checks(table)

    @dg.multi_asset_check(
        name=f"check_{table.name}",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(check.name, asset=build_table_key(table), description=check.description)
            for check in checks
        ],
    )
    def check_table(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        folder = open_folder(settings)
        chosen = {key.name for key in context.selected_asset_check_keys}
        with failing_step():
            for check in checks:
                if check.name in chosen:
                    found = check.find(folder, table) if check.find else find_by_select(folder, check.name, table)
                    yield _build_result(check, table, found)

    return check_table


def _build_result(check: Check, table: Table, results: list[CheckResult]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=build_table_key(table),
        check_name=check.name,
        passed=not results,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "rows": sum(result.rows for result in results),
            "windows": ", ".join(f"{f.account} {f.window.key}" for f in results[:_SHOWN]) or "none",
        },
    )
