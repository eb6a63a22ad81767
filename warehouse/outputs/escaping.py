"""Escaping of strangers' text for terminals and spreadsheets.

HTML is escaped by the report's template; JSON is written verbatim.
"""

import re
from typing import Any

# Control characters except the line break, and bidirectional controls.
_COMMANDS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9][0-9 ().,-]*")


def escape_for_terminal(text: str) -> str:
    """Return a text with its control characters escaped."""
    return _COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


def escape_for_spreadsheet(value: Any) -> Any:
    """Prefix a text that a spreadsheet would execute as a formula with an apostrophe.

    Numbers, including phone numbers, are unchanged.
    """
    is_formula = isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value
