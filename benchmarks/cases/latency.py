"""Five years from an API that takes 100 ms for each answer, counted from the first request to the last answer.

The least that it can take is requests times latency divided by concurrency. Times are those that the API saw.
"""

import sys
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from statistics import median

from benchmarks.findings import Findings, Line, at_most
from benchmarks.workshop import Diary, Workshop

CONCURRENCY = 8
LATENCY = 0.1
#: A pause of this many seconds between an answer and the next request is one between two runs.
_PAUSE = 5 * LATENCY
_REMARK = (
    "The pull is what a sync does between the API and the lake, both datasets one after the other. A sync of so "
    "long a history goes in runs of eighty windows: between them Dagster notes what became of each window, with a "
    "connection to its SQLite file for each note, and plans the next run. "
    "The first window of each dataset goes alone, so that a refusal costs one request."
)


def run(workshop: Workshop) -> Findings:
    """Pull a few rows a window, alone and in whole syncs, and look into the API's diary."""
    first, last = date(workshop.choose(2019, 2023), 1, 1), workshop.choose(date(2024, 1, 1), date(2023, 1, 20))
    windows = 60 * workshop.choose(5, 1)
    days = str(first), str(last)
    pulls, syncs = [], []
    with workshop.serve(workshop.prepare_answers(first, last, 300 * windows), latency=LATENCY) as api:
        for _ in range(workshop.rounds):
            account = {"start_date": days[0], "concurrency": str(CONCURRENCY)}
            environ = workshop.account(workshop.new_folder("pull"), api, **account)
            workshop.measure(sys.executable, "-m", "benchmarks.bare_pull", *days, environ=environ)
            pulls.append(api.read_diary())
            data = workshop.new_folder("latency")
            workshop.iplum("sync", "--since", days[0], "--until", days[1], data=data, api=api, **account)
            syncs.append(api.read_diary())
    least = len(pulls[0].asked) * LATENCY / CONCURRENCY
    alone, whole = (median(diary.span for diary in diaries) for diaries in (pulls, syncs))
    pauses = [find_pauses(diary) for diary in syncs]
    paused = median(map(sum, pauses))
    return Findings(
        [
            at_most("pull of five years at 100 ms an answer, against the least possible", alone / least, 1.3),
            Line("the same by iplum sync, in runs of eighty windows", f"{whole / least:.2f} \u00d7", "", None),
        ],
        table=[
            ("", "requests", "least s", "first to last s", "between runs s", "pauses"),
            ("pull alone", str(len(pulls[0].asked)), f"{least:.1f}", f"{alone:.1f}", "", ""),
            (
                "iplum sync",
                str(len(syncs[0].asked)),
                f"{least:.1f}",
                f"{whole:.1f}",
                f"{paused:.1f}",
                str(len(pauses[0])),
            ),
        ],
        remark=_REMARK,
    )


def find_pauses(diary: Diary) -> Sequence[float]:
    """List how long nothing was asked, where that was longer than between two windows."""
    marks = sorted([(at, True) for at in diary.asked] + [(at, False) for at in diary.answered])
    gaps = [
        later - earlier
        for (earlier, was_request), (later, is_request) in pairwise(marks)
        if is_request and not was_request
    ]
    return [gap for gap in gaps if gap > _PAUSE]
