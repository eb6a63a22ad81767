"""Request signatures, compared with signatures computed by `printf ... | openssl dgst -sha256 -hmac`."""

from datetime import UTC, datetime

import pytest
import requests

from iplum_resource.credentials import Credentials
from iplum_resource.signing import Signature, build_headers, sign

PLAIN = ("invented-secret-0001", "ABCD1234ACCESSKEY", "test@testuser.com", "v1")
SPECIAL_CHARACTERS = ("geheim-Ünï+/=", "AbCd-xY_09", "admin.person@clinic.example", "v1")
PHONE = ("geheim-Ünï+/=", "AbCd-xY_09", "+14085550123", "v1")
VECTORS = [
    (PLAIN, "1696387075", "/usage/getusage", "nXID0afAD1l+NzpoWjNx7T4giSwTfIJhcrsp0Cu3Dps="),
    (PLAIN, "1696387193", "/callrecordings/getrecordings", "Ct+9dEUICWZxFBVCeJsRxHpEFWiY0EtTS7ClJdUC40s="),
    (SPECIAL_CHARACTERS, "1700000000", "/usage/getcontent", "j8nGnaBgx90lpHZgfAXh1hEo8KJHNlgx51Gamq+dxno="),
    (PHONE, "1700000000", "/callrecordings/getrecordingfile", "JNJTWbTz9+ZKeojjX8mLTDeLMfEpCAjxkntSRIv/3XU="),
]


@pytest.mark.parametrize(("keys", "epoch", "path", "signature"), VECTORS)
def test_signatures_match_those_of_openssl(
    keys: tuple[str, str, str, str], epoch: str, path: str, signature: str
) -> None:
    assert sign(*keys, epoch, path) == signature


def test_path_and_version_are_lowercased_and_key_and_login_are_not() -> None:
    secret, key, login, _ = PLAIN
    expected = VECTORS[0][3]
    assert sign(secret, key, login, "V1", "1696387075", "/Usage/GetUsage") == expected
    assert sign(secret, key.lower(), login, "v1", "1696387075", "/usage/getusage") != expected
    assert sign(secret, key, login.upper(), "v1", "1696387075", "/usage/getusage") != expected


def test_headers_match_the_documentation() -> None:
    credentials = Credentials(access_key=PLAIN[1], secret_key=PLAIN[0], login_id=PLAIN[2])
    at = datetime.fromtimestamp(1696387075.999, UTC)
    assert build_headers(credentials, credentials.login_id, path="/usage/getusage", at=at) == {
        "X-iPlumAuth-AccessKey": "ABCD1234ACCESSKEY",
        "X-iPlumAuth-Username": "test@testuser.com",
        "X-iPlumAuth-EpochDateTime": "1696387075",
        "X-iPlumAuth-Version": "v1",
        "Authorization": "iPlumAuth nXID0afAD1l+NzpoWjNx7T4giSwTfIJhcrsp0Cu3Dps=",
        "Content-Type": "application/json",
    }


def test_the_signature_covers_the_path_of_the_request() -> None:
    credentials = Credentials(access_key=PLAIN[1], secret_key=PLAIN[0], login_id=PLAIN[2])
    auth = Signature(credentials, credentials.login_id, datetime.fromtimestamp(1696387075, UTC))
    request = requests.Request("POST", "https://api.iplum.com/usage/getusage", data=b"{}", auth=auth).prepare()
    assert request.headers["Authorization"] == f"iPlumAuth {VECTORS[0][3]}"


@pytest.mark.parametrize("field", ["access_key", "secret_key", "login_id"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (" CANARY", "white space in or around"),
        ("CANARY\n", "white space in or around"),
        ('"CANARY"', "quotes around"),
        ("“CANARY”", "quotes around"),
        ("CAN\r\nARY", "white space in or around"),
    ],
)
def test_an_invalid_credential_is_reported_by_name_without_its_value(field: str, value: str, problem: str) -> None:
    values = {"access_key": "a", "secret_key": "s", "login_id": "l", field: value}
    with pytest.raises(ValueError, match=f"{field} .*{problem}") as caught:
        Credentials(**values)
    assert "CAN" not in str(caught.value)


def test_reprs_contain_no_secret() -> None:
    credentials = Credentials("CANARY1", "CANARY2", "CANARY3")
    at = datetime(2024, 1, 1, tzinfo=UTC)
    assert "CANARY" not in repr(credentials) + str(credentials) + repr(Signature(credentials, "CANARY3", at))
