"""When a record was seen and when it no longer was: origin, first and last sight, absence.

Belongs here: what the ledger of a window tells about each of its rows, and about the window itself. Does not
belong here: the rows' own fields (`normalize`, `fold`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from warehouse.raw import RawAnswer
from warehouse.windows import StorageWindow

# Which of the usage types asked for brings a record of this channel and type ("Get Usage Records", `Usage`).
_TYPE_OF_RECORD = {
    ("call", "iplum"): "iplumcall",
    ("call", "external"): "externalcall",
    ("text", "iplum"): "iPlumtext",
    ("text", "external"): "externaltext",
}
_TYPES_OF_CHANNEL = {
    "call": frozenset({"iplumcall", "externalcall"}),
    "text": frozenset({"iPlumtext", "externaltext"}),
    "fax": frozenset({"fax"}),
}
_ALL_TYPES = frozenset().union(*_TYPES_OF_CHANNEL.values())


@dataclass(frozen=True)
class CompletePull:
    """A pull whose answers together hold all that a window had at `at`; `usage_types` None for recordings."""

    at: datetime
    usage_types: frozenset[str] | None
    is_audit: bool


def find_complete_pulls(answers: Sequence[RawAnswer], window: StorageWindow) -> list[CompletePull]:
    """List the pulls that are whole, oldest first: their complete answers cover the window without a hole."""
    pulls: dict[str, list[RawAnswer]] = {}
    for answer in answers:
        if answer.reason not in {"stray", "callback"}:
            pulls.setdefault(answer.pull_id, []).append(answer)
    whole = [
        CompletePull(
            min(answer.pulled_at for answer in parts),
            _types_asked(parts),
            any(answer.reason == "audit" for answer in parts),
        )
        for parts in pulls.values()
        if _covers([part for part in parts if part.complete], window)
    ]
    return sorted(whole, key=lambda pull: pull.at)


def _covers(parts: Sequence[RawAnswer], window: StorageWindow) -> bool:
    reached = window.start
    for part in sorted(parts, key=lambda answer: answer.request_start):
        if part.request_start > reached:
            return False
        reached = max(reached, part.request_end)
    return reached >= window.end


def _types_asked(parts: Sequence[RawAnswer]) -> frozenset[str] | None:
    asked = [frozenset(part.usage_types.split(",")) for part in parts if part.complete and part.usage_types]
    return frozenset.intersection(*asked) if asked else None


#: How what several versions of a record tell about its sightings becomes one.
SIGHTINGS = {
    "min": ["first_seen_at"],
    "max": ["last_seen_at", "last_pulled_at", "pulled", "pushed", "is_own"],
}


def add_sightings(records: pd.DataFrame, answers: Sequence[RawAnswer]) -> pd.DataFrame:
    """Say of the records of one body when they were first and last seen, and by what.

    `answers` are those that brought the body. Adds the columns of `SIGHTINGS`: `last_pulled_at` is null for
    what was only pushed, `is_own` says that a request for the window itself brought it.
    """
    times = [answer.pulled_at for answer in answers]
    pulled = [answer.pulled_at for answer in answers if not answer.is_callback]
    instants = {
        "first_seen_at": min(times),
        "last_seen_at": max(times),
        "last_pulled_at": max(pulled, default=None),
    }
    return records.assign(
        **{
            name: pd.Series(instant, index=records.index, dtype="datetime64[us, UTC]")
            for name, instant in instants.items()
        },
        pulled=bool(pulled),
        pushed=len(pulled) < len(times),
        is_own=any(answer.reason not in {"stray", "callback"} for answer in answers),
    )


def add_push_times(records: pd.DataFrame, times: Sequence[datetime]) -> pd.DataFrame:
    """Say of pushed records, one time a row, what `add_sightings` says of an answer's."""
    pushed_at = pd.Series(list(times), index=records.index, dtype="datetime64[us, UTC]")
    return records.assign(
        first_seen_at=pushed_at,
        last_seen_at=pushed_at,
        last_pulled_at=pd.Series(pd.NaT, index=records.index, dtype="datetime64[us, UTC]"),
        pulled=False,
        pushed=True,
        is_own=False,
    )


def name_origins(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Say of each row whether it was pulled, pushed, or both."""
    return np.select([rows["pulled"] & rows["pushed"], rows["pushed"]], ["both", "callback"], "pull")


def find_absences(rows: pd.DataFrame, pulls: Sequence[CompletePull]) -> pd.Series[pd.Timestamp]:
    """Say for each row since when complete pulls have no longer brought it; null while the API has it.

    A row is judged only by pulls that asked for its kind, and only once a request for its own window brought
    it: one that was merely pushed, or came with another window's answer, proves nothing by staying away.
    """
    absent = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    for pull in pulls:
        missed = rows["is_own"] & absent.isna() & (rows["last_pulled_at"] < pull.at)
        if pull.usage_types is not None and missed.any():
            kinds = zip(rows.loc[missed, "channel"], rows.loc[missed, "type"], strict=True)
            asked = [_types_bringing(*kind) <= pull.usage_types for kind in kinds]
            missed.loc[missed] = np.array(asked, dtype=bool)
        absent[missed] = pull.at
    return absent


def _types_bringing(channel: object, kind: object) -> frozenset[str]:
    exact = _TYPE_OF_RECORD.get((str(channel), str(kind)))
    return frozenset({exact}) if exact else _TYPES_OF_CHANNEL.get(str(channel), _ALL_TYPES)
