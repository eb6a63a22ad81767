"""The chain: entries, their items, and the hashes and signatures that connect them (docs/evidence.md).

`chain.jsonl` has one entry per line, in canonical JSON. The items of an entry are in a file of their own, one per line.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

FIRST_PREVIOUS = "0" * 64
_LEAF, _NODE = b"\x00", b"\x01"

EntryKind = Literal["found", "seal", "key"]


@dataclass(frozen=True, kw_only=True, order=True)
class Item:
    """A file as it was sealed: its key in the store, size and SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of the chain.

    Attributes:
        sequence: 1 for the first entry.
        kind: `found` for files that existed before the first seal, `seal` for files added since the last entry, `key`
            for an exchange of the key.
        sealed_at: The time of sealing (ISO 8601, UTC).
        previous: The SHA-256 of the previous entry's line; zeros for the first.
        list: The file with the items, relative to the evidence folder; empty without items.
        list_sha256: Its SHA-256.
        items: The number of items.
        root: The Merkle root (RFC 6962) of the lines of that file.
        public_key: The raw Ed25519 public key that signs the entry, in base64.
        next_key: The key that signs the following entries, in base64; for `key` only, else empty.
        signature: The Ed25519 signature of the canonical JSON of all other fields, in base64.

    """

    sequence: int
    kind: EntryKind
    sealed_at: str
    previous: str
    list: str
    list_sha256: str
    items: int
    root: str
    public_key: str
    next_key: str = ""
    signature: str = ""

    @property
    def signed_content(self) -> bytes:
        """The bytes that the signature covers."""
        content = asdict(self)
        del content["signature"]
        return encode(content)

    @property
    def line(self) -> bytes:
        """The entry's line in the chain, without the line end."""
        return encode(asdict(self))

    @property
    def hash(self) -> str:
        """The SHA-256 of the line, which the next entry repeats."""
        return hashlib.sha256(self.line).hexdigest()

    @property
    def reference(self) -> str:
        """Sequence number and hash, `12:ab34…`, for keeping elsewhere."""
        return f"{self.sequence}:{self.hash}"


def encode(content: object) -> bytes:
    """Return canonical JSON: sorted keys, no white space, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def format_items(items: Sequence[Item]) -> bytes:
    """Return the file of an entry's items, sorted by path."""
    return b"".join(encode(asdict(item)) + b"\n" for item in sorted(items))


def parse_items(content: bytes) -> list[Item]:
    """Parse the file of an entry's items; raises `ValueError`."""
    return [_parse(Item, line) for line in content.splitlines()]


def parse_entry(line: bytes) -> Entry:
    """Parse a line of the chain; raises `ValueError`, also if it is not in canonical form."""
    entry: Entry = _parse(Entry, line)
    if entry.line != line:
        raise ValueError("it is not in canonical form")
    return entry


def _parse(kind: Any, line: bytes) -> Any:
    content = json.loads(line)
    if not isinstance(content, dict) or content.keys() != {one.name for one in fields(kind)}:
        raise ValueError("a field is missing or unknown")
    if any(type(content[one.name]) is not (int if one.type is int else str) for one in fields(kind)):
        raise ValueError("a field has the wrong type")
    return kind(**content)


def compute_root(lines: Iterable[bytes]) -> str:
    """Return the Merkle root of lines as RFC 6962, section 2.1, defines it, in hexadecimal."""
    # Complete subtrees with their sizes, from the largest: memory grows with the logarithm of the lines.
    subtrees: list[tuple[int, bytes]] = []
    for line in lines:
        subtrees.append((1, hashlib.sha256(_LEAF + line).digest()))
        while len(subtrees) > 1 and subtrees[-2][0] == subtrees[-1][0]:
            (size, left), (_, right) = subtrees[-2:]
            subtrees[-2:] = [(2 * size, hashlib.sha256(_NODE + left + right).digest())]
    if not subtrees:
        return hashlib.sha256().hexdigest()
    _, root = subtrees.pop()
    while subtrees:
        root = hashlib.sha256(_NODE + subtrees.pop()[1] + root).digest()
    return root.hex()


def encode_key(raw: bytes) -> str:
    """Return a raw public key in base64."""
    return base64.b64encode(raw).decode()


def format_fingerprint(public_key: str) -> str:
    """Return the fingerprint of a public key in base64, as OpenSSH writes it: `SHA256:…`.

    Raises `ValueError`.
    """
    digest = hashlib.sha256(base64.b64decode(public_key, validate=True)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
