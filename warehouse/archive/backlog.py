"""Which records the archive still has to fetch: those never tried, and those whose next try has come."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from warehouse.archive.lost_files import is_lost
from warehouse.lake.files import read_rows
from warehouse.schema.tables import CONTENTS, RECORDINGS, USAGE, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_FIRST_WAIT = pd.Timedelta(minutes=15)
_LONGEST_WAIT_DOUBLINGS = 6


def find_backlog(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, *, now: datetime
) -> list[str]:
    """List the record ids of a window for which `table` wants a try at `now` (aware UTC), oldest first.

    What is verified or gone is left alone. After a try that brought nothing the next waits 15 minutes, then twice
    as long each time, up to 16 hours; what a daily run finds waiting, it tries. A file that was lost waits for
    nothing.
    """
    announced = _list_announced(folder, table, account, window)
    known = read_rows(folder, table, account, window)
    if known is None or known.empty:
        return announced
    doublings = np.minimum(known["attempts"] - 1, _LONGEST_WAIT_DOUBLINGS)
    ready_at = known["fetched_at"] + _FIRST_WAIT * (2**doublings)
    resting = known["status"].isin(["verified", "gone"]) | ((ready_at > now) & ~is_lost(known))
    done = set(known.loc[resting, "record_id"])
    return [record_id for record_id in announced if record_id not in done]


def _list_announced(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> list[str]:
    """List the records that have something to fetch: texts and faxes, or recordings ("Get Usage Content")."""
    if table is CONTENTS:
        rows = read_rows(folder, USAGE, account, window)
        rows = None if rows is None else rows[rows["channel"].isin(["text", "fax"])]
    else:
        rows = read_rows(folder, RECORDINGS, account, window)
    return [] if rows is None else [str(record_id) for record_id in rows["record_id"]]
