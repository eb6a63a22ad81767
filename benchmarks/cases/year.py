"""A sync of a year with 500,000 rows, compared with dlt and a plain script on the same API.

All rows are usage records. This project also requests recordings (there are none), stores each response, and builds
tables, marts and the report.
"""

import sys
from datetime import date

from benchmarks.cases.publishing import BUILD_MARTS, PUBLISH
from benchmarks.costs import Cost, take_median
from benchmarks.findings import COST_HEADING, Findings, at_least, at_most, write_cost
from benchmarks.profiling import render_profile, share_out
from benchmarks.workshop import Api, Workshop

FIRST, LAST = date(2024, 1, 1), date(2025, 1, 1)
OURS, DLT, BARE, IDLE = "this project", "dlt", "plain script", "Dagster with idle assets"
_REMARK = (
    "The plain script stores no responses, checks nothing and writes one file. Dagster with idle assets, which records "
    "each window of each asset, takes {idle:.2f} times the CPU time of the script. With the work of the script added, "
    "it would take {floor:.2f} times. The last rows of the table are wall times of the parts of a sync under the "
    "profiler, which slows down Python code."
)
PARTS = {
    "merging": [("warehouse.lake.fold", "fold_window")],
    "publishing including marts": [PUBLISH],
    "marts only": [BUILD_MARTS],
    "report": [("warehouse.outputs.report", "write_report")],
    "Dagster's history": [("dagster._core.storage.event_log.sqlite.sqlite_event_log", "store_event")],
}


def sync(workshop: Workshop, api: Api) -> Cost:
    """Sync the year into a new folder."""
    data = workshop.new_folder("year")
    return workshop.iplum("sync", "--since", str(FIRST), "--until", str(LAST), data=data, api=api)


def run(workshop: Workshop) -> Findings:
    """Run the programs in turn and compare their CPU times."""
    rows = workshop.choose(500_000, 2_000)
    days = str(FIRST), str(LAST)
    costs: dict[str, list[Cost]] = {OURS: [], BARE: [], IDLE: [], DLT: []}
    with workshop.serve(workshop.prepare_responses(FIRST, LAST, rows)) as api:
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
    lines = [at_most("sync of a year, CPU time relative to the plain script", ours / bare, 1.5)]
    if DLT in medians:
        lines.append(at_least("sync of a year, CPU time of dlt relative to this project", medians[DLT].cpu / ours, 15))
    return Findings(
        lines,
        table=[
            COST_HEADING,
            *(write_cost(name, cost) for name, cost in medians.items()),
            *([f"{OURS}, profiled: {part}", "", f"{seconds:.2f}", ""] for part, seconds in parts.items()),
        ],
        profiles={"sync": render_profile(stats)},
        remark=_REMARK.format(idle=idle, floor=idle + 1),
    )
