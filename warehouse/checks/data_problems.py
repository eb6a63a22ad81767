"""Data problems: records that iPlum sent in an unusable form, summarized for people."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from warehouse.checks.data_quality import CheckResult, find_by_select, read_all_states
from warehouse.lake.files import WindowState
from warehouse.schema.tables import FOLDED_TABLES, LAKE_TABLES
from warehouse.snapshot.pointer import find_snapshot
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_SHOWN = 5


@dataclass(frozen=True)
class DataProblem:
    """One kind of problem in one table of one account.

    Args:
        account: The account.
        table: The table's name.
        noun: What is counted, in the singular.
        found: What is wrong with it.
        counts: The number in each window, oldest first.
        is_damage: Whether rows are missing or repeated because of it.
        places: Positions of the first affected records in the responses of a window, counted from 1, if known.

    """

    account: str
    table: str
    noun: str
    found: str
    counts: Mapping[StorageWindow, int]
    is_damage: bool
    places: Mapping[StorageWindow, tuple[int, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        number = sum(self.counts.values())
        keys = [window.key + self._describe_places(window) for window in self.counts]
        shown = ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
        return (
            f"{self.table} of account {self.account}: {number:,} {self.noun}{'' if number == 1 else 's'} {self.found} "
            f"({'window' if len(keys) == 1 else 'windows'} {shown})"
        )

    def _describe_places(self, window: StorageWindow) -> str:
        positions = self.places.get(window, ())
        return f" at {', '.join(map(str, positions))} in the response" if positions else ""


# Counter in a window's state, the counted noun, the problem, and whether it makes rows missing.
_BY_STATE = (
    ("unreadable", "record", "without a readable ID, in the raw log only", True),
    ("conflicts", "record ID", "with different payloads in one response; all payloads are in `extra`", False),
    ("implausible", "row", "with an impossible time, on no calendar", False),
)


def find_problems(
    folder: DataFolder,
    accounts: Collection[str] | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[DataProblem]:
    """List the problems of some accounts, or of all; raises `StorageFailed`.

    With `since` or `until` (aware UTC), only windows that overlap the range count.
    """
    problems = []
    for problem in _find_all(folder):
        counts = {
            window: count
            for window, count in problem.counts.items()
            if (since is None or window.end > since) and (until is None or window.start < until)
        }
        if counts and (accounts is None or problem.account in accounts):
            problems.append(replace(problem, counts=counts))
    return problems


def _find_all(folder: DataFolder) -> Iterator[DataProblem]:
    for table in FOLDED_TABLES:
        by_account: dict[str, dict[StorageWindow, WindowState]] = {}
        for account, window, state in read_all_states(folder, table):
            by_account.setdefault(account, {})[window] = state
        for account, states in by_account.items():
            for name, noun, found, is_damage in _BY_STATE:
                counts = {
                    window: getattr(state, name) for window, state in sorted(states.items()) if getattr(state, name)
                }
                places = {window: state.unreadable_at for window, state in states.items() if name == "unreadable"}
                yield DataProblem(account, table.name, noun, found, counts, is_damage, places)
    if find_snapshot(folder) is not None:
        for table in LAKE_TABLES:
            for account, counts in _group_by_account(find_by_select(folder, "unique_ids", table)).items():
                yield DataProblem(account, table.name, "row", "too many: the record ID has another row", counts, True)


def _group_by_account(results: Collection[CheckResult]) -> dict[str, dict[StorageWindow, int]]:
    grouped: dict[str, dict[StorageWindow, int]] = {}
    for result in results:
        grouped.setdefault(result.account, {})[result.window] = result.rows
    return grouped
