"""`iplum people`: names of the people behind numbers and logins."""

import csv
import sys
from typing import Annotated

import typer

from pipelines.commands.invocation import format_count, read_settings
from pipelines.settings import SettingsError
from pipelines.warehouse_folder import open_folder

people = typer.Typer(
    name="people",
    help="Show names instead of numbers: check the people files, write an example, list unknown numbers.\n\n"
    "Examples: `iplum people template > people.csv` · `iplum people check` · `iplum people unknown`",
    no_args_is_help=True,
)

_TEMPLATE = (
    ("Ann Lee", "+1 408 555 0101", "ann@clinic.example", "Front desk", "", "", "", "a user of iPlum"),
    ("Carla Diaz", "408-555-0201; 408-555-0202", "", "", "C-1001", "", "2025-06-30", "a client, until that day"),
)
_MOST = 100


@people.command()
def check() -> None:
    """Check the people files: entries per file, rows that cannot be read, and numbers of several people.

    It exits with 1 if there is a problem. Names are not shown.

    Example: `iplum people check`
    """
    settings, _ = read_settings()
    from warehouse.people.directory import build_directory
    from warehouse.people.people_files import list_people_files, read_people_file

    files = list_people_files(settings.people)
    if not files:
        raise SettingsError(
            "there is no people file: create people.csv with 'iplum people template > people.csv', or set IPLUM_PEOPLE"
        )
    contents = [read_people_file(path) for path in files]
    for path, content in zip(files, contents, strict=True):
        typer.echo(f"{path}: {content.format or 'unknown format'}, {format_count(len(content.entries), 'entry')}")
    directory = build_directory([entry for content in contents for entry in content.entries], settings.region)
    typer.echo(
        f"{format_count(len(directory.people), 'person')} with "
        f"{format_count(len({one.party for one in directory.numbers}), 'number or login')}"
    )
    problems = [problem for content in contents for problem in content.problems] + list(directory.problems)
    for problem in problems:
        typer.echo(f"problem: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


@people.command()
def template() -> None:
    """Print an example of people.csv.

    Example: `iplum people template > people.csv`
    """
    from warehouse.people.csv_formats import OWN_COLUMNS

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(OWN_COLUMNS)
    writer.writerows(_TEMPLATE)


@people.command()
def unknown(limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = _MOST) -> None:
    """Print the most frequent numbers without a name as CSV, ready to fill in and add to people.csv.

    Example: `iplum people unknown --limit 20 > unknown.csv`
    """
    settings, _ = read_settings()
    from warehouse.outputs.unknown_parties import list_unknown_parties
    from warehouse.people.csv_formats import OWN_COLUMNS

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(OWN_COLUMNS)
    for party in list_unknown_parties(open_folder(settings), limit):
        note = f"{format_count(party.records, 'record')}, last on {party.last_day}"
        is_login = party.kind == "login"
        writer.writerow(("", "" if is_login else party.party, party.party if is_login else "", "", "", "", "", note))
