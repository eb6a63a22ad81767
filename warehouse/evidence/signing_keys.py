"""The Ed25519 key that signs the chain: a PEM file that only its owner can read."""

import base64
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from warehouse.errors import SealKeyUnusable
from warehouse.evidence.chain import encode_key
from warehouse.storage.atomic_files import Modes, create_folder, write_file

# A group may read the tables (IPLUM_FILE_GROUP), but never the key.
_PRIVATE = Modes()
_OTHERS = 0o077


@dataclass(frozen=True)
class SealKey:
    """A private key; its repr shows nothing of it."""

    _private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SealKey({self.public})"

    @property
    def public(self) -> str:
        """The raw public key in base64."""
        return encode_key(self._private.public_key().public_bytes_raw())

    def sign(self, content: bytes) -> str:
        """Return the signature in base64."""
        return encode_key(self._private.sign(content))


def load_or_create_key(path: Path) -> tuple[SealKey, bool]:
    """Load the key; create it if the file does not exist. The second value is whether it was created.

    Raises `SealKeyUnusable` and `StorageFailed`.
    """
    if path.exists():
        return load_key(path), False
    return create_key(path), True


def create_key(path: Path) -> SealKey:
    """Write a new key durably, readable by its owner only; raises `StorageFailed`."""
    private = Ed25519PrivateKey.generate()
    create_folder(path.parent, _PRIVATE)
    write_file(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _PRIVATE)
    return SealKey(private)


def load_key(path: Path) -> SealKey:
    """Load a key; raises `SealKeyUnusable` for a file without an Ed25519 key, or one that others can read."""
    try:
        mode = path.stat().st_mode
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SealKeyUnusable(path, (error.strerror or type(error).__name__).lower()) from error
    except (ValueError, TypeError) as error:
        raise SealKeyUnusable(path, "it is not a private key in PEM form without a password") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise SealKeyUnusable(path, "it is not an Ed25519 key")
    if mode & _OTHERS:
        raise SealKeyUnusable(path, "other users can read it", f"Run: chmod 600 {path}")
    return SealKey(private)


def is_signed(content: bytes, signature: str, public_key: str) -> bool:
    """Whether a signature of some content is that of a public key (both in base64)."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), content)
    except (ValueError, InvalidSignature):
        return False
    return True
