"""Downloads of one record's content: its text, or its file."""

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
    """The content of a record: a text, or a verified file."""

    body: str | None = field(default=None, repr=False)
    file: StoredFile | None = None


@dataclass(frozen=True)
class ContentFetcher:
    """Downloads a text, or the file of an attachment or fax.

    A content is a file only if it is one URL on the listed hosts (docs/design.md, "Text or media URL").
    """

    client: IPlumClient
    media: MediaClient
    store: MediaStore

    def __call__(self, record_id: str, sha256: str | None = None) -> Fetched:
        """Return the record's content; with `sha256`, only the file with this hash.

        Raises `IPlumError` and `WarehouseError`.
        """

        def fetch_text() -> str:
            return self.client.fetch_content(record_id).text

        text = fetch_text()
        if self.media.find_url(text) is None:
            if sha256 is not None:
                raise FileRefused(DIFFERENT_FILE)
            return Fetched(body=text)
        return Fetched(file=_download(text, fetch_text, self.media, self.store, expected="any", sha256=sha256))


@dataclass(frozen=True)
class RecordingFetcher:
    """Downloads the file of a call recording (docs/iplum-api.md, "Get Recording File")."""

    client: IPlumClient
    media: MediaClient
    store: MediaStore

    def __call__(self, record_id: str, sha256: str | None = None) -> Fetched:
        """Return the file; with `sha256`, only the one with this hash."""

        def fetch_text() -> str:
            return self.client.fetch_recording_url(record_id)

        return Fetched(
            file=_download(fetch_text(), fetch_text, self.media, self.store, expected="audio", sha256=sha256)
        )


def _download(
    text: str,
    fetch_text_again: Callable[[], str],
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
            media.download(fetch_text_again(), incoming.sink)
        return store.store(incoming, expected=expected, sha256=sha256)
