"""Out-of-window records: copies of them for their own windows (docs/design.md, "Out-of-window records")."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from warehouse.lake.normalize import NormalizedResponse
from warehouse.lake.versions import find_inside
from warehouse.raw.deletion_log import is_deleted
from warehouse.raw.log import RawLog, RawResponse, format_file_time
from warehouse.schema.tables import Table
from warehouse.windows import StorageWindow, window_of


def copy_out_of_window_records(
    log: RawLog,
    window: StorageWindow,
    table: Table,
    *,
    responses: Sequence[tuple[str, RawResponse]],
    bodies: Mapping[str, NormalizedResponse],
) -> set[StorageWindow]:
    """Copy records that start in another window to the raw log of that window, and return these windows.

    A record whose start changed is copied to every window it was ever in, each time it is seen, so that the
    windows it left learn of the change. Copies have repeatable names, so none is stored twice.
    `responses` are those of `window`, with the names of their files, oldest first; `bodies` are their normalized
    bodies, by hash.
    """
    known_windows: dict[str, set[StorageWindow]] = {}
    targets = set()
    for name, response in responses:
        body = bodies.get(response.body_sha256 or "")
        if body is None or not response.is_own:
            continue
        _add_windows(known_windows, body.rows, table, window)
        for target, ids in _group_by_window(known_windows, body.rows).items():
            digest = hashlib.sha256(f"{name}/{target.key}".encode()).hexdigest()[:16]
            copy_name = f"{format_file_time(response.pulled_at)}-{digest}"
            if not log.contains(target, copy_name) and not is_deleted(log.folder, log.account, target):
                records = [r for r in body.records if isinstance(r, dict) and str(r.get("recordId")) in ids]
                content = json.dumps(records).encode()
                copy = replace(response, reason="stray", complete=False, rows=len(records), body=content)
                log.append_once(target, copy, copy_name)
                targets.add(target)
    return targets


def _add_windows(
    known_windows: dict[str, set[StorageWindow]], rows: pd.DataFrame, table: Table, window: StorageWindow
) -> None:
    """Add the windows of the rows that start outside `window`, by record ID."""
    is_inside = find_inside(rows, table, window).fillna(True)
    if is_inside.all():
        return
    outside = rows[~is_inside]
    for record_id, start in zip(outside["record_id"], outside[table.started], strict=True):
        known_windows.setdefault(record_id, set()).add(window_of(start))


def _group_by_window(
    known_windows: Mapping[str, set[StorageWindow]], rows: pd.DataFrame
) -> dict[StorageWindow, set[str]]:
    ids = rows["record_id"]
    grouped: dict[StorageWindow, set[str]] = {}
    if known_windows:
        for record_id in ids[ids.isin(list(known_windows))]:
            for target in known_windows[record_id]:
                grouped.setdefault(target, set()).add(record_id)
    return grouped
