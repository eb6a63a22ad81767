"""A data folder with generated history, written with the project's schemas and without the API.

`python -m benchmarks.lake FOLDER FIRST LAST ROWS` writes a folder. `FOLDER DAY ROWS SEED` replaces the rows of the
window that starts on DAY.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from benchmarks.history import CLIENTS, KINDS, LOGINS, NUMBERS, Column, Records, Span, invent
from warehouse.lake.files import WindowState, fold_version, write_lake_file
from warehouse.lake.links import list_raw
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.duckdb_types import INSTANT
from warehouse.schema.tables import USAGE
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of_key

ACCOUNT = "default"
_LATE = timedelta(hours=6)


def open_data(path: Path) -> DataFolder:
    """Return the data folder of a benchmark."""
    return DataFolder(path, path)


def write_history(folder: DataFolder, span: Span) -> None:
    """Write all windows of a history."""
    for window, size in zip(span.windows(), span.sizes(), strict=True):
        write_window(folder, window, size)


def write_window(folder: DataFolder, window: StorageWindow, rows: int, *, seed: int = 0) -> None:
    """Write a window's lake file, and a raw file with an empty body for it."""
    pulled_at = window.end + _LATE + timedelta(minutes=seed)
    response = RawResponse(
        request_start=window.start,
        request_end=window.end,
        usage_types="iPlumtext,iplumcall,externalcall,externaltext,fax",
        reason="pull",
        pull_id=f"benchmark-{seed}",
        complete=True,
        pulled_at=pulled_at,
        rows=rows,
        body=b"[]",
    )
    RawLog(folder, ACCOUNT, USAGE.name).append(window, response)
    state = WindowState(
        version=fold_version(USAGE),
        folded=list_raw(folder, USAGE, ACCOUNT, window),
        complete_at=pulled_at,
        refused_at=None,
        largest_answer=rows,
        rows=rows,
        unreadable=0,
        unread=0,
        absent=0,
    )
    table = render_table(invent(window, rows, seed=seed), seen=pa.scalar(pulled_at, INSTANT))
    write_lake_file(folder, USAGE, ACCOUNT, window, rows=table, state=state)


def render_table(records: Records, *, seen: pa.Scalar) -> pa.Table:
    """Return the lake rows of records. `seen` is the time at which they were pulled."""
    rows = len(records.ids)
    internal = pa.array(records.internal)
    inbound = pa.array(records.inbound)
    own = _choose(LOGINS, records.users)
    other = pa.compute.if_else(
        internal, _choose(LOGINS, records.contacts % len(LOGINS)), _choose(NUMBERS, records.contacts)
    )
    columns = {
        "record_id": pa.array(records.ids),
        "source": pa.repeat("iPlum", rows),
        "client_reference_id": _choose(CLIENTS, records.users),
        "channel": _choose(tuple(channel for channel, _ in KINDS), records.kinds),
        "type": _choose(tuple(category for _, category in KINDS), records.kinds),
        "direction": pa.compute.if_else(inbound, "in", "out"),
        "from_party": pa.compute.if_else(inbound, other, own),
        "to_party": pa.compute.if_else(inbound, own, other),
        "counterparty": other,
        "counterparty_kind": pa.compute.if_else(internal, "login", "phone"),
        "user_id": own,
        "started_at": _read_instants(records.starts),
        "ended_at": _read_instants(records.ends),
        "duration_minutes": pa.array(records.minutes.astype(float)),
        "credits": pa.array(records.credits.astype(float)),
        "origin": pa.repeat("pull", rows),
        "first_seen_at": pa.repeat(seen, rows),
        "last_seen_at": pa.repeat(seen, rows),
        "absent_since": pa.nulls(rows, INSTANT),
        "extra": pa.nulls(rows, pa.string()),
    }
    return pa.table(columns, schema=USAGE.lake_schema)


def _choose(values: tuple[str, ...], numbers: Column) -> pa.Array:
    return pa.array(values).take(pa.array(numbers))


def _read_instants(seconds: Column) -> pa.Array:
    return pa.array(seconds.astype("datetime64[s]").astype("datetime64[us]")).cast(INSTANT)


def main() -> None:
    """Write the history or window given on the command line."""
    path, day, rest, rows = sys.argv[1:]
    folder = open_data(Path(path))
    if rest.isdecimal():
        write_window(folder, window_of_key(day), int(rest), seed=int(rows))
    else:
        write_history(folder, Span(date.fromisoformat(day), date.fromisoformat(rest), int(rows)))


if __name__ == "__main__":
    main()
