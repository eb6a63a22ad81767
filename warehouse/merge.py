"""One row of several versions of a record, and the order of rows: done in Arrow, which costs a third of pandas.

Belongs here: the union, field by field, and the sorting. Does not belong here: which versions there are (`fold`)
and what is computed from a row (`derive`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.normalize import UNKNOWN, UNREAD
from warehouse.schemas import Table
from warehouse.sightings import SIGHTINGS
from warehouse.windows import StorageWindow


def merge_versions(versions: pd.DataFrame) -> pd.DataFrame:
    """Make one row of each record id: the newest version wins field by field, null never wins.

    `versions` are in the order of their age, oldest first; the order of the result is left open.
    """
    several = versions["record_id"].duplicated(keep=False)
    if not several.any():
        return versions
    repeated = versions[several]
    merged = _merge_fields(repeated.drop(columns=[UNKNOWN, UNREAD]))
    newest = dict(zip(repeated["record_id"], repeated[UNREAD], strict=True))
    merged[UNREAD] = pd.Series([newest[record_id] for record_id in merged["record_id"]], dtype="object")
    unknown = _merge_unknown(repeated)
    merged[UNKNOWN] = pd.Series([unknown.get(record_id) for record_id in merged["record_id"]], dtype="object")
    together: pd.DataFrame = pd.concat([versions[~several], merged[versions.columns]], ignore_index=True)
    return together


def sort_rows(rows: pd.DataFrame, table: Table, window: StorageWindow) -> pd.DataFrame:
    """Sort by start and record id, and leave out what started in another window."""
    started = rows[table.started]
    here = (started.isna() | ((started >= window.start) & (started < window.end))).to_numpy()
    keys = pa.table({"started": pa.array(started), "record_id": pa.array(rows["record_id"])})
    order = pc.sort_indices(keys, [("started", "ascending"), ("record_id", "ascending")]).to_numpy()
    taken: pd.DataFrame = rows.take(order[here[order]]).reset_index(drop=True)
    return taken


def _merge_fields(versions: pd.DataFrame) -> pd.DataFrame:
    fields = pa.Table.from_pandas(versions, preserve_index=False)
    ways = {name: way for way, names in SIGHTINGS.items() for name in names}
    kept = [(name, ways.get(name, "last")) for name in fields.column_names if name != "record_id"]
    # One thread, as only that one goes by the order of the rows. Nulls are passed over.
    by_id = fields.group_by("record_id", use_threads=False).aggregate(kept)
    merged: pd.DataFrame = by_id.rename_columns(["record_id", *(name for name, _ in kept)]).to_pandas()
    return merged


def _merge_unknown(versions: pd.DataFrame) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    having = versions[versions[UNKNOWN].notna()]
    for record_id, fields in zip(having["record_id"], having[UNKNOWN], strict=True):
        kept = merged.setdefault(record_id, {})
        kept.update({name: value for name, value in fields.items() if value is not None or name not in kept})
    return merged
