"""Names of people: the commands, publishing after a change, and no name in any output or log."""

import csv
import io
from pathlib import Path

import pytest

from iplum_resource.standin.options import Options
from iplum_resource.standin.people import format_people
from pipelines import cli
from tests.support.account import Account
from tests.support.raw_responses import call, fold, response
from warehouse.people.csv_formats import OWN_COLUMNS

pytestmark = pytest.mark.usefixtures("account")
CANARY = "Zanzibar Quux"
PEOPLE = f"name,numbers,team,valid_until\n{CANARY},(408) 555-0100,Front desk,\nBo Ray,408-555-0199,,2020-01-01\n"


@pytest.fixture
def book(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a people file, and two records in the lake: from a number in it, and from another."""
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    monkeypatch.setenv("IPLUM_PEOPLE", str(path))
    records = [
        call("a", **{"from": "+14085550100", "direction": "in"}),
        call("b", **{"from": "+14085550188", "direction": "in"}),
    ]
    fold(account.folder, response(records, hours=1))
    return path


def test_a_publish_shows_names_without_a_request(
    account: Account, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["publish"]) == 0
    assert account.query("SELECT name, team, source FROM people ORDER BY name") == [
        ("Bo Ray", None, "people.csv"),
        (CANARY, "Front desk", "people.csv"),
    ]
    named = "SELECT record_id, name FROM usage LEFT JOIN party_names ON party = counterparty ORDER BY record_id"
    assert account.query(named) == [("a", CANARY), ("b", None)]
    book.write_text(PEOPLE.replace(CANARY, "New Name"))
    assert cli.run(["publish"]) == 0
    assert account.query(named) == [("a", "New Name"), ("b", None)]
    assert "     0 windows replaced" in capsys.readouterr().out
    assert account.server.requests == []


def test_a_broken_file_keeps_the_names_and_warns(
    account: Account, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["publish"]) == 0
    book.write_bytes(b"\x00\x01")
    assert cli.run(["publish"]) == 0
    assert "warning: people.csv: the file is not text" in capsys.readouterr().err
    assert account.query("SELECT count(*) FROM people") == [(2,)]


def test_check_counts_and_names_the_line_of_a_problem(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["people", "check"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [f"{book}: people, 2 entries", "2 people with 2 numbers and logins"]
    book.write_text(PEOPLE + f"Other,+14085550100,,\n,4085550101,,\n{CANARY},,,\n")
    assert cli.run(["people", "check"]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "problem: people.csv, line 5: the row has no name",
        "problem: people.csv, line 6: the entry has no number and no login",
        "problem: people.csv, line 4: "
        "the number or login is also another person's (people.csv, line 2) at the same time",
    ]
    assert CANARY not in shown.out + shown.err


def test_check_without_a_file_says_how_to_create_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["people", "check"]) == 2
    assert "iplum people template" in capsys.readouterr().err


def test_the_template_passes_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["people", "template"]) == 0
    path = tmp_path / "people.csv"
    path.write_text(capsys.readouterr().out)
    assert path.read_text().splitlines()[0].split(",") == list(OWN_COLUMNS)
    monkeypatch.setenv("IPLUM_PEOPLE", str(path))
    assert cli.run(["people", "check"]) == 0


@pytest.mark.usefixtures("book")
def test_unknown_lists_numbers_without_a_name_as_rows_to_fill_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["publish"]) == 0
    capsys.readouterr()
    assert cli.run(["people", "unknown"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert tuple(rows[0]) == OWN_COLUMNS
    numbers = {row["numbers"]: row["note"] for row in rows if row["numbers"]}
    assert numbers == {"+14085550188": "1 record, last on 2023-03-24"}
    assert all("@" in row["login"] for row in rows if not row["numbers"])


@pytest.mark.parametrize(("region", "expected"), [("XX", "IPLUM_REGION must be two letters of a region"), ("de", None)])
def test_the_region_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], region: str, expected: str | None
) -> None:
    monkeypatch.setenv("IPLUM_REGION", region)
    code = cli.run(["people", "check"])
    assert code == 2
    assert (expected or "there is no people file") in capsys.readouterr().err


def test_the_file_of_the_stand_in_passes_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "names.csv"
    path.write_text(format_people(Options()))
    monkeypatch.setenv("IPLUM_PEOPLE", str(path))
    assert cli.run(["people", "check"]) == 0
    assert capsys.readouterr().err == ""
