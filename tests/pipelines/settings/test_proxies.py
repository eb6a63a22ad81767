"""Proxy settings: which are refused, and that none is used for this machine."""

import io
from pathlib import Path

import pytest
import requests

from iplum_resource.http.transport import DirectSession
from iplum_resource.media.client import MediaClient
from pipelines import cli
from pipelines.alerts import Alert, send_alert
from pipelines.settings import SettingsError, check_proxy, exclude_loopback, load_settings
from tests.support.alert_servers import run_webhook
from tests.support.scripted_server import ScriptedServer, respond

API = "https://api.iplum.com"
ALL = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(params=["http://127.0.0.1:9", "socks5://127.0.0.1:9", "http://me:s3cret@[bad"])
def _proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALL:
        monkeypatch.setenv(name, request.param)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTPS_PROXY": "http://proxy.clinic.example:3128"},
        {"HTTPS_PROXY": "http://me:pass%40word@10.0.0.1:3128/"},
        {"https_proxy": "proxy:8080", "ALL_PROXY": "socks5://proxy:1080"},
        {"ALL_PROXY": "https://[::1]:3128"},
        {"HTTP_PROXY": "socks5://proxy:1080"},
        {"HTTPS_PROXY": "", "ALL_PROXY": ""},
        {"ALL_PROXY": "socks5://proxy:1080", "NO_PROXY": "localhost,.iplum.com"},
    ],
)
def test_an_http_proxy_is_accepted(environ: dict[str, str]) -> None:
    check_proxy(environ, API)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"ALL_PROXY": "socks5://me:s3cret@proxy:1080"}, "ALL_PROXY is a SOCKS proxy"),
        ({"https_proxy": "SOCKS5H://me:s3cret@proxy:1080"}, "https_proxy is a SOCKS proxy"),
        ({"HTTPS_PROXY": "http://me:s3cret@:3128"}, "HTTPS_PROXY is not the URL"),
        ({"HTTPS_PROXY": "http://me:s3cret@proxy:99999"}, "HTTPS_PROXY is not the URL"),
        ({"HTTPS_PROXY": "http://me:s3cret@proxy:port"}, "HTTPS_PROXY is not the URL"),
        ({"HTTPS_PROXY": "'http://me:s3cret@proxy:3128'"}, "HTTPS_PROXY is not the URL"),
        ({"HTTPS_PROXY": "ftp://me:s3cret@proxy"}, "HTTPS_PROXY is not the URL"),
        ({"HTTPS_PROXY": "http://me:s3cret@[bad"}, "HTTPS_PROXY is not the URL"),
        ({"HTTPS_PROXY": "http://me:s3cret@proxy/path"}, "HTTPS_PROXY is not the URL"),
        ({"HTTPS_PROXY": " "}, "HTTPS_PROXY is not the URL"),
    ],
)
def test_any_other_proxy_is_named_without_its_password(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as failure:
        check_proxy(environ, API)
    assert "s3cret" not in str(failure.value)
    check_proxy(environ, "http://127.0.0.1:8000")


@pytest.mark.parametrize("command", ["sync", "archive", "doctor"])
def test_commands_exit_with_2_before_any_request(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"IPLUM_ACCESS_KEY": "k", "IPLUM_SECRET_KEY": "s", "IPLUM_LOGIN_ID": "l", "IPLUM_DATA": str(tmp_path)}
    for name, value in {**environ, "ALL_PROXY": "socks5h://me:s3cret@127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    assert cli.run([command]) == 2
    output = "".join(capsys.readouterr())
    assert "ALL_PROXY is a SOCKS proxy" in output
    assert "s3cret" not in output


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "localhost,127.0.0.0/8,127.0.0.1,::1"),
        ({"NO_PROXY": "a.example, 127.0.0.1"}, "a.example,127.0.0.1,localhost,127.0.0.0/8,::1"),
        ({"no_proxy": "b.example", "NO_PROXY": "a.example"}, "b.example,localhost,127.0.0.0/8,127.0.0.1,::1"),
    ],
)
def test_loopback_is_added_to_no_proxy(before: dict[str, str], after: str) -> None:
    exclude_loopback(before)
    assert before == {"no_proxy": after, "NO_PROXY": after}
    every = {"NO_PROXY": "*"}
    exclude_loopback(every)
    assert every == {"NO_PROXY": "*"}


@pytest.mark.usefixtures("_proxies")
def test_no_proxy_is_used_for_this_machine(tmp_path: Path) -> None:
    with ScriptedServer(respond(200, b"ID3 sound")) as server, run_webhook() as hook:
        with MediaClient(frozenset({server.url.removeprefix("http://")})) as media:
            sink = io.BytesIO()
            media.download(f"{server.url}/a.mp3", sink)
            assert sink.getvalue() == b"ID3 sound"
        with DirectSession() as session:
            assert session.get(server.url, timeout=20).ok
        settings = load_settings({"IPLUM_DATA": str(tmp_path), "IPLUM_ALERT_WEBHOOK": hook.url}, tmp_path)
        send_alert(Alert("subject", "text"), settings.alerts)
        assert len(hook.received) == 1


@pytest.mark.usefixtures("_proxies")
def test_libraries_use_no_proxy_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    variables: dict[str, str] = {}
    exclude_loopback(variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with ScriptedServer(respond(200, b"here")) as server:
        for host in ("127.0.0.1", "localhost"):
            assert requests.get(f"http://{host}:{server.port}/", timeout=20).content == b"here"
