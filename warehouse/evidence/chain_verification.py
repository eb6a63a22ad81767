"""Verification of the chain: its entries, their signatures and lists, and the files that they sealed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from warehouse.errors import SealKeyUnusable, WarehouseError
from warehouse.evidence.chain import FIRST_PREVIOUS, Entry, Item, compute_root, parse_entry, parse_items
from warehouse.evidence.inventory import describe_file, list_deleted_files
from warehouse.evidence.seal import get_signer
from warehouse.evidence.signing_keys import is_signed, load_key
from warehouse.storage.paths import CHAIN, EVIDENCE, DataFolder

_MISSING = "is missing, and no deletion record accounts for it"


@dataclass(frozen=True)
class Finding:
    """Something that does not fit: the entry it concerns (0 for the chain), the file, and what is wrong."""

    sequence: int
    path: str
    what: str

    def __str__(self) -> str:
        place = f"entry {self.sequence}" if self.sequence else "the chain"
        return f"evidence: {place}: {self.path + ' ' if self.path else ''}{self.what}"


def find_chain_problems(
    folder: DataFolder, key_file: Path, *, expect: str | None = None, rehash: bool = True
) -> Iterator[Finding]:
    """Yield what does not fit in the chain and the sealed files, in the order of the entries.

    After the first entry that does not fit, only files are checked: nothing later can be trusted.

    Args:
        folder: The data folder.
        key_file: The private key; if it exists, the chain must end with it.
        expect: `SEQUENCE:HASH` of an entry that was kept elsewhere.
        rehash: Whether to hash each sealed file again. Otherwise, its existence and size are compared.

    Raises:
        StorageFailed: The disk or bucket failed.

    """
    entries, sealed = [], []
    last: Entry | None = None
    for entry, items, finding in _read_entries(folder):
        found = finding or (entry and _check_entry(entry, last))
        if found or entry is None:
            yield found or Finding(0, CHAIN, "cannot be read")
            break
        entries.append(entry)
        sealed.append((entry, items))
        last = entry
    else:
        yield from _check_end(entries, key_file, expect)
    yield from _check_files(folder, sealed, rehash=rehash)


def _read_entries(folder: DataFolder) -> Iterator[tuple[Entry | None, Sequence[Item], Finding | None]]:
    """Yield each entry with its items, and a finding where they cannot be read or have another hash."""
    try:
        lines = b"".join(folder.store.read_chunks(CHAIN)).splitlines()
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, 1):
        try:
            entry = parse_entry(line)
        except ValueError as error:
            yield None, (), Finding(number, CHAIN, f"line {number} is not an entry ({error})")
            return
        key = f"{EVIDENCE}/{entry.list}"
        try:
            content = b"".join(folder.store.read_chunks(key)) if entry.list else b""
            items = parse_items(content)
        except FileNotFoundError:
            yield entry, (), Finding(entry.sequence, key, "is missing")
            return
        except ValueError:
            yield entry, (), Finding(entry.sequence, key, "cannot be read")
            return
        is_same = (
            hashlib.sha256(content).hexdigest() == entry.list_sha256
            and compute_root(content.splitlines()) == entry.root
            and len(items) == entry.items
        )
        yield entry, items, None if is_same else Finding(entry.sequence, key, "differs from the list that was sealed")


def _check_entry(entry: Entry, last: Entry | None) -> Finding | None:
    """Check an entry against the one before it, and its signature."""
    if entry.sequence != (last.sequence + 1 if last else 1):
        return Finding(entry.sequence, "", "is not in order: an entry was moved, removed or added")
    if entry.previous != (last.hash if last else FIRST_PREVIOUS):
        return Finding(entry.sequence, "", "does not follow the entry before it, which was changed")
    if last is not None and entry.public_key != get_signer([last]):
        return Finding(entry.sequence, "", "is signed with a key that the chain does not name")
    if not is_signed(entry.signed_content, entry.signature, entry.public_key):
        return Finding(entry.sequence, "", "has a signature that is not valid")
    try:
        is_later = last is None or datetime.fromisoformat(entry.sealed_at) >= datetime.fromisoformat(last.sealed_at)
    except (ValueError, TypeError):
        is_later = False
    return (
        None if is_later else Finding(entry.sequence, "", "is older than the entry before it: the clock was set back")
    )


def _check_end(entries: Sequence[Entry], key_file: Path, expect: str | None) -> Iterator[Finding]:
    """Compare the end of the chain with the key of this machine and with an entry kept elsewhere."""
    if key_file.exists():
        try:
            own = load_key(key_file).public
        except SealKeyUnusable as error:
            yield Finding(0, "", f"cannot be compared with {key_file}: {error.cause}")
        else:
            if not entries:
                yield Finding(0, CHAIN, f"is missing, but {key_file} exists")
            elif own != get_signer(entries):
                yield Finding(entries[-1].sequence, "", f"is not signed with {key_file}: the key was replaced")
    if expect is not None:
        sequence, _, digest = expect.partition(":")
        kept = next((entry for entry in entries if str(entry.sequence) == sequence), None)
        if kept is None:
            yield Finding(
                0, "", f"entry {sequence} is missing: newer entries were removed, or the folder was rolled back"
            )
        elif kept.hash != digest:
            yield Finding(kept.sequence, "", "is not the entry that was kept elsewhere")


def _check_files(
    folder: DataFolder, sealed: Sequence[tuple[Entry, Sequence[Item]]], *, rehash: bool
) -> Iterator[Finding]:
    try:
        deleted = list_deleted_files(folder)
    except WarehouseError as error:
        yield Finding(0, "", f"{error.failed}: {error.cause}")
        deleted = {}
    seen: set[str] = set()
    for entry, items in sealed:
        checked = folder.store.map(lambda item: _check_file(folder, item, rehash=rehash), items)
        for item, what in zip(items, checked, strict=True):
            if item.path in seen:
                yield Finding(entry.sequence, item.path, "was sealed before")
            seen.add(item.path)
            if what == _MISSING and deleted.get(item.path) == item.sha256:
                continue
            if what:
                yield Finding(entry.sequence, item.path, what)


def _check_file(folder: DataFolder, item: Item, *, rehash: bool) -> str:
    """Return what is wrong with a sealed file, or an empty string."""
    try:
        if rehash:
            return "" if describe_file(folder, item.path) == item else "was changed after it was sealed"
        size = folder.store.read_status(item.path).bytes
    except FileNotFoundError:
        return _MISSING
    return "" if size == item.bytes else "was changed after it was sealed"
