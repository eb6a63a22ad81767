"""Hand-written responses in the raw log, and their folded rows."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from warehouse.lake.files import read_rows
from warehouse.lake.fold import FoldResult, fold_window
from warehouse.raw.log import RawLog, RawResponse, Reason
from warehouse.schema.tables import USAGE, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of_key

ALL_TYPES = "iPlumtext,iplumcall,externalcall,externaltext,fax"
WINDOW = window_of_key("2023-03-21")
T0 = datetime(2023, 4, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    """Return the instant `hours` hours after 1 April."""
    return T0 + timedelta(hours=hours)


def call(record_id: str = "a", start: str = "2023-03-24T00:00:00Z", **changes: Any) -> dict[str, Any]:
    """Build a usage record like the sample in iPlum's documentation; `changes` replaces fields."""
    record = {
        "source": "iPlum",
        "clientReferenceId": "1234",
        "usage": "call",
        "recordId": record_id,
        "from": "+14081231234",
        "to": "test@iplum.com",
        "startTimeUTC": start,
        "endTimeUTC": start,
        "duration": "2",
        "direction": "in",
        "type": "external",
        "iPlumCredits": 2,
        "userId": "test@test.com",
    }
    return {**record, **changes}


def response(
    records: Sequence[Any],
    hours: float,
    *,
    pull: str = "",
    window: StorageWindow = WINDOW,
    reason: Reason = "pull",
    complete: bool = True,
    types: str | None = ALL_TYPES,
    start: datetime | None = None,
    end: datetime | None = None,
) -> RawResponse:
    """Build the response to a request for a window, received a number of hours after 1 April."""
    return RawResponse(
        request_start=start or window.start,
        request_end=end or window.end,
        usage_types=types,
        reason=reason,
        pull_id=pull or f"pull-{hours}",
        complete=complete,
        pulled_at=at(hours),
        rows=len(records),
        body=json.dumps(records).encode(),
    )


def create_folder(path: Path) -> DataFolder:
    """Return a data folder that does not exist yet."""
    return DataFolder(path / "data", path / "state")


def save(folder: DataFolder, *responses: RawResponse, window: StorageWindow = WINDOW, dataset: str = "usage") -> None:
    """Append responses to the raw log of a window."""
    for response in responses:
        RawLog(folder, "default", dataset).append(window, response)


def fold(
    folder: DataFolder, *responses: RawResponse, window: StorageWindow = WINDOW, table: Table = USAGE
) -> FoldResult:
    """Append responses and fold their window, and the windows that received out-of-window records."""
    save(folder, *responses, window=window, dataset=table.datasets[0])
    result = fold_window(folder, table, "default", window)
    for other in result.other_windows:
        fold_window(folder, table, "default", other)
    return result


def to_list(column: pd.Series) -> list[object]:
    """Return the values of a column, with None for null."""
    return [None if value is pd.NA or value is pd.NaT else value for value in column]


def rows_of(folder: DataFolder, window: StorageWindow = WINDOW, table: Table = USAGE) -> pd.DataFrame:
    """Read the folded rows of a window, indexed by record ID."""
    rows = read_rows(folder, table, "default", window)
    assert rows is not None
    return rows.set_index("record_id")
