"""Events that the chain covers besides data: changes of legal holds, and exports, one small file each."""

import json
import uuid
from datetime import date, datetime
from typing import Literal

from warehouse.raw.log import format_file_time
from warehouse.storage.paths import EVIDENCE_EVENTS, DataFolder

EventKind = Literal["hold-added", "hold-removed"]


def record_event(folder: DataFolder, kind: EventKind, *, at: datetime, by: str, **content: object) -> str:
    """Write what happened, when (aware) and by whom, and return the file's key; raises `StorageFailed`."""
    key = f"{EVIDENCE_EVENTS}/{format_file_time(at)}-{kind}-{uuid.uuid4().hex[:8]}.json"
    event = {"event": kind, "at": at.isoformat(), "by": by, **content}
    folder.store.write(key, json.dumps(event, default=date.isoformat, indent=1).encode())
    return key
