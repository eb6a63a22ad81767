"""Rows that came with another window's answer: which they are, and the copy that goes to their own window.

Belongs here: the rule that a row belongs to the window of its own start (DESIGN 2). Does not belong here:
what a fold does with the rows that stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from warehouse.raw import RawAnswer, file_time
from warehouse.schemas import Table
from warehouse.windows import StorageWindow, window_of


@dataclass(frozen=True)
class Stray:
    """Rows of one answer to file in the raw log of `window`, under a `name` that a second try repeats."""

    window: StorageWindow
    name: str
    answer: RawAnswer
    ids: frozenset[str]

    def copy(self, elements: Sequence[Any]) -> RawAnswer:
        """Make the answer to file of the records that the original's body holds, `elements`."""
        records = [e for e in elements if isinstance(e, dict) and str(e.get("recordId")) in self.ids]
        body = json.dumps(records).encode()
        return replace(self.answer, reason="stray", complete=False, rows=len(records), body=body)


def find_strays(
    named_answers: Sequence[tuple[str, RawAnswer]],
    frames: Mapping[str, pd.DataFrame],
    table: Table,
    window: StorageWindow,
) -> Iterator[Stray]:
    """Go through the copies that other windows are owed, oldest answer first.

    A record whose start was changed at the source goes to every window that it ever lay in, each time it is
    seen, so that the windows it left learn of it.
    """
    homes: dict[str, set[StorageWindow]] = {}
    for name, answer in named_answers:
        if answer.reason in {"stray", "callback"} or answer.body_sha256 not in frames:
            continue
        frame = frames[str(answer.body_sha256)]
        _note_homes(homes, frame, table, window)
        if not homes:
            continue
        for target, ids in _owed(homes, frame).items():
            digest = hashlib.sha256(f"{name}/{target.key}".encode()).hexdigest()[:16]
            yield Stray(target, f"{file_time(answer.pulled_at)}-{digest}", answer, frozenset(ids))


def _note_homes(
    homes: dict[str, set[StorageWindow]], frame: pd.DataFrame, table: Table, window: StorageWindow
) -> None:
    started = frame[table.started]
    foreign = frame[(started < window.start) | (started >= window.end)]
    for record_id, start in zip(foreign["record_id"], foreign[table.started], strict=True):
        homes.setdefault(record_id, set()).add(window_of(start.to_pydatetime()))


def _owed(homes: Mapping[str, set[StorageWindow]], frame: pd.DataFrame) -> dict[StorageWindow, set[str]]:
    owed: dict[StorageWindow, set[str]] = {}
    for record_id in frame.loc[frame["record_id"].isin(homes.keys()), "record_id"]:
        for target in homes[record_id]:
            owed.setdefault(target, set()).add(record_id)
    return owed
