"""The settings: one declaration each, with variable, default, description and parser.

Loading, `accounts.toml`, `.env.example`, the settings page and the doctor all follow from these declarations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from iplum_resource.http.url_rules import is_loopback_host
from pipelines.settings import parsers
from pipelines.settings.environment import DEMO
from pipelines.settings.home import HOME
from pipelines.settings.parsers import Parser, Raw, SettingsError, matching, number, one_of, secret_url
from warehouse.storage.s3_config import Bucket

_T = TypeVar("_T")


@dataclass(frozen=True)
class Variable:
    """An environment variable as the documentation shows it; `per_account` allows it in `accounts.toml`."""

    name: str
    default: str
    description: str
    parse: Parser = str
    per_account: bool = False


def _setting(name: str, default: str, description: str, parse: Parser, *, per_account: bool = False) -> Any:
    return field(metadata={"variable": Variable(name, default, description, parse, per_account)})


def _secret(name: str, default: str, description: str, parse: Parser) -> Any:
    return field(repr=False, metadata={"variable": Variable(name, default, description, parse)})


_account_setting = partial(_setting, per_account=True)


@dataclass(frozen=True, kw_only=True)
class SecretNames:
    """The names of the variables that hold an account's secrets, never the values."""

    access_key: str = "IPLUM_ACCESS_KEY"
    secret_key: str = "IPLUM_SECRET_KEY"  # noqa: S105 a variable's name
    login_id: str = "IPLUM_LOGIN_ID"
    callback_token: str = "IPLUM_CALLBACK_TOKEN"  # noqa: S105 a variable's name


