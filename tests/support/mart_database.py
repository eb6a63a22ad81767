"""Hand-written rows of the published tables, and a database with their marts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from warehouse.people.directory import Directory
from warehouse.schema.tables import CONTENTS, PULLS, RECORDINGS, USAGE, Table, render_ddl
from warehouse.snapshot.marts import AccountSettings, MartSettings, build_marts
from warehouse.windows import window_of

NEW_YORK = AccountSettings(time_zone="America/New_York")
SYDNEY = AccountSettings(time_zone="Australia/Sydney", business_hours="mon-sat 08:30-18:00", lookback_days=3)
ANN, BOB = "ann@clinic.example", "bob@clinic.example"
CLIENT = "+14085550100"
NOBODY = Directory()

Row = dict[str, Any]


def utc(text: str) -> datetime:
    """Parse an instant such as `2026-03-02 14:00` or `2026-03-02 14:00:30` as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def usage(record_id: str, start: str | None, **changes: Any) -> Row:
    """Build a row of `usage`; by default, an inbound call from CLIENT to ANN. `changes` replaces columns."""
    row: Row = {
        "account": "default",
        "record_id": record_id,
        "channel": "call",
        "type": "external",
        "direction": "in",
        "counterparty": CLIENT,
        "counterparty_kind": "phone",
        "user_id": ANN,
        "started_at": None if start is None else utc(start),
        "credits": 1.0,
        "origin": "pull",
        **changes,
    }
    row["duration_minutes"] = changes.get("duration_minutes", 2.0 if row["channel"] == "call" else 1.0)
    row.setdefault("ended_at", row["started_at"])
    own = row.pop("own_party", row["user_id"])
    sides = (row["counterparty"], own) if row["direction"] == "in" else (own, row["counterparty"])
    row.setdefault("from_party", sides[0])
    row.setdefault("to_party", sides[1])
    if row["started_at"] is not None:
        row.setdefault("window_start", window_of(row["started_at"]).first_day)
        row.setdefault("first_seen_at", row["started_at"] + timedelta(hours=1))
    return row


def text(record_id: str, start: str, direction: str = "in", **changes: Any) -> Row:
    """Build a row of `usage` for a text."""
    return usage(record_id, start, channel="text", direction=direction, **changes)


def recording(record_id: str, start: str | None, **changes: Any) -> Row:
    """Build a row of `recordings`; by default, of an inbound call from CLIENT to ANN."""
    at = None if start is None else utc(start)
    return {
        "account": "default",
        "record_id": record_id,
        "phone_number": CLIENT,
        "direction": "in",
        "user_id": ANN,
        "recorded_at": at,
        "origin": "pull",
        "first_seen_at": at,
        "window_start": None if at is None else window_of(at).first_day,
        **changes,
    }


def pull(start: str, at: str, **changes: Any) -> Row:
    """Build a row of `pulls`: a request for the whole window that starts on the day `start`, made at `at`."""
    window = window_of(utc(start))
    return {
        "account": "default",
        "dataset": "usage",
        "window_start": window.first_day,
        "request_start": window.start,
        "request_end": window.end,
        "reason": "pull",
        "pull_id": at,
        "complete": True,
        "pulled_at": utc(at),
        "rows": 1,
        **changes,
    }


class MartDatabase:
    """An in-memory database with the published tables and all marts."""

    def __init__(
        self,
        usage_rows: Sequence[Row] = (),
        recordings: Sequence[Row] = (),
        pulls: Sequence[Row] = (),
        *,
        settings: AccountSettings = NEW_YORK,
        others: Mapping[str, AccountSettings] | None = None,
        people: Directory = NOBODY,
    ) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        for table, rows in ((USAGE, usage_rows), (RECORDINGS, recordings), (PULLS, pulls), (CONTENTS, ())):
            fill(self.connection, table, rows)
        build_marts(self.connection, MartSettings(default=settings, accounts=others or {}, people=people))

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query and return all rows."""
        return self.connection.execute(query).fetchall()

    def read_mart(self, name: str, *columns: str, where: str = "TRUE") -> list[tuple[Any, ...]]:
        """Return columns of a mart, sorted by these columns."""
        return self.query(f"SELECT {', '.join(columns)} FROM marts.{name} WHERE {where} ORDER BY ALL")


def fill(connection: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Row]) -> None:
    """Create a table with its published columns and insert rows; missing columns are null."""
    connection.execute(f"CREATE TABLE {table.name} ({render_ddl(table.columns)})")
    placeholders = ", ".join("?" for _ in table.columns)
    values = [[row.get(column.name) for column in table.columns] for row in rows]
    if values:
        connection.executemany(f"INSERT INTO {table.name} VALUES ({placeholders})", values)
