"""Rules for the text of the SQL files: windows have an order, divisions a guard, and times are timestamps."""

import re
from importlib.resources import files

import pytest

_FOLDER = files("warehouse") / "sql"
_FOLDERS = ("intermediate", "macros", "marts", "publication", "views")
_FILES = {
    f"{folder}/{file.name}": file.read_text(encoding="utf-8")
    for folder in _FOLDERS
    for file in (_FOLDER / folder).iterdir()
    if file.name.endswith(".sql")
}
#: Keywords that are easily written in lower case; words that are also functions or columns are left out.
_KEYWORDS = "select from where group having order union join inner full cross with case when then else end over"
_DIVISOR = re.compile(r"nullif\(|[0-9]")


def _remove_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*", "", sql)


def _find_parentheses(sql: str, opening: int) -> str:
    """Return the text between the parenthesis at `opening` and the one that closes it."""
    depth = 0
    for place in range(opening, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[place], 0)
        if not depth:
            return sql[opening + 1 : place]
    raise AssertionError("a parenthesis is not closed")


@pytest.mark.parametrize("name", _FILES)
def test_every_window_has_a_partition_and_an_order(name: str) -> None:
    sql = _remove_comments(_FILES[name])
    named = {
        match[1]: _find_parentheses(sql, match.end() - 1)
        for match in re.finditer(r"(\w+) AS \((?=\s*PARTITION BY)", sql)
    }
    windows = [*named.values()]
    for match in re.finditer(r"\bOVER\s+(\w+|\()", sql):
        text = _find_parentheses(sql, match.end() - 1) if match[1] == "(" else match[1]
        windows.append(named.get(text.split()[0], text) if text.split() else text)
    for window in windows:
        assert re.search(r"PARTITION BY .*ORDER BY ", window, re.DOTALL), window


@pytest.mark.parametrize("name", _FILES)
def test_every_divisor_is_a_number_or_guarded_against_zero(name: str) -> None:
    sql = _remove_comments(_FILES[name])
    assert [part[:20] for part in re.split(r" // | / ", sql)[1:] if not _DIVISOR.match(part)] == []


@pytest.mark.parametrize("name", _FILES)
def test_times_are_timestamps_and_keywords_are_in_upper_case(name: str) -> None:
    sql = re.sub(r"'[^']*'", "''", _remove_comments(_FILES[name]))
    assert re.findall(r"HUGEINT|epoch_us|make_timestamp|rowid|00000000", sql) == []
    assert re.findall(rf"\b(?:{_KEYWORDS.replace(' ', '|')})\b", sql) == []
    assert _FILES[name].startswith("-- ")


def test_the_marts_have_at_most_three_intermediate_tables() -> None:
    assert sum(name.startswith("intermediate/") for name in _FILES) <= 3
