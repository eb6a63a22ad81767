"""Fields of iPlum's records."""

import unicodedata
from collections.abc import Mapping
from typing import Any


def get_field(record: Mapping[str, Any], field: str) -> Any:
    """Return a field's value, or None; case is ignored (docs/iplum-api.md, "Gaps and contradictions").

    Of several spellings, the documented one wins, then the first by name; null never does.
    """
    if record.get(field) is not None:
        return record[field]
    spellings = sorted(name for name in record if name.lower() == field.lower())
    return next((record[name] for name in spellings if record[name] is not None), None)


def is_record_id(value: Any) -> bool:
    """Whether a value can be a record's ID: an integer, or text that shows something and is valid Unicode."""
    if type(value) is not str:
        return type(value) is int
    # Half of a surrogate pair cannot be stored; spaces and characters without width show nothing.
    categories = [unicodedata.category(letter) for letter in value]
    return "Cs" not in categories and any(category[0] not in "ZC" for category in categories)
