"""Settings: defaults, accepted values, and errors that name the variable."""

import re
from datetime import date, time
from pathlib import Path

import pytest

from pipelines.dagster_home import open_instance
from pipelines.settings import (
    VARIABLES,
    SettingsError,
    check_account,
    check_credentials,
    load_settings,
    read_environment,
)
from pipelines.warehouse_folder import open_folder, open_inbox
from tests.support.raw_responses import call, fold, response
from warehouse.outputs.query import run_query
from warehouse.outputs.report import render_report
from warehouse.snapshot.publish import publish
from warehouse.storage.s3_config import Bucket

#: Defaults that users rely on.
DEFAULTS = {
    "IPLUM_BASE_URL": "https://api.iplum.com",
    "IPLUM_ACCOUNT": "default",
    "IPLUM_DATA": "./data",
    "IPLUM_START_DATE": "2024-01-01",
    "IPLUM_LOOKBACK_DAYS": "7",
    "IPLUM_TIMEZONE": "UTC",
    "IPLUM_USAGE_TYPES": "iPlumtext,iplumcall,externalcall,externaltext,fax",
    "IPLUM_REQUESTS_PER_SECOND": "5",
    "IPLUM_CONCURRENCY": "8",
    "IPLUM_VERIFY": "auto",
    "IPLUM_LANG": "en",
    "IPLUM_LOGIN_CASE": "lower",
    "IPLUM_SYNC_AT": "02:15",
    "IPLUM_MEDIA_HOSTS": "media.iplum.com",
    "IPLUM_BUSINESS_HOURS": "mon-fri 09:00-17:00",
    "IPLUM_KEEP_CONTENT": "false",
    "IPLUM_CALLBACK_TOKEN": "",
    "IPLUM_INBOX_URL": "",
}


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_documented_defaults_do_not_change(name: str, default: str) -> None:
    assert {variable.name: variable.default for variable in VARIABLES}[name] == default


