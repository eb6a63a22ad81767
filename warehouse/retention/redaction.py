"""Rewriting of a window's raw log so that only held records remain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from warehouse.archive.download_log import DownloadLog
from warehouse.raw.json_records import load_records
from warehouse.raw.log import RawLog, RawResponse
from warehouse.retention.legal_holds import Hold
from warehouse.schema.tables import Table
from warehouse.storage.paths import RAW_SUFFIX, DataFolder
from warehouse.windows import StorageWindow

Keep = Callable[[Any], bool]

_KEPT = "-kept"
_SEPARATORS = " \t\r\n,"


def find_held(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, *, holds: Sequence[Hold]
) -> frozenset[str]:
    """List the ids of a window's records of which any version is held; "" where one without an id is.

    Raises `RawDamaged`, as what can't be read may be held.
    """
    if not holds:
        return frozenset()
    return frozenset(
        _read_id(element)
        for dataset in table.datasets
        for answer in _read_answers(RawLog(folder, account, dataset), window)
        for element in load_records(answer.body or b"[]")
        if _is_held(element, holds)
    )


def keep_held(ids: frozenset[str], holds: Sequence[Hold]) -> Keep:
    """Make the rule by which held records stay."""
    return lambda element: (_read_id(element) or None) in ids or _is_held(element, holds)


def is_reduced(name: str) -> bool:
    """Say whether a raw file is what a deletion left."""
    return _KEPT in name


def redact_responses(
    folder: DataFolder, account: str, dataset: str, window: StorageWindow, *, keep: Keep | None
) -> None:
    """Leave of a window's answers what `keep` says, or nothing without it; killed and run again, it does the same.

    What is left stands in one new file, in place before the others go. Requests stay with what is left of their
    answers, since they tell what was absent; pushed events go whole.
    """
    log = RawLog(folder, account, dataset)
    names = log.names(window)
    kept = ""
    if keep is not None and names:
        # Killed between the new file and the last of the others, a run leaves answers whose body is gone.
        is_repeated = any(is_reduced(name) for name in names)
        cut = [_cut(answer, keep, is_repeated=is_repeated) for answer in _read_answers(log, window)]
        left = list(dict.fromkeys(answer for answer in cut if answer is not None))
        kept = _name_kept(names)
        if left:
            log.append_callbacks_once(window, left, kept)
    _remove(folder, log.folder.raw_folder(dataset, account, window), names, but=f"{kept}{RAW_SUFFIX}")


def redact_download_log(
    folder: DataFolder, account: str, dataset: str, window: StorageWindow, *, ids: frozenset[str]
) -> None:
    """Leave of a window's attempts those on records of these ids."""
    log = DownloadLog(folder, account, dataset)
    names = folder.raw_names(dataset, account, window)
    kept = _name_kept(names) if ids and names else ""
    if kept:
        log.append_selection_once(window, names, ids, kept)
    _remove(folder, folder.raw_folder(dataset, account, window), names, but=f"{kept}{RAW_SUFFIX}")


def _read_answers(log: RawLog, window: StorageWindow) -> list[RawResponse]:
    return [answer for _, answer in log.read(window, log.names(window))]


def _name_kept(names: Sequence[str]) -> str:
    """Name what is left of some files, the same for the same files; of one that is left already, itself."""
    if len(names) == 1 and is_reduced(names[0]):
        digest = hashlib.sha256(names[0].encode()).hexdigest()[:12]
    else:
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    return f"{names[-1].partition('-')[0]}{_KEPT}{digest}"


def _remove(folder: DataFolder, raw_folder: str, names: Sequence[str], *, but: str) -> None:
    for name in names:
        if name != but:
            folder.store.remove(f"{raw_folder}/{name}")
    folder.store.remove_folder(raw_folder)


def _cut(answer: RawResponse, keep: Keep, *, is_repeated: bool) -> RawResponse | None:
    if answer.body is None:
        return None if is_repeated and answer.body_sha256 else answer
    elements = load_records(answer.body)
    staying = [keep(element) for element in elements]
    if answer.reason in {"stray", "callback"} and not any(staying):
        return None
    if all(staying):
        # Written anew it is sealed anew, and the same as what a killed run has written of it already.
        return replace(answer, body_bytes=None, body_sha256=None)
    slices = [piece for piece, stays in zip(_slice(answer.body, len(elements)), staying, strict=True) if stays]
    body = f"[{','.join(slices)}]".encode()
    return replace(answer, body=body, rows=len(slices), body_bytes=None, body_sha256=None)


def _slice(body: bytes, count: int) -> list[str]:
    """Cut an array's text into its elements', each as it stands."""
    text = body.decode("utf-8-sig")
    place = text.index("[") + 1
    decoder = json.JSONDecoder()
    slices = []
    for _ in range(count):
        while text[place] in _SEPARATORS:
            place += 1
        _, end = decoder.raw_decode(text, place)
        slices.append(text[place:end])
        place = end
    return slices


def _read_id(element: Any) -> str:
    return str(element.get("recordId") or "") if isinstance(element, dict) else ""


def _is_held(element: Any, holds: Sequence[Hold]) -> bool:
    return isinstance(element, dict) and any(hold.holds(element) for hold in holds)
