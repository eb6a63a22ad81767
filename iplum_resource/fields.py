"""Fields of iPlum's records."""

from collections.abc import Mapping
from typing import Any


def get_field(record: Mapping[str, Any], field: str) -> Any:
    """Return a field's value, or None; case is ignored (docs/iplum-api.md, "Gaps and contradictions").

    The documented spelling wins over others.
    """
    if field in record:
        return record[field]
    return next((value for name, value in record.items() if name.lower() == field.lower()), None)