def test_an_empty_environment_gives_the_default_settings(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path)
    assert settings.data == settings.state == tmp_path / "data"
    assert settings.start_date == date(2024, 1, 1)
    assert settings.sync_at == time(2, 15)
    assert settings.usage_types == ("iPlumtext", "iplumcall", "externalcall", "externaltext", "fax")
    assert settings.media_hosts == {"media.iplum.com"}
    assert settings.file_group is None


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert load_settings({variable.name: "" for variable in VARIABLES}, tmp_path) == load_settings({}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IPLUM_BASE_URL", "http://api.iplum.com"),
        ("IPLUM_BASE_URL", "api.iplum.com"),
        ("IPLUM_BASE_URL", "https://user@api.iplum.com"),
        ("IPLUM_BASE_URL", "https://api.iplum.com?a=1"),
        ("IPLUM_BASE_URL", "https://api.iplum.com?"),
        ("IPLUM_BASE_URL", "https://api.iplum.com#"),
        ("IPLUM_BASE_URL", "https://api.iplum.com/#usage"),
        ("IPLUM_BASE_URL", "https://api.iplum.com\n"),
        ("IPLUM_BASE_URL", "https://api.iplum.com /usage"),
        ("IPLUM_BASE_URL", "https://api\\.iplum.com"),
        ("IPLUM_BASE_URL", "https://api..iplum.com"),
        ("IPLUM_BASE_URL", "https://[::1"),
        ("IPLUM_BASE_URL", "https://api.iplum.com:0"),
        ("IPLUM_BASE_URL", "https://api.iplum.com:99999"),
        ("IPLUM_BASE_URL", "“https://api.iplum.com”"),
        ("IPLUM_BASE_URL", "http://127.0.0.1.iplum.com"),
        ("IPLUM_BASE_URL", "http://localhost.iplum.com"),
        ("IPLUM_ACCOUNT", "a/b"),
        ("IPLUM_BUSINESS_HOURS", "nine to five"),
        ("IPLUM_KEEP_CONTENT", "yes"),
        ("IPLUM_INBOX_URL", "sqlite://"),
        ("IPLUM_INBOX_URL", "sqlite:///:memory:"),
        ("IPLUM_INBOX_URL", "sqlite:///inbox.sqlite"),
        ("IPLUM_INBOX_URL", "sqlite:////tmp/inbox?mode=memory"),
        ("IPLUM_INBOX_URL", "mysql://root@localhost/inbox"),
        ("IPLUM_ACCOUNT", "x" * 65),
        ("IPLUM_ACCOUNT", ".."),
        ("IPLUM_START_DATE", "2024-13-01"),
        ("IPLUM_START_DATE", "20240101"),
        ("IPLUM_START_DATE", "1999-12-31"),
        ("IPLUM_LOOKBACK_DAYS", "-1"),
        ("IPLUM_LOOKBACK_DAYS", "1.5"),
        ("IPLUM_TIMEZONE", "Mars/Olympus"),
        ("IPLUM_TIMEZONE", "../etc/passwd"),
        ("IPLUM_TIMEZONE", "localtime"),
        ("IPLUM_TIMEZONE", "posixrules"),
        ("IPLUM_TIMEZONE", "right/UTC"),
        ("IPLUM_TIMEZONE", "america/new_york"),
        ("IPLUM_USAGE_TYPES", ","),
        ("IPLUM_USAGE_TYPES", "call;text"),
        ("IPLUM_REQUESTS_PER_SECOND", "0"),
        ("IPLUM_REQUESTS_PER_SECOND", "nan"),
        ("IPLUM_CONCURRENCY", "0"),
        ("IPLUM_VERIFY", "maybe"),
        ("IPLUM_LANG", "english"),
        ("IPLUM_LOGIN_CASE", "upper"),
        ("IPLUM_SYNC_AT", "24:00"),
        ("IPLUM_FILE_GROUP", "no-such-group"),
        ("IPLUM_MEDIA_HOSTS", "https://media.iplum.com"),
    ],
)
def test_an_invalid_value_is_rejected_and_the_variable_is_named(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{name} must (be|have no)"):
        load_settings({name: value}, tmp_path)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:9", "https://x.example"])
def test_https_and_loopback_base_urls_are_accepted(url: str, tmp_path: Path) -> None:
    assert load_settings({"IPLUM_BASE_URL": url}, tmp_path).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        *("https://[::1", "https://[::::]", "https://[1.2.3.4]", "https://[a]", "https://[fe80::1%25eth0]"),
        *(
            "https://a.example:99999",
            "https://a.example:0",
            "https://a.example:port",
            "https://a..example",
            "https:///x",
        ),
        *(
            "https://a\0.example",
            "https://a.example\n",
            "https://a.example\\x",
            "https://exa mple",
            "https://é.example",
        ),
        *("https://%41.example", "//a.example", "https://" + "a" * 64, "http://127.0.0.1:1\r\nX: y"),
    ],
)
def test_a_malformed_base_url_is_rejected(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^IPLUM_BASE_URL must be a URL like"):
        load_settings({"IPLUM_BASE_URL": url}, tmp_path)


@pytest.mark.parametrize("url", ["sqlite:////srv/inbox.sqlite", "postgresql+psycopg2://a:c4nary@host/inbox"])
def test_an_inbox_url_of_sqlite_or_postgresql_is_accepted_and_its_password_is_not_shown(
    url: str, tmp_path: Path
) -> None:
    settings = load_settings({"IPLUM_INBOX_URL": url}, tmp_path)
    assert settings.inbox_url == url
    assert "c4nary" not in repr(settings)


CREDENTIALS = {"IPLUM_ACCESS_KEY": "key", "IPLUM_SECRET_KEY": "c4nary", "IPLUM_LOGIN_ID": "a@b.example"}


#: Quotes of word processors and of other languages' keyboards.
QUOTED = [
    f"{left}c4nary{right}"
    for left, right in (
        *("\u201c\u201d", "\u2018\u2019", "\u201e\u201c", "\u201a\u2018", "\u00ab\u00bb", "\u2039\u203a"),
        *("\u00b4\u00b4", "\u2032\u2032", "\u2033\u2033", "\uff02\uff02", "\uff07\uff07", "x\u2019"),
    )
]


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize(
    "value", ["", " c4nary", "c4nary\n", '"c4nary"', "'c4nary", "c4n ary", "c4nary\u200b", *QUOTED]
)
def test_an_invalid_credential_is_reported_by_name_without_its_value(name: str, value: str) -> None:
    check_credentials(CREDENTIALS)
    with pytest.raises(SettingsError, match=name) as caught:
        check_credentials({**CREDENTIALS, name: value})
    assert "c4n" not in str(caught.value)


def test_a_renamed_account_is_rejected_with_the_fix(tmp_path: Path) -> None:
    settings = load_settings({"IPLUM_ACCOUNT": "new"}, tmp_path)
    check_account(settings, [])
    check_account(settings, ["new", "other"])
    with pytest.raises(SettingsError, match="'old': set it back"):
        check_account(settings, ["old"])


def test_environment_variables_override_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("IPLUM_LANG=de\nIPLUM_ACCOUNT='quoted'\n# comment\nEMPTY\n")
    environ = read_environment({"IPLUM_LANG": "fr"}, tmp_path)
    assert (environ["IPLUM_LANG"], environ["IPLUM_ACCOUNT"]) == ("fr", "quoted")


@pytest.mark.parametrize("name", ["a?b", "a%20b", "%", "a\\b", "a\nb", "a\x1bb", "\u202e", "\udcff", "~nobody-here"])
@pytest.mark.parametrize("variable", ["IPLUM_DATA", "IPLUM_STATE"])
def test_a_folder_that_databases_read_differently_is_rejected_by_name(variable: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} must be a folder") as caught:
        load_settings({variable: name}, tmp_path)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_project_in_a_folder_that_databases_read_differently_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="IPLUM_DATA must be a folder whose path has no"):
        load_settings({}, tmp_path / "50%")


