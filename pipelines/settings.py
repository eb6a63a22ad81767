"""What the user decides: every environment variable, its default and its check, read in this one place.

Belongs here: names, defaults, meaning and refusal of each variable. `.env.example` and the page of settings are
held to `VARIABLES` by a test. Does not belong here: what a setting does.
"""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values

from warehouse.bucket import Bucket, read_bucket
from warehouse.business_hours import read_business_hours

PROJECT = Path(__file__).resolve().parent.parent


class SettingsError(Exception):
    """A variable that can't be used; the text names it and says what it should look like."""


@dataclass(frozen=True)
class Variable:
    """An environment variable as the documentation shows it."""

    name: str
    default: str
    meaning: str


_DOCUMENTED_URL = "https://api.iplum.com"
_SHORTEST_TOKEN = 16
_STATE = "./data"

VARIABLES = (
    Variable("IPLUM_ACCESS_KEY", "", "Access key, from my.iplum.com under API & Call Backs."),
    Variable("IPLUM_SECRET_KEY", "", "Secret key, from the same page."),
    Variable("IPLUM_LOGIN_ID", "", "Login ID of an administrator of the account."),
    Variable("IPLUM_BASE_URL", _DOCUMENTED_URL, "The API's endpoint; plain http only to a loopback address."),
    Variable("IPLUM_ACCOUNT", "default", "Name on every row: letters, digits, _ and -, at most 64."),
    Variable(
        "IPLUM_DATA",
        "./data",
        "Folder of the warehouse, relative to the project's folder; or s3://bucket/prefix and the AWS variables.",
    ),
    Variable("IPLUM_START_DATE", "2024-01-01", "First day of history; aligned down to its window's start."),
    Variable("IPLUM_LOOKBACK_DAYS", "7", "How many days back the daily sync pulls again."),
    Variable(
        "IPLUM_USAGE_TYPES", "iPlumtext,iplumcall,externalcall,externaltext,fax", "The usage types asked for."
    ),
    Variable("IPLUM_REQUESTS_PER_SECOND", "5", "Ceiling per access key; lowered by itself when iPlum says 429."),
    Variable("IPLUM_CONCURRENCY", "8", "Requests in flight."),
    Variable("IPLUM_VERIFY", "auto", "Proof against cut answers: auto (suspicious ones), always or off."),
    Variable("IPLUM_LANG", "en", "Language of the API's messages, ISO 639-1."),
    Variable("IPLUM_LOGIN_CASE", "lower", "Send and sign the login ID in lower case, or as typed."),
    Variable(
        "IPLUM_MEDIA_HOSTS",
        "media.iplum.com",
        "Hosts, comma-separated, that files may come from; with the port where it isn't the standard one.",
    ),
    Variable("IPLUM_CALLBACK_TOKEN", "", "Secret part of the callback paths, 16 characters or more."),
    Variable("IPLUM_KEEP_CONTENT", "false", "Keep the words of texts that are pushed: true or false."),
    Variable(
        "IPLUM_INBOX_URL",
        "",
        "SQLAlchemy URL of the callback inbox, as postgresql+psycopg2://…; empty: inbox.sqlite in IPLUM_STATE.",
    ),
    Variable("IPLUM_TIMEZONE", "UTC", "IANA name for local dates and hours, and for IPLUM_SYNC_AT."),
    Variable("IPLUM_BUSINESS_HOURS", "mon-fri 09:00-17:00", "When the office is open, local; parts with commas."),
    Variable("IPLUM_SYNC_AT", "02:15", "When the daily sync runs, local time."),
    Variable(
        "IPLUM_LIMITER_URL",
        "",
        "PostgreSQL, as postgresql://user@host/database, where several machines keep one ceiling; empty: a file.",
    ),
    Variable(
        "IPLUM_STATE",
        "",
        "Folder for locks, the inbox and Dagster's history; empty: IPLUM_DATA, or ./data beside a bucket.",
    ),
    Variable("IPLUM_FILE_GROUP", "", "A group that may read the files; empty: only their owner may."),
    Variable("IPLUM_ALERT_WEBHOOK", "", "Webhook URL, as Slack gives one, that is told of failures; a secret."),
    Variable(
        "IPLUM_ALERT_SMTP", "", "Mail server for alerts: smtps://user:password@host or smtp://host:25; a secret."
    ),
    Variable("IPLUM_ALERT_FROM", "", "Mail address that alerts come from."),
    Variable("IPLUM_ALERT_TO", "", "Mail addresses, comma-separated, that alerts go to."),
    Variable("IPLUM_ALERT_AFTER_HOURS", "30", "Hours without newer data after which an alert is due."),
)


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Whom to tell when something is red; off while neither a webhook nor a mail server is named."""

    webhook: str = field(default="", repr=False)
    smtp: str = field(default="", repr=False)
    sender: str = field(default="", repr=False)
    recipients: tuple[str, ...] = field(default=(), repr=False)
    after: timedelta = timedelta(hours=30)

    @property
    def is_on(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.webhook or self.smtp)


@dataclass(frozen=True, kw_only=True)
class SecretNames:
    """Which variables hold an account's secrets: the names, never the values."""

    access_key: str = "IPLUM_ACCESS_KEY"
    secret_key: str = "IPLUM_SECRET_KEY"  # noqa: S105 a variable's name
    login_id: str = "IPLUM_LOGIN_ID"
    callback_token: str = "IPLUM_CALLBACK_TOKEN"  # noqa: S105 a variable's name


