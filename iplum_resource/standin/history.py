"""The account's history: which rows an answer holds, as a function of the options and the window."""

import json
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from iplum_resource.standin.events import DAY, build_users, generate_day
from iplum_resource.standin.options import Options
from iplum_resource.standin.records import (
    ODD_MARK,
    USAGE_TYPES,
    Day,
    Table,
    add_unknown_fields,
    build_nameless_rows,
    build_odd_rows,
    format_day,
    parse_recording_id,
    parse_usage_id,
)

Dataset = Literal["usage", "recordings"]
ALL_KINDS = frozenset(USAGE_TYPES.values())

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_DAY = 0xFFFFF  # the last that an id has room for
_KEPT_ROWS = 250_000  # about 120 MB


class History:
    """Answer for any window and any id of an invented account; safe to use from several threads.

    The same options, window and `now` return the same rows. Two adjacent windows together return the rows of the
    window that covers both. Rows are sorted by start.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._users = build_users(options.seed, options.users)
        self._days: OrderedDict[int, Day] = OrderedDict()
        self._lock = threading.Lock()

    def list_rows(
        self, dataset: Dataset, start: datetime, *, end: datetime, kinds: frozenset[int] = ALL_KINDS
    ) -> list[str]:
        """List the rows of a window as JSON objects, the way the vendor would; times are aware UTC."""
        options = self._options
        by_end = options.filter_by == "end" and dataset == "usage"
        first, last = _round_up(start), _round_down(end) if options.end_inclusive else _round_up(end) - 1
        rows: list[str] = []
        from_day = max(first // DAY - by_end, self._oldest() // DAY)
        for day in range(from_day, min(last, self._newest()) // DAY + 1):
            rows += self._pick(getattr(self._day(day), dataset), (first, last), kinds=kinds, by_end=by_end)
        if options.odd_rows and rows:
            rows += build_nameless_rows(rows[0])
        if options.unknown_fields:
            rows = add_unknown_fields(rows)
        return rows if options.row_cap is None else rows[: options.row_cap]

    def find_row(self, dataset: Dataset, record_id: str) -> dict[str, Any] | None:
        """Find the row that an id stands for, or None if there is none that can be seen at present."""
        locate: Callable[..., tuple[int, int] | None]
        locate = parse_usage_id if dataset == "usage" else parse_recording_id
        genuine_id = record_id.partition(ODD_MARK)[0]
        place = locate(genuine_id, seed=self._options.seed)
        if place is None or not self._oldest() // DAY <= place[0] <= self._newest() // DAY:
            return None
        day, index = place
        table: Table = getattr(self._day(day), dataset)
        if not index < len(table.rows) or not self._can_see(table, index):
            return None
        row: dict[str, Any] = json.loads(table.rows[index])
        return row if row["recordId"] == genuine_id else None

    def _pick(self, table: Table, bounds: tuple[int, int], *, kinds: frozenset[int], by_end: bool) -> list[str]:
        first, last = bounds
        low, high = 0, len(table.rows)
        if not by_end:
            low, high = bisect_left(table.starts, first), bisect_right(table.starts, last)
        times = table.ends if by_end else table.starts
        oldest, newest, share = self._oldest(), self._newest(), self._options.late_rows
        late_by = int(self._options.late_by.total_seconds())
        # What _can_see says of one row is spelled out here, where it is asked millions of times.
        picked = [
            index
            for index in range(low, high)
            if first <= times[index] <= last
            and table.kinds[index] in kinds
            and table.starts[index] >= oldest
            and table.ends[index] + (late_by if table.lates[index] < share else 0) <= newest
        ]
        rows = [table.rows[index] for index in picked]
        if self._options.odd_rows and table.first_call in picked:
            rows += build_odd_rows(table.rows[table.first_call])
        return rows

    def _can_see(self, table: Table, index: int) -> bool:
        late = table.lates[index] < self._options.late_rows
        late_by = int(self._options.late_by.total_seconds()) if late else 0
        return table.starts[index] >= self._oldest() and table.ends[index] + late_by <= self._newest()

    def _oldest(self) -> int:
        """Return the first second of the history."""
        first_day, purge_before = self._options.first_day, self._options.purge_before
        oldest = 0
        if first_day is not None:
            oldest = max(oldest, _round_up(datetime.combine(first_day, time.min, tzinfo=UTC)))
        return oldest if purge_before is None else max(oldest, _round_up(purge_before))

    def _newest(self) -> int:
        """Return the last second of the history; records that have not ended are not listed."""
        return min(_round_down(self._options.now()), (_LAST_DAY + 1) * DAY - 1)

    def _day(self, number: int) -> Day:
        with self._lock:
            day = self._days.get(number)
            if day is None:
                day = self._days[number] = self._draw(number)
                while len(self._days) > 1 and self._count_kept() > _KEPT_ROWS:
                    self._days.popitem(last=False)
            self._days.move_to_end(number)
            return day

    def _draw(self, number: int) -> Day:
        seed, mean = self._options.seed, self._options.rows_per_day
        return format_day(generate_day(self._users, number, seed=seed, mean=mean), number, seed=seed)

    def _count_kept(self) -> int:
        return sum(len(day.usage.rows) for day in self._days.values())


def _round_down(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND // 1_000_000


def _round_up(instant: datetime) -> int:
    return -((_EPOCH - instant) // _MICROSECOND // 1_000_000)
