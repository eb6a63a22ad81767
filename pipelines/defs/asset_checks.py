"""Asset checks: what a person should look at, said as warnings, so that good data is never held back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from pipelines.defs.assets.warehouse_tables import key_of_table
from pipelines.defs.failures import fail
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.checks.data_quality import CheckResult, find_by_select, find_refused, find_unparsed
from warehouse.errors import WarehouseError
from warehouse.schema.tables import ARCHIVE_TABLES, LAKE_TABLES, RECORDINGS, Table
from warehouse.storage.paths import DataFolder

_SHOWN = 10


@dataclass(frozen=True)
class Check:
    """A question about a table, what a finding means, and how it is found."""

    name: str
    description: str
    find: Callable[[DataFolder, Table], list[CheckResult]]


def _select(name: str) -> Callable[[DataFolder, Table], list[CheckResult]]:
    return lambda folder, table: find_by_select(folder, name, table)


_ON_EVERY_TABLE = (
    Check("unique_ids", "Each record id stands once in its account.", _select("unique_ids")),
    Check("rows_in_window", "Each row started in the window it is filed in.", _select("rows_in_window")),
    Check(
        "all_read",
        "Every element of every answer could be read. What couldn't stays in the raw log, its fields in `extra`.",
        find_unparsed,
    ),
    Check(
        "nothing_gone",
        "iPlum still has every row that it once brought. Rows it no longer has are kept, with `absent_since`.",
        _select("nothing_gone"),
    ),
)
_AUDITED = Check(
    "audits_agree",
    "The latest audit of each window brought no row that should have been here before it.",
    _select("audits_agree"),
)
_COUNTED = Check(
    "known_channels",
    "Every record is a call, text or fax. The marts count others too, but give them no minutes and no column.",
    _select("known_channels"),
)
_PUSHED = Check(
    "callbacks_kept",
    "Of each day's records, in the last thirty days, at most one in a hundred lacks its callback.",
    _select("callbacks_kept"),
)
_PERMITTED = Check(
    "permitted",
    "iPlum lets this account have its recordings. A 403 means that the account lacks a call recording plan.",
    find_refused,
)


_FETCHED = Check(
    "all_fetched",
    "Every body and file that was asked for came whole. What didn't has a row that says why, and is tried again.",
    _select("all_fetched"),
)


def list_checks(table: Table) -> tuple[Check, ...]:
    """List the checks that stand on a table."""
    if table in ARCHIVE_TABLES:
        return (_FETCHED,)
    checks = (*_ON_EVERY_TABLE, _AUDITED, _PUSHED)
    return (*checks, _PERMITTED if table is RECORDINGS else _COUNTED)


def build_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Make one step of checks for each table; they run with every publishing."""
    return [_build_table_checks(table, settings) for table in LAKE_TABLES]


def _build_table_checks(table: Table, settings: Settings) -> dg.AssetChecksDefinition:
    checks = list_checks(table)

    @dg.multi_asset_check(
        name=f"check_{table.name}",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(check.name, asset=key_of_table(table), description=check.description)
            for check in checks
        ],
    )
    def check_table(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        folder = open_folder(settings)
        chosen = {key.name for key in context.selected_asset_check_keys}
        try:
            for check in checks:
                if check.name in chosen:
                    yield _judge(check, table, check.find(folder, table))
        except WarehouseError as error:
            raise fail(error) from error

    return check_table


def _judge(check: Check, table: Table, findings: list[CheckResult]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key_of_table(table),
        check_name=check.name,
        passed=not findings,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "rows": sum(finding.rows for finding in findings),
            "windows": ", ".join(f"{f.account} {f.window.key}" for f in findings[:_SHOWN]) or "none",
        },
    )
