"""When a record was seen and when it no longer was: origin, first and last sight, absence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.raw.log import RawResponse
from warehouse.schema.tables import INSTANT
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


def find_complete_pulls(answers: Sequence[RawResponse], window: StorageWindow) -> list[CompletePull]:
    """List the pulls that are whole, oldest first: their complete answers cover the window without a hole."""
    pulls: dict[str, list[RawResponse]] = {}
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


def _covers(parts: Sequence[RawResponse], window: StorageWindow) -> bool:
    reached = window.start
    for part in sorted(parts, key=lambda answer: answer.request_start):
        if part.request_start > reached:
            return False
        reached = max(reached, part.request_end)
    return reached >= window.end


def _types_asked(parts: Sequence[RawResponse]) -> frozenset[str] | None:
    asked = [frozenset(part.usage_types.split(",")) for part in parts if part.complete and part.usage_types]
    return frozenset.intersection(*asked) if asked else None


#: How what several versions of a record tell about its sightings becomes one.
SIGHTINGS = {
    "min": ["first_seen_at"],
    "max": ["last_seen_at", "last_pulled_at", "pulled", "pushed", "is_own"],
}


def add_seen_times(records: pa.Table, answers: Sequence[RawResponse]) -> pa.Table:
    """Say of the records of one body when they were first and last seen, and by what.

    `answers` are those that brought the body. Adds the columns of `SIGHTINGS`: `last_pulled_at` is null for
    what was only pushed, `is_own` says that a request for the window itself brought it.
    """
    times = [answer.pulled_at for answer in answers]
    pulled = [answer.pulled_at for answer in answers if not answer.is_callback]
    return _append(
        records,
        first_seen_at=pa.scalar(min(times), INSTANT),
        last_seen_at=pa.scalar(max(times), INSTANT),
        last_pulled_at=pa.scalar(max(pulled, default=None), INSTANT),
        pulled=pa.scalar(bool(pulled)),
        pushed=pa.scalar(len(pulled) < len(times)),
        is_own=pa.scalar(any(answer.reason not in {"stray", "callback"} for answer in answers)),
    )


def add_callback_times(records: pa.Table, times: Sequence[datetime]) -> pa.Table:
    """Say of pushed records, one time a row, what `add_seen_times` says of an answer's."""
    pushed_at = pa.array(times, INSTANT)
    return _append(
        records,
        first_seen_at=pushed_at,
        last_seen_at=pushed_at,
        last_pulled_at=pa.scalar(None, INSTANT),
        pulled=pa.scalar(False),
        pushed=pa.scalar(True),
        is_own=pa.scalar(False),
    )


def _append(records: pa.Table, **columns: pa.Array | pa.Scalar) -> pa.Table:
    for name, values in columns.items():
        array = pa.repeat(values, len(records)) if isinstance(values, pa.Scalar) else values
        records = records.append_column(name, array)
    return records


def name_origins(rows: pa.Table) -> pa.ChunkedArray:
    """Say of each row whether it was pulled, pushed, or both."""
    pushed = pc.if_else(rows["pulled"], "both", "callback")
    return pc.if_else(rows["pushed"], pushed, "pull")


def find_absences(rows: pa.Table, pulls: Sequence[CompletePull]) -> pa.Array:
    """Say for each row since when complete pulls have no longer brought it; null while the API has it.

    A row is judged only by pulls that asked for its kind, and only once a request for its own window brought
    it: one that was merely pushed, or came with another window's answer, proves nothing by staying away.
    """
    absent = np.full(len(rows), np.datetime64("NaT", "us"))
    pulled_at = rows["last_pulled_at"].to_numpy()
    is_own = rows["is_own"].to_numpy()
    for pull in pulls:
        at = np.datetime64(pull.at.astimezone(UTC).replace(tzinfo=None), "us")
        missed = np.flatnonzero(is_own & np.isnat(absent) & (pulled_at < at))
        if pull.usage_types is not None and len(missed):
            kinds = rows.select(["channel", "type"]).take(missed).to_pylist()
            asked = [_types_bringing(kind["channel"], kind["type"]) <= pull.usage_types for kind in kinds]
            missed = missed[np.array(asked)]
        absent[missed] = at
    return pa.array(absent).cast(INSTANT)


def _types_bringing(channel: object, kind: object) -> frozenset[str]:
    exact = _TYPE_OF_RECORD.get((str(channel), str(kind)))
    return frozenset({exact}) if exact else _TYPES_OF_CHANNEL.get(str(channel), _ALL_TYPES)
