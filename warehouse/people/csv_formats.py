"""CSV address books, told apart by their header: our own, iPlum's bulk uploads, Google Contacts and Outlook."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from warehouse.people.entry import Entry, FileContent, Problem

OWN_COLUMNS = ("name", "numbers", "login", "team", "reference", "valid_from", "valid_until", "note")

# Google writes several values of one kind into one cell, separated by `:::`.
_SEPARATORS = re.compile(r"\s*(?::::|[;|\n])\s*")
_OWN_SEPARATORS = re.compile(r"\s*(?:[;,|\n])\s*")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class CsvFormat:
    """A CSV format: the columns that identify it, and the columns to read, as patterns of `_fold_header` texts.

    The name is that of `full_name`, else the parts of `name_parts`, else `company`.
    """

    name: str
    signature: tuple[str, ...]
    full_name: str
    name_parts: tuple[str, ...]
    numbers: str
    logins: str
    company: str = r"company|organi[sz]ationname|organi[sz]ation1name"


_PARTS = ("firstname|givenname", "middlename|additionalname", "lastname|familyname")
_PHONES = r".*(phone|fax|mobile|pager|telephone)(number|no|[0-9])*"

#: In the order in which they are tried; the first whose signature is in the header applies.
FORMATS = (
    CsvFormat("people", ("name", "numbers|login"), "name", (), "numbers?", "logins?"),
    CsvFormat("iPlum users", ("iplumid.*",), "name|fullname|username", _PARTS, _PHONES, r"e?mail(address|id)?"),
    CsvFormat(
        "Google Contacts", (r"phone[0-9]+(value|type|label)",), "name", _PARTS, r"phone[0-9]+value", r"email[0-9]+value"
    ),
    CsvFormat("Outlook", ("firstname", "(business|mobile|home)phone"), "name", _PARTS, _PHONES, r"email[0-9]?address"),
    CsvFormat(
        "iPlum contacts", ("(first|full|contact)?name", _PHONES), "(full|contact)?name", _PARTS, _PHONES, "e?mail.*"
    ),
)


def read_csv(text: str, source: str) -> FileContent:
    """Read a CSV address book.

    Args:
        text: The content, with a header.
        source: The file's name, for entries and problems.

    Returns:
        One entry per row that has a name, and a problem for each row or value that cannot be used.

    """
    rows = _read_rows(text)
    header = [_fold_header(cell) for cell in next(rows, (0, []))[1]]
    chosen = next((one for one in FORMATS if all(_find(header, pattern) for pattern in one.signature)), None)
    if chosen is None:
        known = ", ".join(one.name for one in FORMATS)
        return FileContent(problems=(Problem(source, 1, f"the header is of no known format ({known})"),))
    entries: list[Entry] = []
    problems: list[Problem] = []
    for line, cells in rows:
        if any(cell.strip() for cell in cells):
            entry, found = _read_entry(chosen, header, cells, source, line)
            problems += found
            entries += [entry] if entry else []
    return FileContent(tuple(entries), tuple(problems), chosen.name)


def _read_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with their first line's number. The delimiter is the most frequent one of the header."""
    first_line = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    line = 1
    for cells in reader:
        yield line, cells
        line = reader.line_num + 1


def _fold_header(cell: str) -> str:
    return re.sub(r"[^a-z0-9]", "", cell.casefold())


def _find(header: Sequence[str], pattern: str) -> list[int]:
    return [place for place, cell in enumerate(header) if re.fullmatch(pattern, cell)]


def _read_entry(
    chosen: CsvFormat, header: Sequence[str], cells: Sequence[str], source: str, line: int
) -> tuple[Entry | None, list[Problem]]:
    if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
        return None, [Problem(source, line, f"the row has {len(cells)} cells, the header {len(header)}")]

    def values(pattern: str) -> list[str]:
        return [cells[place].strip() for place in _find(header, pattern) if place < len(cells) and cells[place].strip()]

    def first(pattern: str) -> str | None:
        return next(iter(values(pattern)), None)

    name = first(chosen.full_name) or " ".join(part for pattern in chosen.name_parts if (part := first(pattern)))
    name = name or first(chosen.company) or ""
    if not name:
        return None, [Problem(source, line, "the row has no name")]
    is_own = chosen is FORMATS[0]
    days, problems = _read_days({"valid_from": first("validfrom"), "valid_until": first("validuntil")}, source, line)
    if any(problems):
        return None, problems
    split = _OWN_SEPARATORS if is_own else _SEPARATORS
    return (
        Entry(
            name=" ".join(name.split()),
            numbers=tuple(_split_all(values(chosen.numbers), split)),
            logins=tuple(_split_all(values(chosen.logins), split)),
            team=first("team") if is_own else None,
            reference=first("reference") if is_own else None,
            note=first("notes?") if is_own else None,
            **days,
            source=source,
            line=line,
        ),
        [],
    )


def _split_all(cells: Sequence[str], separators: re.Pattern[str]) -> Iterator[str]:
    for cell in cells:
        yield from (part.strip().removeprefix("'") for part in separators.split(cell) if part.strip())


def _read_days(
    written: Mapping[str, str | None], source: str, line: int
) -> tuple[dict[str, date | None], list[Problem]]:
    days: dict[str, date | None] = {}
    problems = []
    for column, text in written.items():
        try:
            days[column] = date.fromisoformat(text) if text else None
        except ValueError:
            problems.append(Problem(source, line, f"{column} is not a day such as 2025-01-31"))
    first, last = days.get("valid_from"), days.get("valid_until")
    if first and last and last < first:
        problems.append(Problem(source, line, "valid_until is before valid_from"))
    return days, problems
