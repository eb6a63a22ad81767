"""Malformed and malicious values in records, from the raw files to DuckDB, terminals, spreadsheets and JSON."""

import csv
import io
import itertools
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.commands.row_formats import write_rows
from tests.support.raw_responses import WINDOW, at, call, create_folder, response
from warehouse.archive.download_log import DownloadAttempt, DownloadLog
from warehouse.errors import QueryFailed
from warehouse.lake.fold import fold_window
from warehouse.outputs.escaping import escape_for_spreadsheet, escape_for_terminal, format_csv_row
from warehouse.outputs.query import run_query
from warehouse.raw.log import RawLog
from warehouse.schema.tables import CONTENTS, RECORDINGS, USAGE
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder

INJECTED = [
    "'; DROP TABLE usage; --",
    "\"); ATTACH '/etc/passwd' AS x; --",
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x.example")',
    "\x1b]0;taken\x07\x1b[2J",
    "../../etc/passwd",
    "\u202egnp.exe",
    "a\x00b",
    "\ud83d",
    "%s %n {0} $1 \\N",
    "x" * 10_000,
]
texts = st.sampled_from(INJECTED) | st.text(st.characters(), max_size=20)
values = texts | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(texts, max_size=2)
dates = st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2023-03-24T00:00:00Z", "2023-03-27T09:00:00Z"]
)
ids = st.sampled_from(["a", "b", "../../../a", "x" * 10_000, "'", " ", "", "\ud800"]) | values
FIELDS = ("source", "clientReferenceId", "usage", "from", "to", "direction", "type", "userId", "duration", "new")
records = st.fixed_dictionaries(
    {"recordId": ids, "startTimeUTC": dates | values},
    optional={**dict.fromkeys(FIELDS, values), "endTimeUTC": dates | values, "iPlumCredits": values},
)


def _is_storable(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def list_ids(elements: list[Any]) -> set[str]:
    """Return the record ids to expect. Lone surrogates and integers of more than 64 bits are not valid ids."""
    found = [record.get("recordId") for record in elements if isinstance(record, dict)]
    texts = {one for one in found if isinstance(one, str) and one and _is_storable(one)}
    return texts | {str(one) for one in found if type(one) is int and -(2**63) <= one < 2**64}


def query(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    return list(run_query(folder, sql).rows)


def test_records_with_any_values_are_in_the_tables_once(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    number = itertools.count()
    expected: dict[str, set[str]] = {}

    @settings(max_examples=40, deadline=None)
    @given(st.lists(records | values, min_size=1, max_size=8))
    @example([{"recordId": "a", "new": "half a letter: \ud83d", "\ude00": 1}])
    def load(elements: list[Any]) -> None:
        account = f"account-{next(number)}"
        for dataset in (USAGE, RECORDINGS):
            RawLog(folder, account, dataset.name).append(WINDOW, response(elements, 1))
            for window in fold_window(folder, dataset, account, WINDOW).other_windows:
                fold_window(folder, dataset, account, window)
        expected[account] = list_ids(elements)

    load()
    assert publish(folder).refolded == 0
    for table in ("usage", "recordings"):
        rows = query(folder, f"SELECT account, record_id FROM {table}")
        assert len(rows) == len(set(rows))
        found = {account: {name for owner, name in rows if owner == account} for account in expected}
        assert found == expected
    assert query(folder, "SELECT count(*) FROM usage WHERE extra IS NOT NULL AND NOT json_valid(extra)") == [(0,)]


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """One record per injected text, with the text in all fields and in the body."""
    folder = create_folder(tmp_path_factory.mktemp("injected"))
    fields = ("source", "clientReferenceId", "from", "to", "userId")
    injected_records = [
        call(f"id-{number}", f"{WINDOW.start + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}", usage="text")
        | dict.fromkeys(fields, text)
        for number, text in enumerate(INJECTED)
    ]
    RawLog(folder, "default", "usage").append(WINDOW, response(injected_records, 1))
    fold_window(folder, USAGE, "default", WINDOW)
    bodies = [DownloadAttempt.of_body(f"id-{number}", text, at(2)) for number, text in enumerate(INJECTED)]
    DownloadLog(folder, "default", CONTENTS.name).append(WINDOW, bodies)
    publish(folder)
    return folder


def test_injected_texts_are_stored_unchanged_in_every_column(injected: DataFolder) -> None:
    storable = {f"id-{number}": text for number, text in enumerate(INJECTED) if _is_storable(text)}
    assert len(query(injected, "SELECT * FROM usage")) == len(INJECTED)
    for column in ("source", "client_reference_id", "from_party", "to_party", "user_id"):
        rows = query(injected, f"SELECT record_id, {column} FROM usage WHERE {column} IS NOT NULL")
        assert dict(rows) == storable, column
    assert storable.items() <= dict(query(injected, "SELECT record_id, body FROM contents")).items()
    users = {name for (name,) in query(injected, "SELECT user_id FROM marts.user_summary") if name is not None}
    assert users <= set(storable.values())


def render(folder: DataFolder, row_format: Any) -> str:
    stream = io.StringIO()
    write_rows(
        run_query(folder, "SELECT from_party, body FROM usage JOIN contents USING (record_id)"), row_format, stream
    )
    return stream.getvalue()


def test_control_characters_in_a_text_are_escaped_for_a_terminal(injected: DataFolder) -> None:
    output = render(injected, "table")
    assert "\\x1b]0;taken\\x07" in output
    assert "\\u202egnp.exe" in output
    assert not [letter for letter in output if letter in "\x00\x07\x1b\u202e"]


def test_formulas_in_a_text_are_escaped_in_csv(injected: DataFolder) -> None:
    cells = [cell for row in csv.reader(io.StringIO(render(injected, "csv").replace("\x00", ""))) for cell in row]
    assert '\'=HYPERLINK("http://x.example")' in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))]