_OWN_SECRETS = SecretNames()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked settings of one account; holds no key, so that its repr shows none.

    `is_one_of_many` says that the account stands in `accounts.toml`: what Dagster knows of it then bears its name.
    """

    base_url: str
    account: str
    data: Path | Bucket
    state: Path
    start_date: date
    lookback_days: int
    usage_types: tuple[str, ...]
    requests_per_second: float
    concurrency: int
    verify: Literal["auto", "always", "off"]
    language: str
    login_case: Literal["lower", "typed"]
    media_hosts: frozenset[str]
    keep_content: bool
    inbox_url: str = field(repr=False)
    time_zone: str
    business_hours: str
    sync_at: time
    file_group: int | None
    has_limiter_database: bool = False
    alerts: AlertSettings
    secrets: SecretNames = _OWN_SECRETS
    is_one_of_many: bool = False

    def key(self, *path: str) -> list[str]:
        """Say where an asset of this account stands in Dagster: under the account's name where there are many."""
        return [self.account, *path] if self.is_one_of_many else list(path)

    def name(self, base: str) -> str:
        """Name a job, step, schedule or resource of this account; Dagster takes letters, digits and _ alone."""
        return f"{base}__{self.account.replace('-', '_')}" if self.is_one_of_many else base


def read_environment(environ: Mapping[str, str], root: Path = PROJECT) -> dict[str, str]:
    """Join the variables of the process with those of the `.env` file at `root`; the process wins."""
    return {**read_env_file(root / ".env"), **environ}


def read_env_file(path: Path) -> dict[str, str]:
    """Read the variables of a `.env` file; none where there is no file. A `${...}` in a key stays as it is."""
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


