"""What strangers wrote, on its way to a terminal or a spreadsheet: shown, never obeyed."""

from __future__ import annotations

import re
from typing import Any

# Control characters but the line break, and those that turn the direction of writing around.
_COMMANDS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9][0-9 ().,-]*")


def escape_for_terminal(text: str) -> str:
    """Write a text so that a terminal shows it and does nothing else: control characters by their numbers."""
    return _COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


def escape_for_spreadsheet(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would carry out as a formula; numbers stay as they are.

    A telephone number is a number.
    """
    is_formula = isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value
