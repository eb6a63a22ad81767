"""The most frequent numbers and logins that no people file names."""

from dataclasses import dataclass
from datetime import date

from warehouse.snapshot.database import read_snapshot
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.sql import read_sql
from warehouse.storage.paths import DataFolder


@dataclass(frozen=True)
class UnknownParty:
    """A party without a name: its kind as in `usage`, number of records, and last day (UTC)."""

    party: str
    kind: str
    records: int
    last_day: date


def list_unknown_parties(folder: DataFolder, limit: int) -> list[UnknownParty]:
    """List at most `limit` parties, the most frequent first.

    Raises `NothingPublished`, `SnapshotUnreadable` and `StorageFailed`.
    """
    with read_snapshot(fetch_snapshot(folder)) as connection:
        rows = connection.execute(read_sql("exports", "unknown_parties"), {"limit": limit}).fetchall()
    return [UnknownParty(*row) for row in rows]
