"""`iplum export`: an extract for counsel or an auditor."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.invocation import read_range, read_settings_of_reader, start_of_day
from pipelines.settings import SettingsError
from warehouse.storage.paths import MEDIA


def export(
    folder: Annotated[str, typer.Argument(help="New folder to write.")],
    since: Annotated[str, typer.Option(metavar="DAY", help="First day (UTC), such as 2024-01-31.")],
    until: Annotated[str, typer.Option(metavar="DAY", help="Stop before this day (UTC).")],
    user: Annotated[str | None, typer.Option(help="Only this iPlum user.")] = None,
    counterparty: Annotated[str | None, typer.Option(help="Only this number or login.")] = None,
) -> None:
    """Write an extract for counsel or an auditor: records, message texts and files, with a manifest of checksums.

    Times are in the time zone IPLUM_TIMEZONE, with their offset.

    To check the extract on any machine, run `cd FOLDER && sha256sum -c SHA256SUMS`.

    Example: `iplum export --since 2024-01-01 --until 2024-04-01 --user ann@clinic.example case-17`
    """
    settings = read_settings_of_reader(MEDIA)
    first, last = (start_of_day(day) for day in read_range(since, until))
    if first is None or last is None or last <= first:
        raise SettingsError(f"--until {until} must be after --since {since}: it is excluded")
    from pipelines.commands.progress_bar import ProgressBar
    from pipelines.warehouse_folder import open_folder
    from warehouse.outputs.export import Selection
    from warehouse.outputs.export import export as write_extract

    selection = Selection(since=first, until=last, user=user, counterparty=counterparty)
    with ProgressBar() as bar:
        extract = write_extract(
            open_folder(settings),
            selection,
            Path(folder),
            time_zone=settings.time_zone,
            on_progress=bar.track("files", "files"),
        )
    for part, rows in extract.rows.items():
        typer.echo(f"{part:<12}{rows:>10,} rows")
    typer.echo(f"{'files':<12}{extract.files:>10,}")
    if extract.missing:
        typer.echo(
            f"warning: {extract.missing:,} bodies or files are not in the archive. Run 'iplum archive'.", err=True
        )
    typer.echo(f"Written to {folder}. Check it with: cd {folder} && sha256sum -c SHA256SUMS")
