"""`iplum verify`: comparison with iPlum, and verification of files, lake and tables."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.clock import now
from pipelines.commands.failure_alert import alert_on_failure
from pipelines.commands.invocation import (
    Account,
    AsJson,
    Since,
    Until,
    exit_on,
    format_count,
    read_accounts,
    read_range,
    start_of_day,
    write_json,
)
from pipelines.settings import Settings, SettingsError
from warehouse.progress import ProgressCallback

if TYPE_CHECKING:
    from pipelines.runs.sync import SyncReport

Expect = Annotated[
    str | None,
    typer.Option(metavar="SEQ:HASH", help="An entry of the evidence chain that was kept elsewhere; it must be there."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Verify local data only, without requests to iPlum.")]


def verify(
    since: Since = None,
    until: Until = None,
    offline: Offline = False,
    account: Account = None,
    expect: Expect = None,
    as_json: AsJson = False,
) -> None:
    """Compare records with iPlum, files with their hashes, tables with a fresh rebuild, and all with what was sealed.

    Each window is requested again, whole and in halves, so that truncated responses are found. Missing records are
    stored and published. Missing or damaged files are marked, and 'iplum archive' downloads them again. The command
    prints a line for each difference, and exits with 1 if there is one. Notes report data that iPlum sent in an
    undocumented form. They do not count as differences.

    Examples: `iplum verify` · `iplum verify --since 2024-01-01 --until 2024-02-01` · `iplum verify --offline`
    """
    accounts, environ = read_accounts("verify")
    first, last = read_range(since, until)
    if expect is not None and not re.fullmatch("[0-9]+:[0-9a-f]{64}", expect):
        raise SettingsError("--expect must be an entry as 'iplum seal' prints it: NUMBER:HASH")
    from pipelines.commands.progress_bar import ProgressBar

    with alert_on_failure(accounts[0], "verify") as mismatches, ProgressBar() as bar:
        if not offline:
            from pipelines.defs.jobs import AUDIT
            from pipelines.runs.sync import sync

            report = sync(
                *accounts, environ=environ, only=account, since=first, until=last, progress=bar, clock=now, job=AUDIT
            )
            mismatches += [*report.failures, *_list_findings(report)]
        on_progress = bar.track("archive", "windows")
        notes: list[str] = []
        sizes = _verify_here(
            accounts, since=first, until=last, on_progress=on_progress, mismatches=mismatches, notes=notes
        )
        mismatches += _verify_evidence(accounts[0], expect, notes)
    if as_json:
        write_json({"files": len(sizes), "bytes": sum(sizes), "differences": mismatches, "notes": notes})
    else:
        if not offline:
            _show_audit(report)
        for note in notes:
            typer.echo(f"note: {note}")
        found = format_count(len(mismatches), "difference")
        typer.echo(f"{format_count(len(sizes), 'file')} hashed, {sum(sizes):,} bytes; {found}")
    exit_on(mismatches)


def _verify_here(
    accounts: Sequence[Settings],
    *,
    since: date | None,
    until: date | None,
    on_progress: ProgressCallback,
    mismatches: list[str],
    notes: list[str],
) -> list[int]:
    """Verify local data: add the mismatches and notes, mark lost files, and return the sizes of the hashed files."""
    from pipelines.warehouse_folder import build_mart_settings, open_folder
    from warehouse.archive.backlog import LostFiles, mark_lost
    from warehouse.checks.verification import Verification
    from warehouse.snapshot.publish import publish

    sizes: list[int] = []
    losses: list[LostFiles] = []
    verification = Verification(
        folder=open_folder(accounts[0]),
        settings=build_mart_settings(accounts),
        since=start_of_day(since),
        until=start_of_day(until),
        on_file=sizes.append,
        on_loss=losses.append,
        on_progress=on_progress,
    )
    mismatches.extend(map(str, verification.find_mismatches()))
    notes.extend(verification.find_notes())
    if losses:
        mark_lost(verification.folder, losses, at=now())
        publish(verification.folder, verification.settings)
    return sizes


def _verify_evidence(settings: Settings, expect: str | None, notes: list[str]) -> list[str]:
    """Return what does not fit in the evidence chain; add its last entry to the notes."""
    from pipelines.warehouse_folder import find_seal_key, open_folder
    from warehouse.evidence.chain_verification import find_chain_problems
    from warehouse.evidence.seal import read_chain

    folder = open_folder(settings)
    problems = [str(problem) for problem in find_chain_problems(folder, find_seal_key(settings), expect=expect)]
    if not problems:
        _, entries = read_chain(folder)
        notes += [f"evidence: last entry {entries[-1].reference}"] if entries else []
    return problems


def _show_audit(report: "SyncReport") -> None:
    for name, tally in report.datasets.items():
        found = tally.findings
        refused = " (refused: no recording plan)" if tally.refused else ""
        typer.echo(
            f"{name:<12}{tally.windows:>5} {'window ' if tally.windows == 1 else 'windows'} requested again{refused}: "
            f"{format_count(found.missing, 'row')} missing, "
            f"{found.changed:,} changed, {found.deleted:,} deleted at iPlum"
        )


def _list_findings(report: "SyncReport") -> Iterator[str]:
    for name, tally in report.datasets.items():
        found = tally.findings
        if found.missing:
            yield f"{name}: {_count_rows(found.missing)} missing; this audit added and published them"
        if found.changed:
            yield f"{name}: {_count_rows(found.changed)} changed at iPlum; they are now up to date"
        if found.deleted:
            yield f"{name}: {_count_rows(found.deleted)} deleted at iPlum; they are kept here with absent_since"


def _count_rows(rows: int) -> str:
    return f"{format_count(rows, 'row')} {'was' if rows == 1 else 'were'}"
