"""First seen, last seen, origin and absence of records (docs/design.md, "Absence")."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.raw.log import RawResponse
from warehouse.schema.duckdb_types import INSTANT
from warehouse.windows import StorageWindow

# The usage type that returns records of a channel and type (docs/iplum-api.md, "Get Usage Records").
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
    """A pull whose responses cover the whole window at `at`; `usage_types` is None for recordings."""

    at: datetime
    usage_types: frozenset[str] | None
    is_audit: bool


def find_complete_pulls(responses: Sequence[RawResponse], window: StorageWindow) -> list[CompletePull]:
    """List the complete pulls of a window, oldest first: their complete responses cover it without a gap."""
    pulls: dict[str, list[RawResponse]] = {}
    for response in responses:
        if response.is_own:
            pulls.setdefault(response.pull_id, []).append(response)
    complete = [
        CompletePull(
            min(response.pulled_at for response in parts),
            _get_requested_types(parts),
            any(response.reason == "audit" for response in parts),
        )
        for parts in pulls.values()
        if _covers([part for part in parts if part.complete], window)
    ]
    return sorted(complete, key=lambda pull: pull.at)


def _covers(parts: Sequence[RawResponse], window: StorageWindow) -> bool:
    reached = window.start
    for part in sorted(parts, key=lambda response: response.request_start):
        if part.request_start > reached:
            return False
        reached = max(reached, part.request_end)
    return reached >= window.end


def _get_requested_types(parts: Sequence[RawResponse]) -> frozenset[str] | None:
    requested = [frozenset(part.usage_types.split(",")) for part in parts if part.complete and part.usage_types]
    return frozenset.intersection(*requested) if requested else None


#: How these columns are aggregated over the versions of a record.
SEEN_COLUMNS = {"min": ["first_seen_at"], "max": ["last_seen_at", "last_pulled_at", "pulled", "pushed", "is_own"]}


def add_seen_times(records: pa.Table, responses: Sequence[RawResponse]) -> pa.Table:
    """Add the columns of `SEEN_COLUMNS` to the records of one body, which `responses` returned.

    `last_pulled_at` is null for records that only callbacks delivered; `is_own` is whether a request for the
    window itself returned the record.
    """
    times = [response.pulled_at for response in responses]
    pulled = [response.pulled_at for response in responses if not response.is_callback]
    return _append(
        records,
        first_seen_at=pa.scalar(min(times), INSTANT),
        last_seen_at=pa.scalar(max(times), INSTANT),
        last_pulled_at=pa.scalar(max(pulled, default=None), INSTANT),
        pulled=pa.scalar(bool(pulled)),
        pushed=pa.scalar(len(pulled) < len(times)),
        is_own=pa.scalar(any(response.is_own for response in responses)),
    )


def add_callback_times(records: pa.Table, times: Sequence[datetime]) -> pa.Table:
    """Add the columns of `SEEN_COLUMNS` to callback records; `times` are when they were received."""
    received_at = pa.array(times, INSTANT)
    return _append(
        records,
        first_seen_at=received_at,
        last_seen_at=received_at,
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


def compute_origins(rows: pa.Table) -> pa.ChunkedArray:
    """Return each row's origin: `pull`, `callback` or `both`."""
    return pc.if_else(rows["pushed"], pc.if_else(rows["pulled"], "both", "callback"), "pull")


def compute_absences(rows: pa.Table, pulls: Sequence[CompletePull]) -> pa.Array:
    """Return, per row, since when complete pulls no longer return it; null while the API has it.

    Only pulls that requested the row's usage type count, and only after a request for the row's own window has
    returned it.
    """
    absent = np.full(len(rows), np.datetime64("NaT", "us"))
    pulled_at = rows["last_pulled_at"].to_numpy()
    is_own = rows["is_own"].to_numpy()
    for pull in pulls:
        at = np.datetime64(pull.at.astimezone(UTC).replace(tzinfo=None), "us")
        missed = np.flatnonzero(is_own & np.isnat(absent) & (pulled_at < at))
        if pull.usage_types is not None and len(missed):
            kinds = rows.select(["channel", "type"]).take(missed).to_pylist()
            requested = [_get_matching_types(kind["channel"], kind["type"]) <= pull.usage_types for kind in kinds]
            missed = missed[np.array(requested)]
        absent[missed] = at
    return pa.array(absent).cast(INSTANT)


def _get_matching_types(channel: object, kind: object) -> frozenset[str]:
    exact = _TYPE_OF_RECORD.get((str(channel), str(kind)))
    return frozenset({exact}) if exact else _TYPES_OF_CHANNEL.get(str(channel), _ALL_TYPES)
