"""Contents of texts, faxes and recordings in the stand-in, and the files at their URLs."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running
from tests.iplum_resource.standin.test_signing import CONTENT, RECORDING_FILE, call, list_recordings, list_usage

NOW = datetime(2024, 3, 20, 15, 30, tzinfo=UTC)
OPTIONS = Options(rows_per_day=120, now=lambda: NOW)
DAYS = ("2024-03-18 00:00:00.000", "2024-03-20 00:00:00.000")
MAGIC = {
    "mp3": (b"ID3", "audio/mpeg"),
    "jpg": (b"\xff\xd8\xff", "image/jpeg"),
    "png": (b"\x89PNG\r\n\x1a\n", "image/png"),
    "pdf": (b"%PDF-", "application/pdf"),
    "mp4": (b"\x00\x00\x00\x18ftyp", "video/mp4"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(OPTIONS) as standin:
        yield standin


@pytest.fixture
def standin(server: Running) -> Running:
    server.options = OPTIONS
    server.requests.clear()
    return server


def fetch_content(standin: Running, row: dict[str, Any]) -> str:
    response = call(standin, CONTENT, {"Lang": "en", "RecordID": row["recordId"]})
    assert response.status_code == 200
    text: str = response.json()
    return text


def fetch_recording_url(standin: Running) -> str:
    row = list_recordings(standin, *DAYS)[0]
    url: str = call(standin, RECORDING_FILE, {"RecordID": row["recordId"]}).json()
    return url


def download(url: str) -> requests.Response:
    return requests.get(url, timeout=20)


@pytest.fixture(scope="module")
def contents(server: Running) -> list[tuple[dict[str, Any], str]]:
    server.options = OPTIONS
    rows = list_usage(server, *DAYS, types="externaltext,iPlumtext,fax")
    return [(row, fetch_content(server, row)) for row in rows]


def test_contents_include_every_kind_of_text_and_url(
    standin: Running, contents: list[tuple[dict[str, Any], str]]
) -> None:
    texts = [text for _, text in contents]
    base = f"{standin.url}/media/"
    assert "" in texts
    assert any("\n" in text for text in texts)
    assert any('"' in text for text in texts)
    assert any(ord(max(text, default=" ")) > 0xFFFF for text in texts)
    assert any(text.startswith(("http://", "https://")) and not text.startswith(base) for text in texts)
    assert any(text.startswith(base) for text in texts)
    assert sum(text.startswith(base) for text in texts) < len(texts) / 2


def test_a_fax_is_a_pdf_and_an_internal_text_has_the_same_content_for_both_users(
    standin: Running, contents: list[tuple[dict[str, Any], str]]
) -> None:
    faxes = [text for row, text in contents if row["usage"] == "fax"]
    assert faxes
    assert all(re.fullmatch(rf"{standin.url}/media/[0-9a-f-]{{36}}\.pdf", text) for text in faxes)
    internal: dict[tuple[str, ...], set[str]] = {}
    for row, text in contents:
        if row["type"] == "iplum":
            internal.setdefault((row["from"], row["to"], row["startTimeUTC"]), set()).add(text)
    assert internal
    assert all(len(texts) == 1 for texts in internal.values())


def test_every_media_url_returns_a_file_of_the_type_of_its_extension(
    standin: Running, contents: list[tuple[dict[str, Any], str]]
) -> None:
    urls = {text for _, text in contents if text.startswith(f"{standin.url}/media/")}
    urls.add(fetch_recording_url(standin))
    kinds = set()
    for url in urls:
        response = download(url)
        kind = url.rpartition(".")[2]
        magic, media_type = MAGIC[kind]
        kinds.add(kind)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Content-Length"] == str(len(response.content)) == "24000"
        assert response.content.startswith(magic)
        assert download(url).content == response.content
    assert kinds >= {"mp3", "jpg", "pdf"}


def test_a_restarted_server_returns_the_same_content(contents: list[tuple[dict[str, Any], str]]) -> None:
    row, text = next((row, text) for row, text in contents if text and not text.startswith("http"))
    with running(OPTIONS) as other:
        assert fetch_content(other, row) == text


def test_content_as_plain_text_is_not_quoted(standin: Running, contents: list[tuple[dict[str, Any], str]]) -> None:
    row, text = next((row, text) for row, text in contents if '"' in text)
    standin.options = replace(OPTIONS, content_as="plain")
    response = call(standin, CONTENT, {"RecordID": row["recordId"]})
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode() == text


def test_content_of_a_call_and_the_recording_of_a_text_are_400s(standin: Running) -> None:
    phone_call = list_usage(standin, *DAYS, types="externalcall")[0]
    text = list_usage(standin, *DAYS, types="externaltext")[0]
    recording = list_recordings(standin, *DAYS)[0]
    for path, row in ((CONTENT, phone_call), (CONTENT, recording), (RECORDING_FILE, text)):
        response = call(standin, path, {"RecordID": row["recordId"]})
        assert response.status_code == 400
        assert response.json()["errorCode"] == "ERR_INVALID_REQUEST"


def test_content_is_a_400_while_its_row_is_not_listed(standin: Running) -> None:
    text, recording = list_usage(standin, *DAYS, types="externaltext")[-1], list_recordings(standin, *DAYS)[-1]
    for options, status in (
        (replace(OPTIONS, purge_before=NOW), 400),
        (replace(OPTIONS, now=lambda: datetime(2024, 3, 18, tzinfo=UTC)), 400),
        (replace(OPTIONS, late_rows=1, late_by=timedelta(days=5)), 400),
        (replace(OPTIONS, late_rows=1, late_by=timedelta(minutes=1)), 200),
        (replace(OPTIONS, seed=2), 400),
    ):
        standin.options = options
        assert call(standin, CONTENT, {"RecordID": text["recordId"]}).status_code == status
        assert call(standin, RECORDING_FILE, {"RecordID": recording["recordId"]}).status_code == status


def test_an_odd_recording_row_has_a_recording_file(standin: Running) -> None:
    standin.options = replace(OPTIONS, odd_rows=True)
    rows = [row for row in list_recordings(standin, *DAYS) if isinstance(row, dict)]
    odd = next(row for row in rows if "~" in row.get("recordId", ""))
    assert call(standin, RECORDING_FILE, {"RecordID": odd["recordId"]}).status_code == 200


def test_an_unknown_media_path_is_a_404_and_a_post_to_a_file_a_405(standin: Running) -> None:
    url = fetch_recording_url(standin)
    for wrong in (
        url.replace(".mp3", ".jpg"),
        url.replace(".mp3", ""),
        f"{standin.url}/media/af542549-527a-47c8-a183-b853455501c0.jpg",
        f"{standin.url}/media/x",
        f"{standin.url}/media/",
    ):
        assert download(wrong).status_code == 404
    assert requests.post(url, timeout=20).status_code == 405


def test_media_base_replaces_the_servers_url(standin: Running) -> None:
    standin.options = replace(OPTIONS, media_base="http://media.iplum.example/")
    assert re.fullmatch(r"http://media\.iplum\.example/[0-9a-f-]{36}\.mp3", fetch_recording_url(standin))


@pytest.mark.parametrize("size", [3, 65_536, 200_001])
def test_a_file_has_the_configured_size(standin: Running, size: int) -> None:
    standin.options = replace(OPTIONS, media_bytes=size)
    response = download(fetch_recording_url(standin))
    assert len(response.content) == size == int(response.headers["Content-Length"])
    assert response.content.startswith(b"ID3")


def test_the_first_downloads_of_a_file_can_be_404s(standin: Running) -> None:
    url = fetch_recording_url(standin)
    standin.options = replace(OPTIONS, media_not_ready_first=2)
    assert [download(url).status_code for _ in range(3)] == [404, 404, 200]


def test_a_download_can_return_an_html_page(standin: Running) -> None:
    url = fetch_recording_url(standin)
    standin.options = replace(OPTIONS, media_error_page=1)
    response = download(url)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_download_can_be_truncated(standin: Running) -> None:
    url = fetch_recording_url(standin)
    standin.options = replace(OPTIONS, media_cut=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        download(url)


def test_random_truncation_affects_some_downloads_of_a_file(standin: Running) -> None:
    url = fetch_recording_url(standin)
    standin.options = replace(OPTIONS, media_cut=0.5)
    truncated = 0
    for _ in range(12):
        try:
            download(url)
        except requests.exceptions.ChunkedEncodingError:
            truncated += 1
    assert 0 < truncated < 12


def test_faults_of_api_requests_do_not_affect_downloads(standin: Running) -> None:
    url = fetch_recording_url(standin)
    standin.options = replace(OPTIONS, reset=1, cut=1, fail_500=1, rate_limit=0.01, recording_plan=False)
    assert [download(url).status_code for _ in range(3)] == [200, 200, 200]