@pytest.mark.parametrize(
    "name",
    ["a#b", "a b", "a'b", 'a"b', "a*b", "a[b]", "{a}", "a;b", "a:b", "a,b", "$HOME", "a&b", "ä", "a=b", "account=x"],
)
def test_any_other_folder_works(name: str, tmp_path: Path) -> None:
    settings = load_settings({"IPLUM_DATA": name}, tmp_path)
    folder = open_folder(settings)
    fold(folder, response([call()], 1))
    publish(folder)
    fold(folder, response([call("b")], 2))
    publish(folder)
    assert (
        list(run_query(folder, "SELECT account, window_start::VARCHAR FROM usage").rows)
        == [("default", "2023-03-21")] * 2
    )
    render_report(folder)
    with open_inbox(settings, folder), open_instance(settings) as instance:
        assert instance.get_runs_count() == 0
    assert {path.name for path in (tmp_path / name).iterdir()} >= {"warehouse.duckdb", "inbox.sqlite", "dagster", "raw"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


S3 = {"IPLUM_DATA": "s3://calls/clinic/iplum/", "AWS_ENDPOINT_URL": "https://s3.example"}


def test_data_in_a_bucket_has_a_local_state_folder(tmp_path: Path) -> None:
    settings = load_settings({**S3, "AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "hush"}, tmp_path)
    folder = open_folder(settings)
    assert (str(settings.data), settings.state) == ("s3://calls/clinic/iplum", tmp_path / "data")
    assert folder.snapshot == tmp_path / "data/s3/calls/clinic/iplum/warehouse.duckdb"
    assert folder.inbox == tmp_path / "data/inbox.sqlite"
    assert folder.published == "s3://calls/clinic/iplum/warehouse.json"
    assert "hush" not in repr(settings) + repr(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"IPLUM_DATA": "s3://"}, "IPLUM_DATA must be a folder or s3://bucket/prefix"),
        ({"IPLUM_DATA": "s3://a/../b"}, "IPLUM_DATA must be a folder"),
        ({"IPLUM_DATA": "gs://bucket"}, "IPLUM_DATA must be a folder"),
        ({"AWS_ACCESS_KEY_ID": "K"}, "belong together"),
        ({"AWS_ENDPOINT_URL": "s3.example"}, "AWS_ENDPOINT_URL must be a plain URL"),
        ({"AWS_ENDPOINT_URL": "https://[::1"}, "AWS_ENDPOINT_URL must be a plain URL"),
        ({"AWS_ENDPOINT_URL": "https://s3.example:99999"}, "AWS_ENDPOINT_URL must be a plain URL"),
        ({"AWS_ENDPOINT_URL": "https://s3.example/#x"}, "AWS_ENDPOINT_URL must be a plain URL"),
        ({"AWS_ENDPOINT_URL": "http://s3.example"}, "must be https; on your own network, AWS_ALLOW_HTTP=true"),
    ],
)
def test_an_unusable_bucket_is_rejected(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_settings({**S3, **changes}, tmp_path)


@pytest.mark.parametrize("changes", [{"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}, {"AWS_ALLOW_HTTP": "true"}])
def test_plain_http_to_a_bucket_requires_loopback_or_aws_allow_http(changes: dict[str, str], tmp_path: Path) -> None:
    settings = load_settings({**S3, "AWS_ENDPOINT_URL": "http://minio:9000", **changes}, tmp_path)
    assert isinstance(settings.data, Bucket)
    assert dict(settings.data.options)["AWS_ALLOW_HTTP"] == "true"


@pytest.mark.parametrize("zone", ["america/new_york", "America/New York", "America/New_Yrok"])
def test_the_error_for_a_misspelled_time_zone_suggests_the_correct_name(zone: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="such as 'America/New_York'"):
        load_settings({"IPLUM_TIMEZONE": zone}, tmp_path)


@pytest.mark.parametrize(
    ("zone", "suggested"), [("Eastern", "America/New_York"), ("us/pacific", "America/Los_Angeles")]
)
def test_a_zone_is_suggested_by_its_city(zone: str, suggested: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"IPLUM_TIMEZONE": zone}, tmp_path)
    assert suggested in str(caught.value)


@pytest.mark.parametrize("text", ['"{}"', "'{}'", "{}\r", " {}", "{} ", "“{}”", " ", '"s3://bucket/{}"'])
@pytest.mark.parametrize("name", ["IPLUM_DATA", "IPLUM_STATE"])
def test_a_path_with_quotes_or_blanks_around_it_is_refused(name: str, text: str, tmp_path: Path) -> None:
    """`docker --env-file` keeps quotes and carriage returns; such a folder would be a second warehouse."""
    with pytest.raises(SettingsError, match=f"^{name} must be a folder without quotes"):
        load_settings({name: text.format(tmp_path / "data")}, tmp_path)
    assert not list(tmp_path.iterdir())
