"""Recognition of media URLs, and the check against server-side request forgery (SSRF).

Anyone can text a URL to the account. The pipeline must not request it.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplum_resource.media.url import find_media_url, is_address_allowed

HOSTS = frozenset({"media.iplum.com", "files.iplum.com:8443", "127.0.0.1:9000", "[::1]:9000"})
GOOD = "https://media.iplum.com/af54.jpg"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (GOOD, GOOD),
        ("http://media.iplum.com/a.mp3", "https://media.iplum.com/a.mp3"),
        ("http://media.iplum.com:80/a.mp3", "https://media.iplum.com/a.mp3"),
        ("HTTPS://MEDIA.iplum.com/a.mp3?x=1", "https://MEDIA.iplum.com/a.mp3?x=1"),
        ("https://media.iplum.com:443/a", "https://media.iplum.com:443/a"),
        ("https://files.iplum.com:8443/a", "https://files.iplum.com:8443/a"),
        ("http://127.0.0.1:9000/media/a.mp3", "http://127.0.0.1:9000/media/a.mp3"),
        ("http://[::1]:9000/a", "http://[::1]:9000/a"),
    ],
)
def test_a_single_url_on_a_listed_host_is_a_media_url_and_is_upgraded_to_https(text: str, url: str) -> None:
    assert find_media_url(text, HOSTS) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        f" {GOOD}",
        f"{GOOD} ",
        f"{GOOD}\n",
        f"see {GOOD}",
        f"{GOOD} {GOOD}",
        f'"{GOOD}"',
        "https://evil.example/af54.jpg",
        "https://evil.example/https://media.iplum.com/a",
        "https://media.iplum.com.evil.example/a",
        "https://evil.example#@media.iplum.com/a",
        "https://media.iplum.com@evil.example/a",
        "https://user:pass@media.iplum.com/a",
        "https://media.iplum.com\\@evil.example/a",
        "https://media.iplum.com:8443/a",
        "https://media.iplum.com:99999/a",
        "https://media.iplum.com:/\\evil",
        "https://media.iplum.com./a",
        "https://medi\u0430.iplum.com/a",  # a Cyrillic letter
        "https://media.iplum.com/\x00",
        "https://media.iplum.com/\u202e",
        "https://",
        "https:///a",
        "ftp://media.iplum.com/a",
        "file:///etc/passwd",
        "//media.iplum.com/a",
        "http://127.0.0.1:9001/a",
        "http://127.1:9000/a",
        "http://2130706433:9000/a",
        "https://[::ffff:127.0.0.1]:9000/a",
        "https://media.iplum.com/" + "a" * 5000,
    ],
)
def test_any_other_text_is_not_a_media_url(text: str) -> None:
    assert find_media_url(text, HOSTS) is None


@given(st.text())
def test_no_text_is_parsed_as_a_url_of_an_unlisted_host(text: str) -> None:
    url = find_media_url(text, HOSTS)
    assert url is None or any(f"//{host}" in url.lower() for host in HOSTS)


@pytest.mark.parametrize(
    ("address", "host", "allowed"),
    [
        ("93.184.216.34", "media.iplum.com", True),
        ("2606:4700::1111", "media.iplum.com", True),
        ("127.0.0.1", "media.iplum.com", False),
        ("10.0.0.5", "media.iplum.com", False),
        ("169.254.169.254", "media.iplum.com", False),
        ("::1", "media.iplum.com", False),
        ("::ffff:10.0.0.5", "media.iplum.com", False),
        ("fe80::1%eth0", "media.iplum.com", False),
        ("224.0.0.1", "media.iplum.com", False),
        ("ff02::1", "media.iplum.com", False),
        ("64:ff9b::a00:5", "media.iplum.com", False),
        ("2002:a00:5::1", "media.iplum.com", False),
        ("2001:0:a00:5::1", "media.iplum.com", False),
        ("fec0::1", "media.iplum.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("127.0.0.1", "localhost", True),
    ],
)
def test_a_host_name_must_not_resolve_to_a_private_address(address: str, host: str, *, allowed: bool) -> None:
    assert is_address_allowed(address, host) is allowed