OWN_SECRETS = SecretNames()
_TIME_OF_DAY = matching(r"([01][0-9]|2[0-3]):[0-5][0-9]", "a time of day such as 02:15")
_SECRETS = (
    Variable("IPLUM_ACCESS_KEY", "", "Access key, from my.iplum.com under API & Call Backs."),
    Variable("IPLUM_SECRET_KEY", "", "Secret key, from the same page."),
    Variable("IPLUM_LOGIN_ID", "", "Login ID of an administrator of the account."),
    Variable(
        "IPLUM_CALLBACK_TOKEN", "", "Secret part of the callback paths, at least 16 characters. The receiver needs it."
    ),
)


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Recipients of alerts. Without a webhook and a mail server, none are sent."""

    webhook: str = _secret(
        "IPLUM_ALERT_WEBHOOK",
        "",
        "Webhook URL, such as one from Slack, that receives an alert for each failure. Keep it secret.",
        secret_url("http", "https", example="https://hooks.slack.com/services/…"),
    )
    smtp: str = _secret(
        "IPLUM_ALERT_SMTP",
        "",
        "Mail server for alerts: smtps://user:password@host or smtp://host:25. Keep it secret.",
        secret_url("smtp", "smtps", example="smtps://user:password@host"),
    )
    sender: tuple[str, ...] = _secret(
        "IPLUM_ALERT_FROM", "", "Mail address that alerts are sent from.", parsers.parse_addresses
    )
    recipients: tuple[str, ...] = _secret(
        "IPLUM_ALERT_TO", "", "Mail addresses, comma-separated, that receive alerts.", parsers.parse_addresses
    )
    after: timedelta = _setting(
        "IPLUM_ALERT_AFTER_HOURS",
        "30",
        "Hours without new data after which an alert is sent.",
        lambda raw: timedelta(hours=number(1, 8760)(raw)),
    )

    def __post_init__(self) -> None:
        if len(self.sender) > 1:
            raise SettingsError("IPLUM_ALERT_FROM must be one mail address")
        if self.smtp and not (self.sender and self.recipients):
            raise SettingsError("IPLUM_ALERT_FROM and IPLUM_ALERT_TO must be set if IPLUM_ALERT_SMTP is set")

    @property
    def is_on(self) -> bool:
        """Whether alerts are sent anywhere."""
        return bool(self.webhook or self.smtp)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked settings of one account. Contains no key, so its repr shows none.

    `is_one_of_many` is whether the account is listed in `accounts.toml`; its assets and jobs then carry its name.
    `is_demo` is true if its records were generated for the demo.
    """

    base_url: str = _account_setting(
        "IPLUM_BASE_URL",
        "https://api.iplum.com",
        "Endpoint of the API. Plain http is allowed only to a loopback address.",
        parsers.parse_base_url,
    )
    account: str = _setting(
        "IPLUM_ACCOUNT",
        "default",
        "Name of the account on every row: 1 to 64 letters, digits, _ or -.",
        matching(r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, _ or -"),
    )
    data: Path | Bucket = _setting(
        "IPLUM_DATA",
        "./data",
        "Folder of all data, relative to the project's folder, or s3://bucket/prefix with the AWS variables. Write it "
        "without quotes.",
        parsers.parse_data,
    )
    state: Path = _setting(
        "IPLUM_STATE",
        "",
        "Folder for locks, the callback inbox and Dagster's history. Default: IPLUM_DATA, or ./data with a bucket.",
        parsers.parse_state,
    )
    start_date: date = _account_setting(
        "IPLUM_START_DATE",
        "2024-01-01",
        "First day of history (UTC). It is moved back to the start of its window (up to five days).",
        lambda raw: parsers.parse_day_text(raw.text, raw.name),
    )
    lookback_days: int = _account_setting(
        "IPLUM_LOOKBACK_DAYS", "7", "Number of past days that each daily sync requests again.", number(0, 3660, int)
    )
    usage_types: tuple[str, ...] = _account_setting(
        "IPLUM_USAGE_TYPES",
        "iPlumtext,iplumcall,externalcall,externaltext,fax",
        "Requested usage types, comma-separated. The next sync requests all of history again for an added type.",
        parsers.parse_usage_types,
    )
    requests_per_second: float = _account_setting(
        "IPLUM_REQUESTS_PER_SECOND",
        "5",
        "Maximum requests per second per access key. Lowered automatically after HTTP 429.",
        number(0.01, 100_000),
    )
    concurrency: int = _account_setting("IPLUM_CONCURRENCY", "8", "Maximum requests in flight.", number(1, 256, int))
    verify: Literal["auto", "always", "off"] = _account_setting(
        "IPLUM_VERIFY",
        "auto",
        "Split check for truncated responses: auto (suspicious row counts only), always or off.",
        one_of("auto", "always", "off"),
    )
    language: str = _account_setting(
        "IPLUM_LANG",
        "en",
        "Language of the API's messages, ISO 639-1.",
        matching(r"[a-z]{2}", "two letters of ISO 639-1 such as 'en'"),
    )
    login_case: Literal["lower", "typed"] = _account_setting(
        "IPLUM_LOGIN_CASE",
        "lower",
        "Send and sign the login ID in lower case (lower) or unchanged (typed).",
        one_of("lower", "typed"),
    )
    media_hosts: frozenset[str] = _account_setting(
        "IPLUM_MEDIA_HOSTS",
        "media.iplum.com",
        "Hosts that files may be downloaded from, comma-separated, with the port if it is not the default.",
        parsers.parse_hosts,
    )
    keep_content: bool = _account_setting(
        "IPLUM_KEEP_CONTENT",
        "false",
        "Store the message text that callbacks deliver (true or false).",
        lambda raw: one_of("true", "false")(raw) == "true",
    )
    inbox_url: str = _secret(
        "IPLUM_INBOX_URL",
        "",
        "SQLAlchemy URL of the callback inbox, such as postgresql+psycopg2://…. Default: inbox.sqlite in IPLUM_STATE.",
        parsers.parse_inbox_url,
    )
    time_zone: str = _account_setting(
        "IPLUM_TIMEZONE",
        "UTC",
        "IANA time zone for local dates and hours, IPLUM_SYNC_AT, `iplum sql` and `iplum export`.",
        parsers.parse_time_zone,
    )
    business_hours: str = _account_setting(
        "IPLUM_BUSINESS_HOURS",
        "mon-fri 09:00-17:00",
        "Business hours in local time; separate parts with commas.",
        parsers.parse_business_hours,
    )
    people: tuple[Path, ...] = _setting(
        "IPLUM_PEOPLE",
        "",
        "Files or folders with the names of people (CSV or vCard), comma-separated. Default: people.csv and people/ "
        "next to .env, where they exist.",
        parsers.parse_people,
    )
    region: str = _setting(
        "IPLUM_REGION",
        "US",
        "Region of phone numbers written without a country code, such as US, CA or DE (ISO 3166-1).",
        parsers.parse_region,
    )
    sync_at: time = _account_setting(
        "IPLUM_SYNC_AT", "02:15", "Local time of the daily sync.", lambda raw: time.fromisoformat(_TIME_OF_DAY(raw))
    )
    limiter_url: str = _secret(
        "IPLUM_LIMITER_URL",
        "",
        "PostgreSQL database, such as postgresql://user@host/database, in which several machines share the rate "
        "limit. Default: a file, shared by one machine.",
        parsers.parse_postgres_url,
    )
    ui_hosts: frozenset[str] = _setting(
        "IPLUM_UI_HOSTS",
        "",
        "Names of a proxy in front of the Dagster UI, comma-separated, such as dagster.clinic.example. Default: the UI "
        "responds only as localhost.",
        parsers.parse_optional_hosts,
    )
    seal_key: Path | None = _setting(
        "IPLUM_SEAL_KEY",
        "",
        "File of the key that signs the evidence chain. Default: keys/seal.pem in IPLUM_STATE. The first seal creates "
        "it.",
        parsers.parse_optional_file,
    )
    file_group: int | None = _setting(
        "IPLUM_FILE_GROUP", "", "Group that may read the files. Default: only their owner may.", parsers.parse_group
    )
    alerts: AlertSettings
    secrets: SecretNames = OWN_SECRETS
    is_one_of_many: bool = False
    is_demo: bool = False

    def key(self, *path: str) -> list[str]:
        """Return the path of an asset key, below the account's name if there are many accounts."""
        return [self.account, *path] if self.is_one_of_many else list(path)

    def name(self, base: str) -> str:
        """Return the Dagster name of a job, schedule or resource: letters, digits and _ only."""
        return f"{base}__{self.account.replace('-', '_')}" if self.is_one_of_many else base


def _list_variables(kind: type[Any]) -> dict[str, Variable]:
    return {one.name: one.metadata["variable"] for one in fields(kind) if "variable" in one.metadata}


#: All variables, in the order of the documentation.
VARIABLES: tuple[Variable, ...] = (
    *_SECRETS,
    *_list_variables(Settings).values(),
    *_list_variables(AlertSettings).values(),
)


#: Read from the environment only, because it locates `.env`.
HOME_VARIABLE = Variable(
    HOME,
    "",
    "Folder of `.env`, `accounts.toml` and `data/`; set it in the environment. Default: the current folder if it holds "
    "`.env` or `data/`, else the checkout, else the folder for user data, such as `~/.local/share/iplum`.",
)


def load_settings(environ: Mapping[str, str], root: Path) -> Settings:
    """Parse all settings except the credentials; raises `SettingsError` for the first unusable one.

    An empty variable counts as not set. `root` is the folder of `.env`, to which paths are relative.
    """
    is_demo = bool(environ.get(DEMO))
    settings = _load(Settings, environ, root, alerts=_load(AlertSettings, environ, root), is_demo=is_demo)
    if is_demo and not is_loopback_host(urlsplit(settings.base_url).hostname or ""):
        raise SettingsError(f"{DEMO} is set by 'iplum demo' only, with an API on this machine: unset it")
    return settings


def _load(kind: type[_T], environ: Mapping[str, str], root: Path, **others: object) -> _T:
    values = {
        name: variable.parse(Raw(variable.name, environ.get(variable.name) or variable.default, environ, root))
        for name, variable in _list_variables(kind).items()
    }
    return kind(**values, **others)


def check_account(settings: Settings, accounts: Sequence[str]) -> None:
    """Raise `SettingsError` if the account was renamed while data exists under the old name.

    A sync would otherwise pull the whole history again and count every record twice. With `accounts.toml`, a new
    account is allowed.
    """
    if accounts and settings.account not in accounts and not settings.is_one_of_many:
        raise SettingsError(
            f"IPLUM_ACCOUNT is {settings.account!r}, but the data in {settings.data} belongs to "
            f"{', '.join(repr(name) for name in accounts)}: set it back, or choose another IPLUM_DATA"
        )