def load_settings(environ: Mapping[str, str], root: Path = PROJECT) -> Settings:
    """Read and check all but the credentials; raises `SettingsError` naming the first variable that is wrong."""
    read = _Reader(environ)
    data = read.place("IPLUM_DATA", root)
    return Settings(
        base_url=read.base_url(),
        account=read.matching("IPLUM_ACCOUNT", r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, _ or -"),
        data=data,
        state=root / Path(environ.get("IPLUM_STATE") or (data if isinstance(data, Path) else _STATE)).expanduser(),
        start_date=read.day("IPLUM_START_DATE"),
        lookback_days=int(read.number("IPLUM_LOOKBACK_DAYS", 0, 3660, whole=True)),
        usage_types=read.words("IPLUM_USAGE_TYPES"),
        requests_per_second=read.number("IPLUM_REQUESTS_PER_SECOND", 0.01, 100_000),
        concurrency=int(read.number("IPLUM_CONCURRENCY", 1, 256, whole=True)),
        verify=cast("Literal['auto', 'always', 'off']", read.choice("IPLUM_VERIFY", ("auto", "always", "off"))),
        language=read.matching("IPLUM_LANG", r"[a-z]{2}", "two letters of ISO 639-1, as 'en'"),
        login_case=cast("Literal['lower', 'typed']", read.choice("IPLUM_LOGIN_CASE", ("lower", "typed"))),
        media_hosts=read.hosts("IPLUM_MEDIA_HOSTS"),
        keep_content=read.choice("IPLUM_KEEP_CONTENT", ("true", "false")) == "true",
        inbox_url=read.inbox_url("IPLUM_INBOX_URL"),
        time_zone=read.time_zone("IPLUM_TIMEZONE"),
        business_hours=read.business_hours("IPLUM_BUSINESS_HOURS"),
        sync_at=read.clock_time("IPLUM_SYNC_AT"),
        file_group=read.group("IPLUM_FILE_GROUP"),
        has_limiter_database=read.limiter_url("IPLUM_LIMITER_URL") is not None,
        alerts=read.alerts(),
    )


def check_credentials(environ: Mapping[str, str], names: SecretNames = _OWN_SECRETS) -> None:
    """Refuse credentials that are missing or were pasted with white space or quotes, by name, never by value."""
    for name in (names.access_key, names.secret_key, names.login_id):
        value = environ.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set; put it into .env (see .env.example) or the environment")
        if value != value.strip() or value[0] in "'\"`" or value[-1] in "'\"`" or re.search(r"\s", value):
            raise SettingsError(f"{name} has white space or quotes in or around it; give the bare value")
        if not value.isprintable():
            raise SettingsError(f"{name} has an invisible character in it; copy it again")


def read_limiter_url(environ: Mapping[str, str]) -> str | None:
    """Read where several machines keep one ceiling of requests; raises `SettingsError`."""
    return _Reader(environ).limiter_url("IPLUM_LIMITER_URL")


def read_callback_token(environ: Mapping[str, str], names: SecretNames = _OWN_SECRETS) -> str:
    """Read the secret part of the callback paths; raises `SettingsError` where it could be guessed or misread."""
    token = environ.get(names.callback_token, "")
    if len(token) < _SHORTEST_TOKEN:
        raise SettingsError(
            f"{names.callback_token} must have {_SHORTEST_TOKEN} characters or more: who knows it can push rows; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    if not re.fullmatch(r"[!$&-.0-;=@-Z_a-z~]+", token):
        raise SettingsError(f"{names.callback_token} must be of letters, digits and - _ . ~: it is part of a URL")
    return token


def check_account(settings: Settings, accounts: Sequence[str]) -> None:
    """Refuse a changed account name where data stand under the old one; raises `SettingsError`.

    Going on would pull the whole history a second time, and count every record twice. Where there are many
    accounts, a new one is nothing unusual.
    """
    if accounts and settings.account not in accounts and not settings.is_one_of_many:
        raise SettingsError(
            f"IPLUM_ACCOUNT is {settings.account!r}, but the data in {settings.data} stand under "
            f"{', '.join(repr(name) for name in accounts)}: set it back, or choose another IPLUM_DATA"
        )


# One planned event for each asset of a run, not one for each of its windows, which takes seconds of a year's sync.
# The UI then doesn't paint the windows of a failed run red: `iplum` names them, and they stay due.
_DAGSTER = {"DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true"}


@dataclass(frozen=True)
class _Reader:
    environ: Mapping[str, str]

    def text(self, name: str) -> str:
        default = next(variable.default for variable in VARIABLES if variable.name == name)
        return self.environ.get(name) or default

    def place(self, name: str, root: Path) -> Path | Bucket:
        text = self.text(name)
        if "://" not in text:
            return root / Path(text).expanduser()
        try:
            return read_bucket(text, self.environ)
        except ValueError as error:
            raise SettingsError(str(error)) from error

    def matching(self, name: str, pattern: str, form: str) -> str:
        text = self.text(name)
        if not re.fullmatch(pattern, text):
            raise SettingsError(f"{name} must be {form}, not {text!r}")
        return text

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        return self.matching(name, "|".join(allowed), f"one of {', '.join(allowed)}")

    def number(self, name: str, low: float, high: float, *, whole: bool = False) -> float:
        text = self.text(name)
        try:
            number = float(int(text) if whole else text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise SettingsError(f"{name} must be a number from {low:g} to {high:g}, not {text!r}")
        return number

    def words(self, name: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in self.text(name).split(",") if word.strip())
        if not words or not all(re.fullmatch(r"[A-Za-z]+", word) for word in words):
            raise SettingsError(f"{name} must be a comma-separated list of usage types")
        return words

    def hosts(self, name: str) -> frozenset[str]:
        hosts = frozenset(word.strip().lower() for word in self.text(name).split(",") if word.strip())
        if not hosts or not all(
            re.fullmatch(r"(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", host) for host in hosts
        ):
            raise SettingsError(f"{name} must be a comma-separated list of hosts, as 'media.iplum.com'")
        return hosts

    def inbox_url(self, name: str) -> str:
        url = self.text(name)
        # SQLite in memory would acknowledge what no other process sees; a relative path is another for each.
        if url and not re.fullmatch(r"postgresql(\+[a-z0-9]+)?://.+|sqlite:////[^?]+", url):
            raise SettingsError(
                f"{name} must be as postgresql+psycopg2://user@host/name or sqlite:////folder/file"
            )
        return url

    def limiter_url(self, name: str) -> str | None:
        url = self.text(name)
        if url and not re.fullmatch(r"postgresql://.+", url):
            # It may hold a password, so it is not repeated.
            raise SettingsError(f"{name} must be as postgresql://user@host/database")
        return url or None

    def day(self, name: str) -> date:
        return read_day(self.text(name), name)

    def clock_time(self, name: str) -> time:
        text = self.matching(name, r"([01][0-9]|2[0-3]):[0-5][0-9]", "a time of day as HH:MM")
        return time.fromisoformat(text)

    def time_zone(self, name: str) -> str:
        text = self.text(name)
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsError(f"{name} must be an IANA time zone as 'America/New_York', not {text!r}") from error
        return text

    def business_hours(self, name: str) -> str:
        text = self.text(name)
        try:
            read_business_hours(text)
        except ValueError as error:
            raise SettingsError(f"{name} must be as 'mon-fri 09:00-17:00', not {text!r}: {error}") from error
        return text

    def group(self, name: str) -> int | None:
        text = self.text(name)
        if not text:
            return None
        try:
            return grp.getgrnam(text).gr_gid
        except KeyError as error:
            raise SettingsError(f"{name} must be a group of this machine; there is no group {text!r}") from error

    def alerts(self) -> AlertSettings:
        smtp = self.url("IPLUM_ALERT_SMTP", {"smtp", "smtps"}, "smtps://user:password@host")
        sender, *others = self.addresses("IPLUM_ALERT_FROM") or ("",)
        recipients = self.addresses("IPLUM_ALERT_TO")
        if others:
            raise SettingsError("IPLUM_ALERT_FROM must be one mail address")
        if smtp and not (sender and recipients):
            raise SettingsError("IPLUM_ALERT_FROM and IPLUM_ALERT_TO must be set where IPLUM_ALERT_SMTP is")
        return AlertSettings(
            webhook=self.url("IPLUM_ALERT_WEBHOOK", {"http", "https"}, "https://hooks.slack.com/services/…"),
            smtp=smtp,
            sender=sender,
            recipients=recipients,
            after=timedelta(hours=self.number("IPLUM_ALERT_AFTER_HOURS", 1, 8760)),
        )

    def url(self, name: str, schemes: set[str], form: str) -> str:
        """Read a URL that is a secret, so that a refusal doesn't show it."""
        text = self.text(name)
        try:
            parts = urlsplit(text)
            is_usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            is_usable = False
        if text and (not is_usable or not text.isprintable() or " " in text):
            raise SettingsError(f"{name} must be a URL as {form}")
        if text and parts.scheme == "http" and not _is_loopback(str(parts.hostname)):
            raise SettingsError(f"{name} must be https: plain http is for a loopback address only")
        return text

    def addresses(self, name: str) -> tuple[str, ...]:
        addresses = tuple(word.strip() for word in self.text(name).split(",") if word.strip())
        if not all(re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) for address in addresses):
            raise SettingsError(f"{name} must be a mail address, as 'it@clinic.example'")
        return addresses

    def base_url(self) -> str:
        text = self.text("IPLUM_BASE_URL").rstrip("/")
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise SettingsError("IPLUM_BASE_URL must be a plain https URL, as https://api.iplum.com")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise SettingsError("IPLUM_BASE_URL must be https: plain http is for a loopback address only")
        return text


def read_day(text: str, name: str) -> date:
    """Read a day `YYYY-MM-DD` (UTC) that was given under `name`; raises `SettingsError`."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or len(text) != len("YYYY-MM-DD") or not 2000 <= day.year < 2100:
        raise SettingsError(f"{name} must be a day as 2024-01-31, not {text!r}")
    return day


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or bool(re.fullmatch(r"127(\.[0-9]{1,3}){3}", host))


def adopt_environment(environ: Mapping[str, str]) -> None:
    """Put variables that came from `.env` into the process, where Dagster's own settings look for them."""
    for name, value in {**_DAGSTER, **environ}.items():
        os.environ.setdefault(name, value)
