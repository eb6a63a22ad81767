"""When a record was seen and when it no longer was: origin, first and last sight, absence.

Belongs here: what the ledger of a window tells about each of its rows, and about the window itself. Does not
belong here: the rows' own fields (`normalize`, `fold`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

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


def find_complete_pulls(answers: Sequence[RawAnswer], window: StorageWindow) -> list[CompletePull]:
    """List the pulls that are whole, oldest first: their complete answers cover the window without a hole."""
    pulls: dict[str, list[RawAnswer]] = {}
    for answer in answers:
        if answer.reason not in {"stray", "callback"}:
            pulls.setdefault(answer.pull_id, []).append(answer)
    whole = [
        CompletePull(min(answer.pulled_at for answer in parts), _types_asked(parts))
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


def summarize_sightings(answers: Sequence[RawAnswer], ids: Mapping[str, pd.Series[str]]) -> pd.DataFrame:
    """Say for each record id when it was first and last seen, and by what.

    `ids` gives the record ids of each body by its hash. Columns, indexed by record id: `first_seen_at`,
    `last_seen_at`, `last_pulled_at` (null for one only pushed), `origin`, `is_own` (once brought by a request
    for its own window).
    """
    parts = [_sight(digest, records, answers) for digest, records in ids.items()]
    seen = pd.concat(parts, ignore_index=True)
    if len(parts) > 1 or seen["record_id"].duplicated().any():
        seen = seen.groupby("record_id", sort=False, as_index=False).agg(
            {
                "first": "min",
                "last": "max",
                "last_pulled": "max",
                "pulled": "max",
                "pushed": "max",
                "is_own": "max",
            }
        )
    origin = np.select([seen["pulled"] & seen["pushed"], seen["pushed"]], ["both", "callback"], "pull")
    return pd.DataFrame(
        {
            "first_seen_at": seen["first"].array,
            "last_seen_at": seen["last"].array,
            "last_pulled_at": seen["last_pulled"].array,
            "origin": origin,
            "is_own": seen["is_own"].array,
        },
        index=pd.Index(seen["record_id"], dtype="str"),
    )


def _sight(digest: str, records: pd.Series[str], answers: Sequence[RawAnswer]) -> pd.DataFrame:
    times = [answer.pulled_at for answer in answers if answer.body_sha256 == digest]
    pulled = [a.pulled_at for a in answers if a.body_sha256 == digest and not a.is_callback]
    own = any(a.reason not in {"stray", "callback"} for a in answers if a.body_sha256 == digest)
    seen = pd.DataFrame({"record_id": records.array})
    for name, instant in (
        ("first", min(times)),
        ("last", max(times)),
        ("last_pulled", max(pulled, default=None)),
    ):
        seen[name] = pd.Series(instant, index=seen.index, dtype="datetime64[us, UTC]")
    return seen.assign(pulled=bool(pulled), pushed=len(pulled) < len(times), is_own=own)


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
