"""One row of several versions of a record, and the order of rows: done in Arrow, which costs a third of pandas."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.lake.normalize import UNKNOWN, UNREAD
from warehouse.lake.presence import SIGHTINGS
from warehouse.schema.tables import Table
from warehouse.windows import StorageWindow


def merge_versions(versions: pa.Table) -> pa.Table:
    """Make one row of each record id: the newest version wins field by field, null never wins.

    `versions` are in the order of their age, oldest first; the order of the result is left open.
    """
    ids = versions["record_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    several = np.bincount(ids)[ids] > 1
    if not several.any():
        return versions
    repeated = versions.filter(pa.array(several))
    merged = _merge_fields(repeated.drop_columns([UNKNOWN, UNREAD]))
    record_ids = merged["record_id"].to_pylist()
    newest = dict(zip(repeated["record_id"].to_pylist(), repeated[UNREAD].to_pylist(), strict=True))
    unknown = _merge_unknown(repeated)
    for name, fields in ((UNKNOWN, unknown), (UNREAD, newest)):
        texts = pa.array([fields.get(record_id) for record_id in record_ids], pa.string())
        merged = merged.append_column(name, texts)
    return pa.concat_tables([versions.filter(pa.array(~several)), merged.select(versions.column_names)])


def sort_rows(rows: pa.Table, table: Table, window: StorageWindow) -> pa.Table:
    """Sort by start and record id, and leave out what started in another window."""
    started = rows[table.started]
    inside = pc.and_(
        pc.greater_equal(started, pa.scalar(window.start, started.type)),
        pc.less(started, pa.scalar(window.end, started.type)),
    )
    here = inside.fill_null(True).to_numpy()
    order = pc.sort_indices(rows, [(table.started, "ascending"), ("record_id", "ascending")]).to_numpy()
    return rows.take(pa.array(order[here[order]]))


def _merge_fields(versions: pa.Table) -> pa.Table:
    ways = {name: way for way, names in SIGHTINGS.items() for name in names}
    kept = [(name, ways.get(name, "last")) for name in versions.column_names if name != "record_id"]
    # One thread, as only that one goes by the order of the rows. Nulls are passed over.
    by_id = versions.group_by("record_id", use_threads=False).aggregate(kept)
    return by_id.rename_columns(["record_id", *(name for name, _ in kept)])


def _merge_unknown(versions: pa.Table) -> dict[str, str]:
    merged: dict[str, dict[str, Any]] = {}
    having = versions.filter(versions[UNKNOWN].is_valid())
    for record_id, text in zip(having["record_id"].to_pylist(), having[UNKNOWN].to_pylist(), strict=True):
        kept = merged.setdefault(record_id, {})
        kept.update({name: v for name, v in json.loads(text).items() if v is not None or name not in kept})
    return {record_id: json.dumps(fields) for record_id, fields in merged.items()}
