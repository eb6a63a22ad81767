"""Sealing: adding an entry to the chain over everything that was added since the last one."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from filelock import FileLock, Timeout

from warehouse.errors import ChainDamaged, SealRefused
from warehouse.evidence.chain import FIRST_PREVIOUS, Entry, Item, compute_root, format_items, parse_entry, parse_items
from warehouse.evidence.inventory import describe_file, list_covered_files
from warehouse.evidence.signing_keys import SealKey, create_key, load_key, load_or_create_key
from warehouse.storage.atomic_files import Modes, replace_file
from warehouse.storage.paths import CHAIN, EVIDENCE, VERIFIER, DataFolder

_TRIES = 5
_LOCK_SECONDS = 60


def seal(folder: DataFolder, key_file: Path, *, now: datetime) -> Entry | None:
    """Add an entry for the files added since the last one, and return it; None if there are none.

    The key is created if it does not exist. A run that is killed leaves a valid chain: the items are written first,
    and the chain is replaced whole.

    Args:
        folder: The data folder.
        key_file: The private key (`signing_keys`).
        now: The time of sealing, aware.

    Raises:
        ChainDamaged: The chain cannot be read or continued.
        SealRefused: The key is not that of the chain, the clock is behind the last entry, or another seal is running.
        SealKeyUnusable: The key file cannot be used.
        StorageFailed: The disk or bucket failed.

    """
    with _hold_lock(folder):
        for _ in range(_TRIES):
            content, entries = read_chain(folder)
            items = _describe_new_files(folder, entries)
            if not items:
                return None
            key = _load_expected_key(key_file, entries)
            entry = _sign(_build_entry(folder, entries, key, items=items, now=now), key)
            if _append(folder, content, entry):
                _copy_verifier(folder)
                return entry
    raise SealRefused("another machine seals at the same time", "Run 'iplum seal' again")


def _copy_verifier(folder: DataFolder) -> None:
    """Put verify.py next to the chain, where an auditor finds it."""
    content = (files("warehouse.evidence") / "verify.py").read_bytes()
    if not folder.store.exists(VERIFIER) or b"".join(folder.store.read_chunks(VERIFIER)) != content:
        folder.store.write(VERIFIER, content)


def exchange_key(folder: DataFolder, key_file: Path, *, now: datetime) -> Entry:
    """Create a new key that signs from now on; the old one signs the entry that names it. Raises as `seal` does."""
    with _hold_lock(folder):
        content, entries = read_chain(folder)
        if not entries:
            raise SealRefused("there is no chain yet", "Run 'iplum seal' first")
        key = _load_expected_key(key_file, entries)
        following = create_key(_next_key_file(key_file))
        entry = _build_entry(folder, entries, key, items=(), now=now)
        entry = _sign(replace(entry, kind="key", next_key=following.public), key)
        if not _append(folder, content, entry):
            raise SealRefused("another machine seals at the same time", "Run the command again")
        _promote(key_file)
        return entry


def read_chain(folder: DataFolder) -> tuple[bytes, list[Entry]]:
    """Return the chain's content and its entries; raises `ChainDamaged` and `StorageFailed`."""
    try:
        content = b"".join(folder.store.read_chunks(CHAIN))
    except FileNotFoundError:
        return b"", []
    entries = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            entries.append(parse_entry(line))
        except ValueError as error:
            raise ChainDamaged(folder.store.locate(CHAIN), f"line {number} is not an entry") from error
    return content, entries


def read_items(folder: DataFolder, entry: Entry) -> list[Item]:
    """Return an entry's items; raises `ChainDamaged` and `StorageFailed`."""
    if not entry.list:
        return []
    place = folder.store.locate(f"{EVIDENCE}/{entry.list}")
    try:
        return parse_items(b"".join(folder.store.read_chunks(f"{EVIDENCE}/{entry.list}")))
    except FileNotFoundError as error:
        raise ChainDamaged(place, f"the list of entry {entry.sequence} is missing") from error
    except ValueError as error:
        raise ChainDamaged(place, f"the list of entry {entry.sequence} cannot be read") from error


def get_signer(entries: Sequence[Entry]) -> str | None:
    """Return the public key that must sign the next entry; None for an empty chain."""
    return (entries[-1].next_key or entries[-1].public_key) if entries else None


@contextmanager
def _hold_lock(folder: DataFolder) -> Iterator[None]:
    folder.create_locks_folder()
    lock = FileLock(folder.locks / "evidence.lock", timeout=_LOCK_SECONDS, mode=folder.modes.file)
    try:
        lock.acquire()
    except Timeout as error:
        raise SealRefused("another seal is running", "Wait for it, then run 'iplum seal' again") from error
    try:
        yield
    finally:
        lock.release()


def _next_key_file(key_file: Path) -> Path:
    return key_file.with_name(f"{key_file.stem}-next{key_file.suffix}")


def _promote(key_file: Path) -> None:
    replace_file(_next_key_file(key_file), key_file, Modes())


def _load_expected_key(key_file: Path, entries: Sequence[Entry]) -> SealKey:
    """Load the key that must sign the next entry."""
    signer = get_signer(entries)
    if signer is None:
        return load_or_create_key(key_file)[0]
    following = _next_key_file(key_file)
    # An exchange was killed after the entry and before the rename.
    if following.exists() and load_key(following).public == signer:
        _promote(key_file)
    key = load_key(key_file)
    if key.public != signer:
        raise SealRefused(
            f"{key_file} is not the key of the chain",
            "Restore the key from a backup, or set IPLUM_SEAL_KEY to it. 'iplum seal --new-key' exchanges it",
        )
    return key


def _describe_new_files(folder: DataFolder, entries: Sequence[Entry]) -> list[Item]:
    sealed = {item.path for entry in entries for item in read_items(folder, entry)}
    new = [key for key in list_covered_files(folder) if key not in sealed]
    return folder.store.map(lambda key: describe_file(folder, key), new)


def _build_entry(
    folder: DataFolder, entries: Sequence[Entry], key: SealKey, *, items: Sequence[Item], now: datetime
) -> Entry:
    """Build an unsigned entry, and write its items."""
    last = entries[-1] if entries else None
    if last is not None and now < datetime.fromisoformat(last.sealed_at):
        raise SealRefused(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, but the last entry was sealed at {last.sealed_at}",
            "Set the clock of this machine",
        )
    sequence = last.sequence + 1 if last else 1
    content = format_items(items)
    digest = hashlib.sha256(content).hexdigest()
    # With its hash in the name, another machine that builds the same entry does not replace it.
    name = f"lists/{sequence:08}-{digest[:12]}.jsonl" if items else ""
    if items:
        folder.store.write(f"{EVIDENCE}/{name}", content)
    return Entry(
        sequence=sequence,
        kind="seal" if last else "found",
        sealed_at=now.astimezone(UTC).isoformat(timespec="seconds"),
        previous=last.hash if last else FIRST_PREVIOUS,
        list=name,
        list_sha256=digest,
        items=len(items),
        root=compute_root(content.splitlines()),
        public_key=key.public,
    )


def _sign(entry: Entry, key: SealKey) -> Entry:
    return replace(entry, signature=key.sign(entry.signed_content))


def _append(folder: DataFolder, content: bytes, entry: Entry) -> bool:
    """Append a line unless another machine has changed the chain meanwhile; return whether it is there."""
    if read_chain(folder)[0] != content:
        return False
    folder.store.write(CHAIN, content + entry.line + b"\n")
    return read_chain(folder)[1][-1] == entry
