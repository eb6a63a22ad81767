"""Memory: the peak for one window of a million rows against its body, and for one year and ten years of windows.

A peak is that of the whole command, the interpreter and its libraries included.
"""

from datetime import date

from benchmarks.costs import Cost
from benchmarks.findings import COST_HEADING, Findings, at_most, write_cost
from benchmarks.workshop import Workshop

DAY, NEXT = date(2024, 12, 1), date(2024, 12, 6)
FIRST, LATE, LAST = date(2015, 1, 1), date(2024, 1, 1), date(2025, 1, 1)
#: Windows begin on six days of each month, and on the 31st.
WINDOWS_A_YEAR = 79
#: Peaks within this tolerance count as equal.
SAME = 1.1
_REMARK = (
    "Pulling and folding take the same for a year and for ten. Publishing does not: for a year it needs less than "
    "the 128 MB a core that DuckDB may take, for ten it takes all of that and spills the rest."
)


def run(workshop: Workshop) -> Findings:
    """Sync the one window, then the year and the ten years."""
    one = workshop.prepare_answers(DAY, NEXT, workshop.choose(1_000_000, 2_000))
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
            at_most("peak for a window of a million rows, against its body", window.peak / body, 4),
            at_most("peak for ten years of windows, against one year", decade.peak / year.peak, SAME),
        ],
        table=[
            COST_HEADING,
            write_cost(f"one window, a body of {body / 1e6:.0f} MB", window),
            write_cost("a year of windows", year),
            write_cost("ten years of such windows", decade),
        ],
        remark=_REMARK,
    )


def _sync(workshop: Workshop, first: date, last: date, *, rows: int) -> Cost:
    with workshop.serve(workshop.prepare_answers(first, last, rows)) as api:
        return workshop.iplum(
            *("sync", "--since", str(first), "--until", str(last)),
            data=workshop.new_folder("memory"),
            api=api,
            start_date=str(first),
        )
