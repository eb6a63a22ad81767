"""Record ids and media names that look like the vendor's and can be traced back without a memory."""

import hashlib
import random
import re
import string
from dataclasses import dataclass
from uuid import UUID

_ALPHABET = string.ascii_letters + string.digits
_USAGE = re.compile(r"[A-Za-z0-9]{23}\.([0-9a-f]{5})\.([0-9a-f]{8})")
_RECORDING = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-([0-9a-f]{12})([0-9a-f]{6})")
_MEDIA = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([a-z0-9]{3})")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Name the rows of one day; `day` counts from 1970-01-01."""

    day: int
    digest: bytes

    @classmethod
    def of(cls, seed: int, day: int) -> "Identifiers":
        """Prepare the names of a day, which differ from seed to seed."""
        return cls(day, hashlib.sha256(f"{seed}:{day}:id".encode()).digest())

    def name_usage(self, count: int, rng: random.Random) -> list[str]:
        """Name the usage records of the day, shaped like the document's `0UmF….nGlAD.0Dgjdhpm`."""
        prefix = "".join(_ALPHABET[byte % 62] for byte in self.digest[:11])
        key, draw = int.from_bytes(self.digest[11:15]), rng.getrandbits
        form = f"{prefix}%012x.{self.day:05x}.%08x"
        return [form % (draw(48), index ^ key) for index in range(count)]

    def name_recordings(self, count: int, rng: random.Random) -> list[str]:
        """Name the recordings of the day, shaped like the document's UUID with six characters more."""
        middle = f"4{self.digest.hex()[:3]}-8{self.digest.hex()[3:6]}"
        key, draw = int.from_bytes(self.digest[15:21]), rng.getrandbits
        form = f"%08x-%04x-{middle}-%012x{self.day:06x}"
        return [form % (draw(32), draw(16), index ^ key) for index in range(count)]


def locate_usage(record_id: str, *, seed: int) -> tuple[int, int] | None:
    """Find the day and place that a usage record's id stands for, or None if it is not shaped like one."""
    match = _USAGE.fullmatch(record_id)
    if match is None:
        return None
    day = int(match[1], 16)
    return day, int(match[2], 16) ^ int.from_bytes(Identifiers.of(seed, day).digest[11:15])


def locate_recording(record_id: str, *, seed: int) -> tuple[int, int] | None:
    """Find the day and place that a recording's id stands for, or None if it is not shaped like one."""
    match = _RECORDING.fullmatch(record_id)
    if match is None:
        return None
    day = int(match[2], 16)
    return day, int(match[1], 16) ^ int.from_bytes(Identifiers.of(seed, day).digest[15:21])


def name_media(key: str, extension: str, *, seed: int) -> str:
    """Name the media file of a record, `<uuid>.<extension>`; half of the UUID proves the other half."""
    half = hashlib.sha256(f"{seed}:{key}:media".encode()).digest()[:8]
    return f"{UUID(bytes=half + _prove(half, extension, seed=seed))}.{extension}"


def is_media_name(name: str, *, seed: int) -> bool:
    """Tell whether `name_media` gave this name under this seed."""
    match = _MEDIA.fullmatch(name)
    if match is None:
        return False
    value = UUID(match[1]).bytes
    return value[8:] == _prove(value[:8], match[2], seed=seed)


def _prove(half: bytes, extension: str, *, seed: int) -> bytes:
    return hashlib.sha256(half + f"{seed}:{extension}".encode()).digest()[:8]
