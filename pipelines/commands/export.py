"""`iplum export`: an extract that proves itself, for whoever asks for one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.invocation import begin_day, open_console, read_range, read_settings
from pipelines.settings import SettingsError


def export(
    folder: Annotated[str, typer.Argument(help="The folder to write; it must not be there yet.")],
    since: Annotated[str, typer.Option(metavar="DAY", help="First day, UTC; included.")],
    until: Annotated[str, typer.Option(metavar="DAY", help="Day to stop before, UTC; excluded.")],
    user: Annotated[str | None, typer.Option(help="Of this iPlum user alone.")] = None,
    counterparty: Annotated[str | None, typer.Option(help="With this number or login alone.")] = None,
) -> None:
    """Write an extract for whoever asks: records, bodies and files, with a manifest that proves them.

    `cd FOLDER && sha256sum -c SHA256SUMS` checks it anywhere.

    Example: `iplum export --since 2024-01-01 --until 2024-04-01 --user ann@clinic.example case-17`
    """
    settings, _ = read_settings()
    first, last = (begin_day(day) for day in read_range(since, until))
    if first is None or last is None or last <= first:
        raise SettingsError(f"--until {until} leaves nothing after --since {since}: it is excluded")
    from pipelines.commands.progress_bar import ProgressBar
    from pipelines.warehouse_folder import open_folder
    from warehouse.outputs.export import Selection
    from warehouse.outputs.export import export as write_extract

    selection = Selection(since=first, until=last, user=user, counterparty=counterparty)
    with ProgressBar(open_console(stderr=True)) as bar:
        extract = write_extract(
            open_folder(settings), selection, Path(folder), on_progress=bar.watch("files", "files")
        )
    for part, rows in extract.rows.items():
        typer.echo(f"{part:<12}{rows:>10,} rows")
    typer.echo(f"{'files':<12}{extract.files:>10,}")
    if extract.missing:
        typer.echo(
            f"warning: {extract.missing:,} bodies or files are not in the archive: 'iplum archive'", err=True
        )
    typer.echo(f"written to {folder}; check it with: cd {folder} && sha256sum -c SHA256SUMS")
