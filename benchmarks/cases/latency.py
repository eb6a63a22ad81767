"""Five years from an API that takes 100 ms for each answer, counted from the first request to the last answer.

The least that it can take is requests times latency divided by concurrency. Times are those that the API saw.
"""

from __future__ import annotations

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
    "A history goes in runs of eighty windows at most, and each ends with publishing: those are the pauses. "
    "The first window of each dataset goes alone, so that a refusal costs one request."
)


def run(workshop: Workshop) -> Findings:
    """Sync a few rows a window, and look into the API's diary."""
    first, last = date(workshop.choose(2019, 2023), 1, 1), workshop.choose(date(2024, 1, 1), date(2023, 1, 20))
    windows = 60 * workshop.choose(5, 1)
    diaries = []
    with workshop.serve(workshop.prepare_answers(first, last, 300 * windows), latency=LATENCY) as api:
        for _ in range(workshop.rounds):
            workshop.iplum(
                "sync",
                *("--since", str(first), "--until", str(last)),
                data=workshop.new_folder("latency"),
                api=api,
                start_date=str(first),
                concurrency=str(CONCURRENCY),
            )
            diaries.append(api.read_diary())
    requests = len(diaries[0].asked)
    least = requests * LATENCY / CONCURRENCY
    spans = [diary.span for diary in diaries]
    pauses = [find_pauses(diary) for diary in diaries]
    pulling = median(span - sum(pause) for span, pause in zip(spans, pauses, strict=True))
    return Findings(
        [
            at_most(
                "pull of five years at 100 ms an answer, against the least possible", median(spans) / least, 1.3
            ),
            Line("the same without the pauses between runs", f"{pulling / least:.2f} \u00d7", "", None),
        ],
        table=[
            ("requests", "least s", "first to last s", "of it pauses s", "pauses"),
            (
                str(requests),
                f"{least:.1f}",
                f"{median(spans):.1f}",
                f"{median(sum(pause) for pause in pauses):.1f}",
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
