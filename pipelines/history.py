"""Dagster's event log in SQLite, written a batch at a time: the same files and tables, fewer transactions.

Belongs here: how events are written. Does not belong here: which events there are, and where the history stands
(`instance`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.exc import DBAPIError

#: How many events Dagster hands over at once; it hands them over one by one where the variable is unset.
BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = 1000

_OF_PARTITIONS = frozenset(
    {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
)


class BatchedEventLog(SqliteEventLogStorage):
    """Spare a run over many windows the two transactions that Dagster makes for each event of each of them.

    What it leaves on the disk is what Dagster's own class leaves, by which the UI and the daemon read it.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> BatchedEventLog:
        """Make one of what Dagster's configuration says."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Write the events of one batch of one run: those of partitions together, others one by one."""
        together = [event for event in events if event.dagster_event_type in _OF_PARTITIONS]
        try:
            if together:
                self._store_together(together)
        except DBAPIError as error:
            # Dagster prints it, and SQLAlchemy's own text quotes every event.
            raise sqlite3.OperationalError(str(error.orig)) from None
        for event in events:
            if event.dagster_event_type not in _OF_PARTITIONS:
                self.store_event(event)

    def _store_together(self, events: Sequence[dg.EventLogEntry]) -> None:
        inserts = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(events[0].run_id) as connection:
            for insert in inserts:
                connection.execute(insert)
        with self.index_connection() as connection:
            results = [connection.execute(insert) for insert in inserts]
            ids = [number for result in results for number in result.inserted_primary_key or ()]
        self.store_asset_event_tags(events, ids)
        # An asset's own entry holds its latest event of each type alone.
        latest = {
            (event.dagster_event_type, event.get_dagster_event().asset_key): (event, number)
            for event, number in zip(events, ids, strict=True)
        }
        for event, number in latest.values():
            self.store_asset_event(event, number)
