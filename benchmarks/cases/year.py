"""A year of 500,000 rows: this project, dlt and a bare script, from the same API.

The rows are those of one endpoint; this project also asks for the recordings, of which there are none, keeps each
answer, and builds tables, marts and the report.
"""

import sys
from datetime import date

from benchmarks.cases.publishing import BUILD_MARTS, PUBLISH
from benchmarks.costs import Cost, take_median
from benchmarks.findings import COST_HEADING, Findings, at_least, at_most, write_cost
from benchmarks.profiling import render_profile, share_out
from benchmarks.workshop import Api, Workshop

FIRST, LAST = date(2024, 1, 1), date(2025, 1, 1)
OURS, DLT, BARE, IDLE = "this project", "dlt", "bare script", "Dagster, with assets that do nothing"
_REMARK = (
    "The bare script keeps no answer, proves nothing and builds one file. Dagster alone, noting of each window of "
    "each asset here that nothing was done, takes {idle:.2f} times what the script takes: with the script's own "
    "work in it, {floor:.2f} times. The last rows of the table say what a sync does next to: seconds of the clock "
    "under the profiler, which makes Python dearer than it is."
)
PARTS = {
    "folding": [("warehouse.lake.fold", "fold_window")],
    "publishing, with the marts": [PUBLISH],
    "of it the marts": [BUILD_MARTS],
    "the report": [("warehouse.outputs.report", "write_report")],
    "Dagster's history": [("dagster._core.storage.event_log.sqlite.sqlite_event_log", "store_event")],
}


def sync(workshop: Workshop, api: Api) -> Cost:
    """Sync the year into a new folder."""
    data = workshop.new_folder("year")
    return workshop.iplum("sync", "--since", str(FIRST), "--until", str(LAST), data=data, api=api)


def run(workshop: Workshop) -> Findings:
    """Run the three in turn and compare their processor time."""
    rows = workshop.choose(500_000, 2_000)
    days = str(FIRST), str(LAST)
    costs: dict[str, list[Cost]] = {OURS: [], BARE: [], IDLE: [], DLT: []}
    with workshop.serve(workshop.prepare_answers(FIRST, LAST, rows)) as api:
        for _ in range(workshop.rounds):
            costs[OURS].append(sync(workshop, api))
            file = workshop.new_folder("bare") / "usage.parquet"
            costs[BARE].append(
                workshop.measure(sys.executable, "-m", "benchmarks.rivals.bare_script", api.url, *days, file)
            )
            environ = workshop.account(workshop.new_folder("idle"), api)
            costs[IDLE].append(workshop.measure(sys.executable, "-m", "benchmarks.idle_sync", *days, environ=environ))
            if not workshop.offline:
                folder = workshop.new_folder("dlt-data")
                script = "benchmarks.rivals.dlt_pipeline"
                costs[DLT].append(workshop.measure(workshop.dlt_python, "-m", script, api.url, *days, folder))
        data = workshop.new_folder("year")
        stats = workshop.profile("wall", "sync", "--since", days[0], "--until", days[1], data=data, api=api)
    parts = share_out(stats, PARTS)
    medians = {name: take_median(rounds) for name, rounds in costs.items() if rounds}
    ours, bare = medians[OURS].cpu, medians[BARE].cpu
    idle = medians[IDLE].cpu / bare
    lines = [at_most("sync of a year, CPU against the bare script", ours / bare, 1.5)]
    if DLT in medians:
        lines.append(at_least("sync of a year, CPU of dlt against ours", medians[DLT].cpu / ours, 15))
    return Findings(
        lines,
        table=[
            COST_HEADING,
            *(write_cost(name, cost) for name, cost in medians.items()),
            *([f"ours, profiled: {part}", "", f"{taken:.2f}", ""] for part, taken in parts.items()),
        ],
        profiles={"sync": render_profile(stats)},
        remark=_REMARK.format(idle=idle, floor=idle + 1),
    )
