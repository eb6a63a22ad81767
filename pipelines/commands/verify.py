"""`iplum verify`: the proof of what is kept."""

from __future__ import annotations

import typer

from pipelines.commands.invocation import Since, Until, begin_day, end_with, read_accounts, read_range


def verify(since: Since = None, until: Until = None) -> None:
    """Prove what is kept: every file and body against its hash, the lake against raw, the tables against the lake.

    Prints a line for each difference and exits with 1 when there is one. Nothing is changed.

    Example: `iplum verify --since 2024-01-01 --until 2024-02-01`
    """
    accounts, _ = read_accounts()
    first, last = read_range(since, until)
    from pipelines.storage import choose_marts, open_folder
    from warehouse.verification import Verification

    sizes: list[int] = []
    verification = Verification(
        folder=open_folder(accounts[0]),
        settings=choose_marts(accounts),
        since=begin_day(first),
        until=begin_day(last),
        on_file=sizes.append,
    )
    differences = [str(difference) for difference in verification.find_differences()]
    typer.echo(f"{len(sizes):,} files hashed, {sum(sizes):,} bytes; {len(differences):,} differences")
    end_with(differences)
