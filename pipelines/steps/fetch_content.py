"""Fetching what one record holds: its body, or its file, downloaded and verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from iplum_resource.client import IPlumClient
from iplum_resource.errors import MediaExpired
from iplum_resource.media.client import MediaClient
from warehouse.archive.media_store import DIFFERENT_FILE, MediaStore, StoredFile
from warehouse.errors import FileRefused


@dataclass(frozen=True)
class Fetched:
    """What a record turned out to hold: a body as it was sent, or a file that stands in the store."""

    body: str | None = field(default=None, repr=False)
    file: StoredFile | None = None


@dataclass(frozen=True)
class ContentFetcher:
    """Fetch a text's body, or the file of an attachment or fax.

    A content is a file only if the whole of it is one URL on the listed hosts: a stranger can text a URL, so any
    other is a body and is never fetched (DESIGN 11; document, "Get Usage Content").
    """

    client: IPlumClient
    media: MediaClient
    store: MediaStore

    def __call__(self, record_id: str, sha256: str | None = None) -> Fetched:
        """Return what the record holds, where given the file of this hash alone.

        Raises `IPlumError` and `WarehouseError`.
        """

        def ask() -> str:
            return self.client.fetch_content(record_id).text

        text = ask()
        if self.media.find_url(text) is None:
            if sha256 is not None:
                raise FileRefused(DIFFERENT_FILE)
            return Fetched(body=text)
        return Fetched(file=_download(text, ask, self.media, self.store, expected="any", sha256=sha256))


@dataclass(frozen=True)
class RecordingFetcher:
    """Fetch the file of a call recording (document, "Get Recording File")."""

    client: IPlumClient
    media: MediaClient
    store: MediaStore

    def __call__(self, record_id: str, sha256: str | None = None) -> Fetched:
        """Return the file, where given only that of this hash; raises `IPlumError` and `WarehouseError`."""

        def ask() -> str:
            return self.client.fetch_recording_url(record_id)

        return Fetched(file=_download(ask(), ask, self.media, self.store, expected="audio", sha256=sha256))


def _download(
    text: str,
    ask_again: Callable[[], str],
    media: MediaClient,
    store: MediaStore,
    *,
    expected: Literal["audio", "any"],
    sha256: str | None,
) -> StoredFile:
    with store.open_incoming() as incoming:
        try:
            media.download(text, incoming.sink)
        except MediaExpired:
            media.download(ask_again(), incoming.sink)
        return store.store(incoming, expected=expected, sha256=sha256)
