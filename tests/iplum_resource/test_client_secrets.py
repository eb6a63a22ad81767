"""Absence of keys, logins, signatures, bodies and URLs in errors, their causes, and logs."""

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from iplum_resource.errors import IPlumError
from tests.support.scripted_server import ScriptedServer, Step, hang, respond, send, send_then_reset, write_head
from tests.support.window_requests import CREDENTIALS, WIDE, build_client

BODY = b'CANARY-body +14085550123 http://media.iplum.com/CANARY.jpg {"errorCode": "CANARY text"}'
STEPS: dict[str, Step] = {
    **{str(status): respond(status, BODY) for status in (200, 400, 401, 403, 404, 429, 500, 600)},
    "redirect": respond(302, BODY, {"Location": "https://CANARY.example/"}),
    "error object": respond(200, b'{"errorCode": "CANARY text", "errorDescription": "CANARY"}'),
    "truncated array": respond(200, b'["CANARY"'),
    "truncated body": send(write_head(200, length=999) + BODY),
    "reset": send_then_reset(write_head(200, length=999) + BODY),
    "not HTTP": send(BODY),
    "bad header": send(b"HTTP/1.1 200 OK\r\nCANARY\r\nContent-Length: CANARY\r\n\r\n" + BODY),
    "not gzip": respond(200, BODY, {"Content-Encoding": "gzip"}),
    "no response": hang,
}
SECRETS = ("CANARY", "canary", "4711", "0815", "iPlumAuth", "+1408", "media.iplum")


def _iterate_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("call", ["usage", "content", "url"])
def test_no_secret_is_in_an_error_a_repr_or_a_log(step: Step, call: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        ScriptedServer(step) as server,
        build_client(server.url, read_timeout=0.05 if step is hang else 20) as client,
    ):
        calls: dict[str, Callable[[], object]] = {
            "usage": lambda: client.fetch_usage(WIDE, ["fax"]),
            "content": lambda: client.fetch_content("CANARY-record"),
            "url": lambda: client.fetch_recording_url("CANARY-record"),
        }
        chain: list[BaseException] = []
        try:
            shown = [repr(calls[call]())]
        except IPlumError as error:
            chain = list(_iterate_causes(error))
            shown = [text for link in chain for text in (str(link), repr(link), repr(vars(link)))]
            shown += traceback.format_exception(error)
    signatures = [request.headers["authorization"].split()[1] for request in server.received]
    assert signatures
    assert all(isinstance(link, IPlumError) for link in chain)  # a library's error would contain the signed request
    for text in [*shown, caplog.text, repr(client)]:
        source_free = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
        for secret in (*SECRETS, *signatures, CREDENTIALS.secret_key):
            assert secret not in source_free
