"""Downloads of one record's content: its text, or its file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

from iplum_resource.client import IPlumClient
from iplum_resource.errors import MediaExpired, MediaNotReady, MediaRefused, UnreadableResponse
from iplum_resource.media.client import MediaClient
from warehouse.archive.media_store import DIFFERENT_FILE, MediaStore, StoredFile, find_declared_type
from warehouse.errors import FileRefused

#: The content of a record: a text, or a verified file.
Fetched = str | StoredFile

_CONTENT = "content download"


@dataclass(frozen=True)
class _Fetcher:
    client: IPlumClient
    media: MediaClient
    store: MediaStore

    def _download(
        self, url: str, fetch_url: Callable[[], str], *, expected: Literal["audio", "any"], sha256: str | None
    ) -> StoredFile:
        try:
            return self._store(url, expected=expected, sha256=sha256)
        except (MediaExpired, FileRefused):
            # An expired URL may also lead to a web page or an error body.
            return self._store(fetch_url(), expected=expected, sha256=sha256)

    def _store(self, url: str, *, expected: Literal["audio", "any"], sha256: str | None) -> StoredFile:
        with self.store.open_incoming() as incoming:
            content_type = self.media.download(url, incoming.sink)
            declared = find_declared_type(urlsplit(url).path, content_type)
            return self.store.store(incoming, expected=expected, declared=declared, sha256=sha256)


class ContentFetcher(_Fetcher):
    """Downloads a text, or the file of an attachment or fax.

    A content is a file only if it is one URL on the listed hosts (docs/design.md, "Text or media URL").
    """

    def __call__(self, record_id: str, sha256: str | None = None, *, is_file: bool = False) -> Fetched:
        """Return the record's content; with `sha256`, only the file with this hash; with `is_file`, never a text.

        Raises `IPlumError` and `WarehouseError`.
        """

        def fetch_text() -> str:
            return self.client.fetch_content(record_id).text

        text = fetch_text()
        if self.media.find_url(text) is not None:
            return self._download(text, fetch_text, expected="any", sha256=sha256)
        if sha256 is not None:
            raise FileRefused(DIFFERENT_FILE)
        if is_file and text.strip().lower().startswith(("http://", "https://")):
            raise MediaRefused(_CONTENT, "its host is not listed")
        if is_file:
            raise MediaNotReady(_CONTENT)
        return text


class RecordingFetcher(_Fetcher):
    """Downloads the file of a call recording (docs/iplum-api.md, "Get Recording File")."""

    def __call__(self, record_id: str, sha256: str | None = None, *, is_file: bool = True) -> Fetched:  # noqa: ARG002
        """Return the file; with `sha256`, only the one with this hash."""
        fetch_url = partial(self._fetch_url, record_id)
        return self._download(fetch_url(), fetch_url, expected="audio", sha256=sha256)

    def _fetch_url(self, record_id: str) -> str:
        try:
            return self.client.fetch_recording_url(record_id)
        except UnreadableResponse as error:
            if type(error) is not UnreadableResponse:
                raise  # a web page or too large: the server's failure, which may hold for all records
            raise MediaNotReady(error.request, error.detail) from None
