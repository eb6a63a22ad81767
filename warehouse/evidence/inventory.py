"""The files that the chain covers, and the deletion records that explain files that are gone."""

import json
import re
from collections.abc import Iterator

from warehouse.evidence.chain import Item
from warehouse.raw.deletion_log import load_deletion_records
from warehouse.storage.hashing import hash_chunks
from warehouse.storage.paths import EVIDENCE_EVENTS, DataFolder

_COVERED = {
    "raw": re.compile(r"raw/[a-z_]+/account=[A-Za-z0-9_-]+/window_start=[0-9-]+/[A-Za-z0-9_][A-Za-z0-9_.-]*\.parquet"),
    "media": re.compile(r"media/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]+"),
    "retention": re.compile(r"retention/account=[A-Za-z0-9_-]+/[0-9TZ.]+-before-[0-9-]+\.json"),
    EVIDENCE_EVENTS: re.compile(r"evidence/events/[^/.][^/]*\.json"),
}


def list_covered_files(folder: DataFolder) -> Iterator[str]:
    """Yield the keys of raw files, media, finished deletion records, and records of holds and exports.

    Raises `StorageFailed`.
    """
    for top, pattern in _COVERED.items():
        for key in folder.store.list_keys(top):
            if pattern.fullmatch(key) and (top != "retention" or _is_finished(folder, key)):
                yield key


def _is_finished(folder: DataFolder, key: str) -> bool:
    """Whether a deletion record is final. It is written again when the deletion is complete."""
    try:
        content = json.loads(b"".join(folder.store.read_chunks(key)))
    except (ValueError, FileNotFoundError):
        return False
    return isinstance(content, dict) and content.get("finished_at") is not None


def describe_file(folder: DataFolder, key: str) -> Item:
    """Return a file's key, size and SHA-256; raises `StorageFailed` and `FileNotFoundError`."""
    digest, size = hash_chunks(folder.store.read_chunks(key))
    return Item(path=key, bytes=size, sha256=digest)


def list_deleted_files(folder: DataFolder) -> dict[str, str]:
    """Return the SHA-256 of each file that a finished deletion record says was deleted, by key.

    Raises `RecordUnreadable` and `StorageFailed`.
    """
    deleted: dict[str, str] = {}
    accounts = [name.removeprefix("account=") for name in folder.store.list_names("retention")]
    for account in accounts:
        for record in load_deletion_records(folder, account):
            if record.finished_at is None:
                continue
            listed = [(window, raw) for window, content in record.windows.items() for raw in content["raw"]]
            for window, raw in [*listed, *((raw["window"], raw) for raw in record.rewritten)]:
                key = f"raw/{raw['dataset']}/account={account}/window_start={window}/{raw['name']}"
                deleted[key] = str(raw.get("sha256", ""))
            kept = set(record.files_kept)
            deleted |= {file["path"]: file["sha256"] for file in record.files if file["sha256"] not in kept}
    return deleted