def test_json_output_has_the_texts_unchanged(injected: DataFolder) -> None:
    assert {row["from_party"] for row in json.loads(render(injected, "json"))} >= set(filter(_is_storable, INJECTED))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("+1 (408) 555-0100", "+1 (408) 555-0100"),
        ("+14085550100", "+14085550100"),
        ("-2.5", "-2.5"),
        ("a=1", "a=1"),
        (";=1+1", ";'=1+1"),
        ("a; =1+1", "a;' =1+1"),
        ('a;"=1+1"', 'a;\'"=1+1"'),
        ("a\t@SUM(A1)", "a\t'@SUM(A1)"),
        ("a|=1", "a|'=1"),
        ("\n=1+1", "'\n'=1+1"),
        ("a\r\n=1+1", "a\r\n'=1+1"),
        ("a\u2028=1", "a\u2028'=1"),
        (" =1+1", "' =1+1"),
        ("\ufeff=1+1", "'\ufeff=1+1"),
        ("\x00=1+1", "'\x00=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a;\uff0b1+1", "a;'\uff0b1+1"),
        ("\uff20x", "'\uff20x"),
        ("\u2212x", "'\u2212x"),
        ("see you, -Bob; call +1 (408) 555-0100", "see you, -Bob; call +1 (408) 555-0100"),
        ("a;+14085550100", "a;+14085550100"),
        ("", ""),
        (2.5, 2.5),
        (None, None),
    ],
)
def test_cells_that_a_spreadsheet_would_execute_get_an_apostrophe(text: Any, escaped: Any) -> None:
    assert escape_for_spreadsheet(text) == escaped


@given(st.text())
def test_terminal_output_is_printable_and_plain_text_is_unchanged(text: str) -> None:
    escaped = escape_for_terminal(text)
    assert not any(letter < " " and letter != "\n" for letter in escaped)
    assert escaped == text or not text.isprintable() or any("\u200e" <= letter <= "\u2069" for letter in text)


PIECES = ["=1+1", "\uff1dA1", "+A1", "@x", "-A1", ";", "\t", "|", "\n", "\r", '"', " ", "a"]


def split_cells(line: str, separator: str) -> list[str]:
    """Split a line as spreadsheets do: quotes count only at the beginning of a cell, or nowhere."""
    quoted = [cell for row in csv.reader(io.StringIO(line, newline=""), delimiter=separator) for cell in row]
    return quoted + re.split(f"[{separator}\r\n]", line.replace('"', ""))


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), min_size=1, max_size=3))
def test_no_cell_is_a_formula_in_any_locale(values: list[str]) -> None:
    line = format_csv_row(["x", *values])
    cells = [cell for separator in ";\t|" for cell in split_cells(line, separator)]
    cells += next(csv.reader(io.StringIO(line, newline="")))
    assert not [cell for cell in cells if cell.strip(' \t\r\n"').startswith(("=", "\uff1d", "+", "@", "-"))]


def test_a_row_of_csv_is_read_back_unchanged() -> None:
    values = ["plain", 'quotes " here', "a,b", "a;b", " blanks ", "two\nlines", "don't", "+14085550100", "", "é"]
    line = format_csv_row([None, 2.5, *values])
    assert line.startswith(",2.5,plain,")
    assert "+14085550100" in line.split(",")
    assert next(csv.reader(io.StringIO(line, newline=""))) == ["", "2.5", *values]
    assert format_csv_row(["a;=1"]) == '"a;\'=1"'


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("row_format", ["table", "csv", "json"])
def test_no_format_sends_control_characters_to_a_terminal(injected: DataFolder, row_format: Any) -> None:
    screen = Screen()
    write_rows(run_query(injected, 'SELECT from_party AS "\x1b[2J" FROM usage'), row_format, screen)
    # The table's header is bold.
    shown = re.sub(r"\x1b\[[01]m", "", screen.getvalue())
    assert not [letter for letter in shown if letter in "\x00\x07\x1b\u202e"]
    assert "\\x1b" in screen.getvalue() or "\\u001b" in screen.getvalue()


def test_csv_in_a_file_keeps_control_characters(injected: DataFolder) -> None:
    assert "\x1b]0;taken\x07" in render(injected, "csv")


def test_an_error_text_has_control_characters_escaped(injected: DataFolder) -> None:
    for sql in (
        'SELECT "\x1b[2J\u202e" FROM usage',
        "SELECT from_party::INTEGER FROM usage WHERE from_party ~ '\\x1b'",
    ):
        with pytest.raises(QueryFailed) as caught:
            query(injected, sql)
        assert "\x1b" not in str(caught.value)
        assert "\u202e" not in str(caught.value)
        assert "\\x1b" in str(caught.value)
