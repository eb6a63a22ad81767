"""Downloads of one record's file: a rejected file is requested again at once with a fresh URL."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from iplum_resource.client import IPlumClient
from iplum_resource.errors import BrokenJson, MediaNotReady, MediaRefused, UnreadableResponse
from iplum_resource.http.responses import Content
from iplum_resource.media.client import MediaClient
from pipelines.steps.fetch_content import ContentFetcher, RecordingFetcher
from tests.support.raw_responses import create_folder
from tests.support.scripted_server import Received, ScriptedServer, Step, respond
from warehouse.archive.media_store import MediaStore, StoredFile
from warehouse.errors import FileRefused

AUDIO = b"ID3\x04\x00 some sound"
PAGE = b"<!DOCTYPE html><p>Sign in</p>"


class CountingUrls:
    """The part of the client that fetches URLs: each one is different."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.requested = 0

    def fetch_recording_url(self, _record_id: str) -> str:
        self.requested += 1
        return f"{self.base_url}/{self.requested}.mp3"


@pytest.fixture
def fetch_from(tmp_path: Path) -> Callable[[dict[str, Step]], tuple[StoredFile | FileRefused, int]]:
    def fetch(answers: dict[str, Step]) -> tuple[StoredFile | FileRefused, int]:
        def choose(request: Received) -> Step:
            return answers[request.path]

        with ScriptedServer(choose=choose) as server:
            urls = CountingUrls(server.url)
            with MediaClient(frozenset({server.url.removeprefix("http://")}), sleep=lambda _: None) as media:
                fetcher = RecordingFetcher(cast("IPlumClient", urls), media, MediaStore(create_folder(tmp_path)))
                try:
                    result = fetcher("r")
                except FileRefused as error:
                    return error, urls.requested
        assert isinstance(result, StoredFile)
        return result, urls.requested

    return fetch


@pytest.mark.parametrize(
    "first",
    [respond(200, PAGE), respond(200, b'{"errorCode":"ERR_EXPIRED"}'), respond(403, b""), respond(200, b"")],
    ids=["web page", "error body", "expired", "empty"],
)
def test_a_fresh_url_is_requested_at_once(
    first: Step, fetch_from: Callable[[dict[str, Step]], tuple[StoredFile | FileRefused, int]]
) -> None:
    result, requested = fetch_from({"/1.mp3": first, "/2.mp3": respond(200, AUDIO)})
    assert isinstance(result, StoredFile)
    assert (result.bytes, requested) == (len(AUDIO), 2)


def test_a_file_that_is_rejected_twice_fails(
    fetch_from: Callable[[dict[str, Step]], tuple[StoredFile | FileRefused, int]],
) -> None:
    result, requested = fetch_from({"/1.mp3": respond(200, PAGE), "/2.mp3": respond(200, PAGE)})
    assert isinstance(result, FileRefused)
    assert "web page" in str(result)
    assert requested == 2


class FixedContents:
    """The part of the client that fetches contents: always the same one, or an error for a recording's URL."""

    def __init__(self, text: str = "", error: Exception | None = None) -> None:
        self.text, self.error = text, error

    def fetch_content(self, _record_id: str) -> Content:
        return Content(self.text, declared_json=False)

    def fetch_recording_url(self, _record_id: str) -> str:
        assert self.error is not None
        raise self.error


def test_a_text_in_place_of_a_fax_is_not_its_content(tmp_path: Path) -> None:
    store = MediaStore(create_folder(tmp_path))
    with MediaClient(frozenset({"media.iplum.com"})) as media:

        def fetch(text: str, *, is_file: bool) -> object:
            return ContentFetcher(cast("IPlumClient", FixedContents(text)), media, store)("r", is_file=is_file)

        assert fetch("Not ready yet", is_file=False) == "Not ready yet", "a person may text this"
        with pytest.raises(MediaNotReady):
            fetch("Not ready yet", is_file=True)
        with pytest.raises(MediaNotReady):
            fetch("", is_file=True)
        with pytest.raises(MediaRefused, match="not listed"):
            fetch("https://files.outside.example/fax.pdf", is_file=True)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (UnreadableResponse("R", "not the URL of a recording"), MediaNotReady),
        (BrokenJson("R", "a web page"), BrokenJson),
    ],
)
def test_a_text_in_place_of_a_recordings_url_means_not_ready(
    tmp_path: Path, error: Exception, raised: type[Exception]
) -> None:
    client = cast("IPlumClient", FixedContents(error=error))
    with MediaClient(frozenset()) as media, pytest.raises(raised):
        RecordingFetcher(client, media, MediaStore(create_folder(tmp_path)))("r")


def test_a_fax_must_be_what_its_url_says(tmp_path: Path) -> None:
    store = MediaStore(create_folder(tmp_path))
    for body, is_stored in ((AUDIO, False), (b"Fax not ready", False), (b"\x01\x02", False), (b"%PDF-1.4", True)):
        with (
            ScriptedServer(respond(200, body)) as server,
            MediaClient(frozenset({server.url.removeprefix("http://")}), sleep=lambda _: None) as media,
        ):
            client = cast("IPlumClient", FixedContents(f"{server.url}/fax.pdf"))
            fetch = ContentFetcher(client, media, store)
            if is_stored:
                assert isinstance(fetch("r", is_file=True), StoredFile)
            else:
                with pytest.raises(FileRefused):
                    fetch("r", is_file=True)
