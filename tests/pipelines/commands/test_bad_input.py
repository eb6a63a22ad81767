"""Whatever a record holds goes the whole way to DuckDB: each row once, each text as it came, no window stops."""

import csv
import io
import itertools
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.commands.row_formats import write_rows
from tests.support.raw_responses import WINDOW, answer, at, call, create_folder
from warehouse.archive.download_log import DownloadAttempt, DownloadLog
from warehouse.lake.fold import fold_window
from warehouse.outputs.escaping import escape_for_spreadsheet, escape_for_terminal
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
    """Return the rows to expect for odd input, such as a lone surrogate or a number that does not fit into 64 bits."""
    found = [record.get("recordId") for record in elements if isinstance(record, dict)]
    texts = {one for one in found if isinstance(one, str) and one and _is_storable(one)}
    return texts | {str(one) for one in found if type(one) is int and -(2**63) <= one < 2**64}


def ask(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    return list(run_query(folder, sql).rows)


def test_records_of_any_kind_reach_the_tables_once(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    number = itertools.count()
    expected: dict[str, set[str]] = {}

    @settings(max_examples=40, deadline=None)
    @given(st.lists(records | values, min_size=1, max_size=8))
    @example([{"recordId": "a", "new": "half a letter: \ud83d", "\ude00": 1}])
    def file(elements: list[Any]) -> None:
        account = f"account-{next(number)}"
        for dataset in (USAGE, RECORDINGS):
            RawLog(folder, account, dataset.name).append(WINDOW, answer(elements, 1))
            for window in fold_window(folder, dataset, account, WINDOW).other_windows:
                fold_window(folder, dataset, account, window)
        expected[account] = list_ids(elements)

    file()
    assert publish(folder).refolded == 0
    for table in ("usage", "recordings"):
        rows = ask(folder, f"SELECT account, record_id FROM {table}")
        assert len(rows) == len(set(rows))
        found = {account: {name for owner, name in rows if owner == account} for account in expected}
        assert found == expected
    assert ask(folder, "SELECT count(*) FROM usage WHERE extra IS NOT NULL AND NOT json_valid(extra)") == [(0,)]


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """One record for each planted text, with the text in all its fields and in its body."""
    folder = create_folder(tmp_path_factory.mktemp("injected"))
    fields = ("source", "clientReferenceId", "from", "to", "userId")
    made = [
        call(f"id-{number}", f"{WINDOW.start + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}", usage="text")
        | dict.fromkeys(fields, text)
        for number, text in enumerate(INJECTED)
    ]
    RawLog(folder, "default", "usage").append(WINDOW, answer(made, 1))
    fold_window(folder, USAGE, "default", WINDOW)
    bodies = [DownloadAttempt.of_body(f"id-{number}", text, at(2)) for number, text in enumerate(INJECTED)]
    DownloadLog(folder, "default", CONTENTS.name).append(WINDOW, bodies)
    publish(folder)
    return folder


def test_sql_in_every_text_is_text(injected: DataFolder) -> None:
    whole = {f"id-{number}": text for number, text in enumerate(INJECTED) if _is_storable(text)}
    assert len(ask(injected, "SELECT * FROM usage")) == len(INJECTED)
    for column in ("source", "client_reference_id", "from_party", "to_party", "user_id"):
        rows = ask(injected, f"SELECT record_id, {column} FROM usage WHERE {column} IS NOT NULL")
        assert dict(rows) == whole, column
    assert whole.items() <= dict(ask(injected, "SELECT record_id, body FROM contents")).items()
    users = {name for (name,) in ask(injected, "SELECT user_id FROM marts.user_summary") if name is not None}
    assert users <= set(whole.values())


def write(folder: DataFolder, form: Any) -> str:
    stream = io.StringIO()
    write_rows(run_query(folder, "SELECT from_party, body FROM usage JOIN contents USING (record_id)"), form, stream)
    return stream.getvalue()


def test_a_terminal_obeys_nothing_that_is_in_a_text(injected: DataFolder) -> None:
    shown = write(injected, "table")
    assert "\\x1b]0;taken\\x07" in shown
    assert "\\u202egnp.exe" in shown
    assert not [letter for letter in shown if letter in "\x00\x07\x1b\u202e"]


def test_a_spreadsheet_obeys_nothing_that_is_in_a_text(injected: DataFolder) -> None:
    cells = [cell for row in csv.reader(io.StringIO(write(injected, "csv").replace("\x00", ""))) for cell in row]
    assert '\'=HYPERLINK("http://x.example")' in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))]


def test_json_has_each_text_as_it_is(injected: DataFolder) -> None:
    assert {row["from_party"] for row in json.loads(write(injected, "json"))} >= set(filter(_is_storable, INJECTED))


@pytest.mark.parametrize(
    ("text", "shown"),
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
        (2.5, 2.5),
        (None, None),
    ],
)
def test_what_a_spreadsheet_would_carry_out_gets_an_apostrophe(text: Any, shown: Any) -> None:
    assert escape_for_spreadsheet(text) == shown


@given(st.text())
def test_what_a_terminal_gets_is_printable_and_plain_text_stays(text: str) -> None:
    shown = escape_for_terminal(text)
    assert not any(letter < " " and letter != "\n" for letter in shown)
    assert shown == text or not text.isprintable() or any("\u200e" <= letter <= "\u2069" for letter in text)
