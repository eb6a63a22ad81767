"""Redaction: rewriting a window's raw log so that only held records remain. Nothing else changes raw files."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from warehouse.archive.download_log import DownloadLog
from warehouse.lake.links import find_siblings, read_links
from warehouse.raw.json_records import load_records, split_records
from warehouse.raw.log import RawLog, RawResponse
from warehouse.retention.legal_holds import Hold
from warehouse.schema.tables import Table
from warehouse.storage.paths import RAW_SUFFIX, DataFolder
from warehouse.windows import StorageWindow

Filter = Callable[[Any], bool]

_KEPT = "-kept"


def find_held(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, *, holds: Sequence[Hold]
) -> frozenset[str]:
    """Return the IDs of a window's records with any held version; "" stands for held records without an ID.

    A version in another window counts as well, if the record is linked.

    Raises `RawDamaged`, because a damaged file may contain held records.
    """
    if not holds:
        return frozenset()
    held = _find_held_here(folder, table, account, window, holds)
    for sibling, ids in find_siblings(read_links(folder, table, account), window).items():
        held |= ids & _find_held_here(folder, table, account, sibling, holds)
    return frozenset(held)


def _find_held_here(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, holds: Sequence[Hold]
) -> set[str]:
    return {
        _read_id(record)
        for dataset in table.datasets
        for response in _read_responses(RawLog(folder, account, dataset), window)
        for record in load_records(response.body or b"[]")
        if _is_held(record, holds)
    }


def build_held_filter(ids: frozenset[str], holds: Sequence[Hold]) -> Filter:
    """Return a function that decides whether a record is held."""
    return lambda record: (_read_id(record) or None) in ids or _is_held(record, holds)


def is_redacted(name: str) -> bool:
    """Whether a raw file was written by a redaction."""
    return _KEPT in name


def redact_responses(
    folder: DataFolder, account: str, dataset: str, window: StorageWindow, *, is_kept: Filter | None
) -> None:
    """Keep only the records of a window's responses that `is_kept` accepts, or none if it is None.

    The remaining records are in one new file, which is written before the others are removed; after a kill,
    running it again has the same result. Requests are kept with their remaining records, because they show what was
    absent; callbacks are removed whole.
    """
    log = RawLog(folder, account, dataset)
    names = log.names(window)
    kept = ""
    if is_kept is not None and names:
        # A run killed while removing files leaves responses without their body.
        is_repeated = any(is_redacted(name) for name in names)
        redacted = [_redact(response, is_kept, is_repeated=is_repeated) for response in _read_responses(log, window)]
        remaining = list(dict.fromkeys(response for response in redacted if response is not None))
        kept = _build_name(names)
        if remaining:
            log.append_callbacks_once(window, remaining, kept)
    _remove(folder, log.folder.raw_folder(dataset, account, window), names, but=f"{kept}{RAW_SUFFIX}")


def redact_download_log(
    folder: DataFolder, account: str, dataset: str, window: StorageWindow, *, ids: frozenset[str]
) -> None:
    """Keep only the download attempts for these record IDs."""
    log = DownloadLog(folder, account, dataset)
    names = folder.raw_names(dataset, account, window)
    kept = _build_name(names) if ids and names else ""
    if kept:
        log.append_selection_once(window, names, ids, kept)
    _remove(folder, folder.raw_folder(dataset, account, window), names, but=f"{kept}{RAW_SUFFIX}")


def _read_responses(log: RawLog, window: StorageWindow) -> list[RawResponse]:
    return [response for _, response in log.read(window, log.names(window))]


def _build_name(names: Sequence[str]) -> str:
    """Return the name of the file with remaining records, the same for the same input files."""
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    return f"{names[-1].partition('-')[0]}{_KEPT}{digest}"


def _remove(folder: DataFolder, raw_folder: str, names: Sequence[str], *, but: str) -> None:
    for name in names:
        if name != but:
            folder.store.remove(f"{raw_folder}/{name}")
    folder.store.remove_folder(raw_folder)


def _redact(response: RawResponse, is_kept: Filter, *, is_repeated: bool) -> RawResponse | None:
    if response.body is None:
        return None if is_repeated and response.body_sha256 else response
    records = load_records(response.body)
    kept_flags = [is_kept(record) for record in records]
    if not response.is_own and not any(kept_flags):
        return None
    if all(kept_flags):
        # Hashed again, it equals what a killed run may have written already.
        return replace(response, body_bytes=None, body_sha256=None)
    slices = [piece for piece, is_kept_ in zip(split_records(response.body), kept_flags, strict=True) if is_kept_]
    body = f"[{','.join(slices)}]".encode(errors="surrogateescape")
    return replace(response, body=body, rows=len(slices), body_bytes=None, body_sha256=None)


def _read_id(record: Any) -> str:
    return str(record.get("recordId") or "") if isinstance(record, dict) else ""


def _is_held(record: Any, holds: Sequence[Hold]) -> bool:
    return isinstance(record, dict) and any(hold.holds(record) for hold in holds)
