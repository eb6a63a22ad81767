"""Peak memory for one window of a million rows, and for one year and ten years of windows.

A peak is that of the whole command, including the interpreter and its libraries.
"""

from datetime import date

from benchmarks.costs import Cost
from benchmarks.findings import COST_HEADING, Findings, at_most, write_cost
from benchmarks.workshop import Workshop

DAY, NEXT = date(2024, 12, 1), date(2024, 12, 6)
FIRST, LATE, LAST = date(2015, 1, 1), date(2024, 1, 1), date(2025, 1, 1)
#: Windows start on six days of each month, and on the 31st.
WINDOWS_A_YEAR = 79
#: Peaks within this tolerance count as equal.
SAME = 1.1
_REMARK = (
    "Pulling and merging take the same memory for one year and for ten years. Publishing one year needs less than the "
    "limit of 128 MB per core for DuckDB. Publishing ten years uses the limit and spills the rest to disk."
)


def run(workshop: Workshop) -> Findings:
    """Sync one window, one year and ten years."""
    one = workshop.prepare_responses(DAY, NEXT, workshop.choose(1_000_000, 2_000))
    window, body = (
        _sync(workshop, DAY, NEXT, rows=workshop.choose(1_000_000, 2_000)),
        (one / "rows.json").stat().st_size,
    )
    first = workshop.choose(FIRST, LATE)
    rows = WINDOWS_A_YEAR * workshop.choose(2_000, 20)
    year = _sync(workshop, LATE, LAST, rows=rows)
    decade = _sync(workshop, first, LAST, rows=rows * (LAST.year - first.year))
    return Findings(
        [
            at_most("peak memory for a window of a million rows, relative to its response body", window.peak / body, 4),
            at_most("peak memory for ten years of windows, relative to one year", decade.peak / year.peak, SAME),
        ],
        table=[
            COST_HEADING,
            write_cost(f"one window with a response body of {body / 1e6:.0f} MB", window),
            write_cost("one year of windows", year),
            write_cost("ten years of windows", decade),
        ],
        remark=_REMARK,
    )


def _sync(workshop: Workshop, first: date, last: date, *, rows: int) -> Cost:
    with workshop.serve(workshop.prepare_responses(first, last, rows)) as api:
        return workshop.iplum(
            *("sync", "--since", str(first), "--until", str(last)),
            data=workshop.new_folder("memory"),
            api=api,
            start_date=str(first),
        )
