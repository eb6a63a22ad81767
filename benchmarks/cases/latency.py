"""A pull of five years from an API with a latency of 100 ms, from the first request to the last response.

The minimum time is requests times latency divided by concurrency. The times are recorded by the API server.
"""

import sys
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from statistics import median

from benchmarks.findings import Findings, Line, at_most
from benchmarks.workshop import RequestTimes, Workshop

CONCURRENCY = 8
LATENCY = 0.1
#: Pauses of more seconds between a response and the next request are pauses between two runs.
_PAUSE = 5 * LATENCY
_REMARK = (
    "The pull is the part of a sync between the API and the lake, for both datasets in turn. `iplum sync` splits a "
    "history of this length into runs of 80 windows. Between runs, Dagster records the result of each window, with "
    "one connection to its SQLite file per record, and plans the next run. "
    "The first window of each dataset is requested alone, so that a rejected key causes one request."
)


def run(workshop: Workshop) -> Findings:
    """Pull a few rows per window, without Dagster and in complete syncs, and read the times that the API recorded."""
    first, last = date(workshop.choose(2019, 2023), 1, 1), workshop.choose(date(2024, 1, 1), date(2023, 1, 20))
    windows = 60 * workshop.choose(5, 1)
    days = str(first), str(last)
    pulls, syncs = [], []
    with workshop.serve(workshop.prepare_responses(first, last, 300 * windows), latency=LATENCY) as api:
        for _ in range(workshop.rounds):
            account = {"start_date": days[0], "concurrency": str(CONCURRENCY)}
            environ = workshop.account(workshop.new_folder("pull"), api, **account)
            workshop.measure(sys.executable, "-m", "benchmarks.bare_pull", *days, environ=environ)
            pulls.append(api.read_request_times())
            data = workshop.new_folder("latency")
            workshop.iplum("sync", "--since", days[0], "--until", days[1], data=data, api=api, **account)
            syncs.append(api.read_request_times())
    minimum = len(pulls[0].requested_at) * LATENCY / CONCURRENCY
    pull, whole_sync = (median(times.span for times in all_times) for all_times in (pulls, syncs))
    pauses = [find_pauses(times) for times in syncs]
    paused = median(map(sum, pauses))
    return Findings(
        [
            at_most("pull of five years at 100 ms per response, relative to the minimum", pull / minimum, 1.3),
            Line("the same with iplum sync, in runs of 80 windows", f"{whole_sync / minimum:.2f} \u00d7", "", None),
        ],
        table=[
            ("", "requests", "minimum s", "first request to last response s", "between runs s", "pauses"),
            ("pull without Dagster", str(len(pulls[0].requested_at)), f"{minimum:.1f}", f"{pull:.1f}", "", ""),
            (
                "iplum sync",
                str(len(syncs[0].requested_at)),
                f"{minimum:.1f}",
                f"{whole_sync:.1f}",
                f"{paused:.1f}",
                str(len(pauses[0])),
            ),
        ],
        remark=_REMARK,
    )


def find_pauses(times: RequestTimes) -> Sequence[float]:
    """Return the seconds of each pause between two runs: no request although all responses had been sent."""
    events = sorted([(at, True) for at in times.requested_at] + [(at, False) for at in times.responded_at])
    gaps = [
        later - earlier
        for (earlier, was_request), (later, is_request) in pairwise(events)
        if is_request and not was_request
    ]
    return [gap for gap in gaps if gap > _PAUSE]
