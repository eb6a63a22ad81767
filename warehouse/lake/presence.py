"""First seen, last seen, origin and absence of records (docs/design.md, "Absence")."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from warehouse.lake.columns import FLAGS, INSTANTS, TEXTS, repeat_value
from warehouse.raw.log import RawResponse
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


def add_seen_times(records: pd.DataFrame, responses: Sequence[RawResponse]) -> pd.DataFrame:
    """Add the columns of `SEEN_COLUMNS` to the records of one body, which `responses` returned.

    `last_pulled_at` is null for records that only callbacks delivered; `is_own` is whether a request for the
    window itself returned the record.
    """
    rows = len(records)
    times = [response.pulled_at for response in responses]
    pulled = [response.pulled_at for response in responses if not response.is_callback]
    return records.assign(
        first_seen_at=repeat_value(min(times), INSTANTS, rows),
        last_seen_at=repeat_value(max(times), INSTANTS, rows),
        last_pulled_at=repeat_value(max(pulled, default=None), INSTANTS, rows),
        pulled=repeat_value(bool(pulled), FLAGS, rows),
        pushed=repeat_value(len(pulled) < len(times), FLAGS, rows),
        is_own=repeat_value(any(response.is_own for response in responses), FLAGS, rows),
    )


def add_callback_times(records: pd.DataFrame, times: Sequence[datetime]) -> pd.DataFrame:
    """Add the columns of `SEEN_COLUMNS` to callback records; `times` are when they were received."""
    rows = len(records)
    received_at = pd.Series(times, dtype=INSTANTS)
    return records.assign(
        first_seen_at=received_at,
        last_seen_at=received_at,
        last_pulled_at=repeat_value(None, INSTANTS, rows),
        pulled=repeat_value(False, FLAGS, rows),
        pushed=repeat_value(True, FLAGS, rows),
        is_own=repeat_value(False, FLAGS, rows),
    )


def compute_origins(rows: pd.DataFrame) -> pd.Series:
    """Return each row's origin: `pull`, `callback` or `both`."""
    origins = pd.Series(repeat_value("pull", TEXTS, len(rows)), index=rows.index)
    return origins.mask(rows["pushed"], "callback").mask(rows["pushed"] & rows["pulled"], "both")


def compute_absences(rows: pd.DataFrame, pulls: Sequence[CompletePull]) -> pd.Series:
    """Return, per row, since when complete pulls no longer return it; null while the API has it.

    Only pulls that requested the row's usage type count, and only after a request for the row's own window has
    returned it.
    """
    absent_since = pd.Series(repeat_value(None, INSTANTS, len(rows)), index=rows.index)
    for pull in pulls:
        is_missed = rows["is_own"] & absent_since.isna() & (rows["last_pulled_at"] < pull.at)
        if not is_missed.any():
            continue
        missed = rows[is_missed]
        if pull.usage_types is not None:
            kinds = zip(missed["channel"], missed["type"], strict=True)
            missed = missed[[_get_matching_types(channel, kind) <= pull.usage_types for channel, kind in kinds]]
        absent_since[missed.index] = pull.at
    return absent_since


def _get_matching_types(channel: object, kind: object) -> frozenset[str]:
    exact = _TYPE_OF_RECORD.get((str(channel), str(kind)))
    return frozenset({exact}) if exact else _TYPES_OF_CHANNEL.get(str(channel), _ALL_TYPES)
