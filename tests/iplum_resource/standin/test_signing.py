"""Signatures of requests to the stand-in, tested with literal vectors."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running

USAGE = "/usage/getusage"
CONTENT = "/usage/getcontent"
RECORDINGS = "/callrecordings/getrecordings"
RECORDING_FILE = "/callrecordings/getrecordingfile"
ALL_TYPES = "iPlumtext,iplumcall,externalcall,externaltext,fax"

FIRST, SECOND = "invented-secret-0001", "geheim-Ünï+/="
FIRST_KEY, SECOND_KEY = "ABCD1234ACCESSKEY", "AbCd-xY_09"
CLINIC = "admin.person@clinic.example"
VECTORS = [
    (FIRST, FIRST_KEY, "test@testuser.com", 1696387075, USAGE, "nXID0afAD1l+NzpoWjNx7T4giSwTfIJhcrsp0Cu3Dps="),
    (FIRST, FIRST_KEY, "test@testuser.com", 1696387193, RECORDINGS, "Ct+9dEUICWZxFBVCeJsRxHpEFWiY0EtTS7ClJdUC40s="),
    (SECOND, SECOND_KEY, CLINIC, 1700000000, CONTENT, "j8nGnaBgx90lpHZgfAXh1hEo8KJHNlgx51Gamq+dxno="),
    (SECOND, SECOND_KEY, "+14085550123", 1700000000, RECORDING_FILE, "JNJTWbTz9+ZKeojjX8mLTDeLMfEpCAjxkntSRIv/3XU="),
]
WINDOW = {"StartDate": "2024-03-11 00:00:00.000", "EndDate": "2024-03-16 00:00:00.000"}


def sign(secret: str, key: str, *, login: str, epoch: str, path: str) -> str:
    text = f"post\n{key}\n{login}\nv1\n{epoch}\n{path}"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def build_headers(options: Options, path: str, *, login: str | None = None, epoch: str | None = None) -> dict[str, str]:
    login = options.login_id if login is None else login
    epoch = str(int(time.time())) if epoch is None else epoch
    signature = sign(options.secret_key, options.access_key, login=login, epoch=epoch, path=path)
    return {
        "X-iPlumAuth-AccessKey": options.access_key,
        "X-iPlumAuth-Username": login,
        "X-iPlumAuth-EpochDateTime": epoch,
        "X-iPlumAuth-Version": "v1",
        "Authorization": f"iPlumAuth {signature}",
        "Content-Type": "application/json",
    }


def call(
    standin: Running, path: str, body: object, *, headers: Mapping[str, str | None] | None = None
) -> requests.Response:
    """Post a body, as JSON unless it is bytes. A header that is None is omitted."""
    signed: dict[str, str | None] = {**build_headers(standin.options, path), **(headers or {})}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(standin.url + path, data=data, headers=signed, timeout=20)


def list_usage(standin: Running, start: str, end: str, *, types: str = ALL_TYPES) -> list[dict[str, Any]]:
    response = call(standin, USAGE, {"Usage": types, "StartDate": start, "EndDate": end})
    assert response.status_code == 200
    rows: list[dict[str, Any]] = response.json()
    return rows


def list_recordings(standin: Running, start: str, end: str) -> list[dict[str, Any]]:
    response = call(standin, RECORDINGS, {"StartDate": start, "EndDate": end})
    assert response.status_code == 200
    rows: list[dict[str, Any]] = response.json()
    return rows


@pytest.mark.parametrize(("secret", "key", "login", "epoch", "path", "signature"), VECTORS)
def test_the_tests_compute_the_signatures_of_the_vectors(
    secret: str, key: str, login: str, epoch: int, path: str, signature: str
) -> None:
    assert sign(secret, key, login=login, epoch=str(epoch), path=path) == signature


@pytest.mark.parametrize(("secret", "key", "login", "epoch", "path", "signature"), VECTORS)
def test_the_server_accepts_the_signatures_of_the_vectors_and_no_others(
    secret: str, key: str, login: str, epoch: int, path: str, signature: str
) -> None:
    now = datetime.fromtimestamp(epoch, UTC)
    options = Options(access_key=key, secret_key=secret, login_id=login, clock=lambda: now)
    headers = build_headers(options, path, epoch=str(epoch)) | {"Authorization": f"iPlumAuth {signature}"}
    expected = 200 if path in (USAGE, RECORDINGS) else 400
    body = {"Usage": "fax", **WINDOW, "RecordID": "unknown"}
    with running(options) as standin:
        assert call(standin, path, body, headers=headers).status_code == expected
        for wrong in (signature[:-1], signature + "=", signature.swapcase(), "x" + signature[1:], ""):
            headers["Authorization"] = f"iPlumAuth {wrong}"
            assert call(standin, path, body, headers=headers).status_code == 401
