"""Escaping of strangers' text for terminals, spreadsheets and Markdown.

HTML is escaped by the report's template; JSON is written verbatim.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

# Control characters except the line break, bidirectional controls, and other line breaks.
_COMMANDS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_MARKDOWN_LENGTH = 64
_NO_WORD = re.compile(r"[^\w -]|_")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_NUMBER = re.compile(r"[+-]?[0-9][0-9 ().,-]*")
# A spreadsheet of another locale ends a cell at a semicolon, and one that reads quotes differently at a line break.
_CELL_ENDS = re.compile("([;|\t\r\n\x0b\x0c\x85\u2028\u2029]+)")
# Invisible characters and quotes, which a spreadsheet may drop in front of a formula.
_INVISIBLE = re.compile('[\\s\x00-\x20"\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*')
_FORMULA = ("=", "+", "-", "@", "\u2212")
_NEEDS_QUOTES = re.compile(r"""[,;|\t\r\n"]|^['\s]|\s$""")


def escape_for_terminal(text: str) -> str:
    """Return a text with its control characters escaped."""
    return _COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


def escape_for_markdown(text: str) -> str:
    """Return the letters, digits, spaces and hyphens of a text, and the dots of a number; at most 64 characters.

    Escaping would not do: Markdown makes links of texts like www.example.com.
    """
    kept = text if _DECIMAL.fullmatch(text) else _NO_WORD.sub("", text)
    return kept[:_MARKDOWN_LENGTH]


def escape_for_spreadsheet(value: Any) -> Any:
    """Put an apostrophe in front of each part of a text that a spreadsheet of any locale would execute as a formula.

    Numbers, including phone numbers, are unchanged.
    """
    if not isinstance(value, str):
        return value
    escaped = "".join(f"'{part}" if _is_formula(part) else part for part in _CELL_ENDS.split(value))
    return f"'{escaped}" if value.startswith(("\t", "\r", "\n")) else escaped


def format_csv_row(values: Iterable[Any]) -> str:
    """Return a line of CSV, without its end: formulas are escaped, None is empty, unusual cells are quoted."""
    return ",".join("" if value is None else _format_cell(str(escape_for_spreadsheet(value))) for value in values)


def _format_cell(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if _NEEDS_QUOTES.search(text) else text


def _is_formula(part: str) -> bool:
    # The full-width and small forms are equivalent to the plain ones.
    begin = unicodedata.normalize("NFKC", _INVISIBLE.sub("", part, count=1)[:1])
    return begin.startswith(_FORMULA) and not _NUMBER.fullmatch(part)
