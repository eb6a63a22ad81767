"""The people kept in the data folder, `people.json`, so that each machine that publishes has them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from warehouse.people.directory import Directory, build_directory
from warehouse.people.entry import Entry, FileContent, Problem
from warehouse.people.people_files import list_people_files, read_people_file
from warehouse.storage.paths import PEOPLE, DataFolder


@dataclass(frozen=True)
class PeopleUpdate:
    """The result of an update: entries now kept, problems of the files, and whether anything changed.

    `kept_files` names files that cannot be read and whose earlier entries are kept.
    """

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    kept_files: tuple[str, ...]
    is_changed: bool


def update_people(folder: DataFolder, paths: Sequence[Path]) -> PeopleUpdate:
    """Keep what the people files say now. A file that cannot be read at all keeps its earlier entries.

    Raises `StorageFailed`.
    """
    stored = _read_stored(folder)
    current: dict[str, tuple[Entry, ...]] = {}
    problems: list[Problem] = []
    if stored is None:
        problems.append(Problem(PEOPLE, 0, "the people of earlier publishes cannot be read"))
    earlier = stored or {}
    kept: list[str] = []
    for path in list_people_files(paths):
        content = read_people_file(path)
        problems += content.problems
        is_kept = _is_unreadable(content) and str(path) in earlier
        kept += [path.name] if is_kept else []
        current[str(path)] = earlier[str(path)] if is_kept else content.entries
    if is_changed := current != stored:
        folder.store.write(PEOPLE, _format(current))
    return PeopleUpdate(
        tuple(e for entries in current.values() for e in entries), tuple(problems), tuple(kept), is_changed
    )


def _is_unreadable(content: FileContent) -> bool:
    return not content.entries and bool(content.problems)


def load_directory(folder: DataFolder, region: str) -> Directory:
    """Return the directory of the people kept in the data folder; empty without any, or if they cannot be read.

    Raises `StorageFailed`.
    """
    entries = [entry for entries in (_read_stored(folder) or {}).values() for entry in entries]
    return build_directory(entries, region)


def _read_content(folder: DataFolder) -> bytes:
    try:
        return b"".join(folder.store.read_chunks(PEOPLE))
    except FileNotFoundError:
        return b""


def _read_stored(folder: DataFolder) -> dict[str, tuple[Entry, ...]] | None:
    """Return the entries by file; None if they cannot be read."""
    content = _read_content(folder)
    if not content:
        return {}
    try:
        stored = json.loads(content)
        return {source: tuple(map(_parse_entry, entries)) for source, entries in stored.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _parse_entry(stored: Mapping[str, Any]) -> Entry:
    days = {name: date.fromisoformat(stored[name]) if stored[name] else None for name in ("valid_from", "valid_until")}
    lists = {name: tuple(stored[name]) for name in ("numbers", "logins")}
    return Entry(**{**stored, **days, **lists})


def _format(entries: Mapping[str, Sequence[Entry]]) -> bytes:
    content = {source: [asdict(entry) for entry in found] for source, found in entries.items()}
    return json.dumps(content, default=date.isoformat, ensure_ascii=False, indent=1).encode()
