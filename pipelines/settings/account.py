"""The settings of one account, checked: what the rest of the pipeline is given in place of the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path
from typing import Literal, cast

from pipelines.settings.credentials import OWN_SECRETS, SecretNames
from pipelines.settings.environment import PROJECT
from pipelines.settings.values import SettingsError, Values
from warehouse.storage.s3_config import Bucket

_STATE = "./data"


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
    secrets: SecretNames = OWN_SECRETS
    is_one_of_many: bool = False

    def key(self, *path: str) -> list[str]:
        """Say where an asset of this account stands in Dagster: under the account's name where there are many."""
        return [self.account, *path] if self.is_one_of_many else list(path)

    def name(self, base: str) -> str:
        """Name a job, step, schedule or resource of this account; Dagster takes letters, digits and _ alone."""
        return f"{base}__{self.account.replace('-', '_')}" if self.is_one_of_many else base


def load_settings(environ: Mapping[str, str], root: Path = PROJECT) -> Settings:
    """Read and check all but the credentials; raises `SettingsError` naming the first variable that is wrong."""
    read = Values(environ)
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
        alerts=_read_alerts(read),
    )


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


def _read_alerts(read: Values) -> AlertSettings:
    smtp = read.url("IPLUM_ALERT_SMTP", {"smtp", "smtps"}, "smtps://user:password@host")
    sender, *others = read.addresses("IPLUM_ALERT_FROM") or ("",)
    recipients = read.addresses("IPLUM_ALERT_TO")
    if others:
        raise SettingsError("IPLUM_ALERT_FROM must be one mail address")
    if smtp and not (sender and recipients):
        raise SettingsError("IPLUM_ALERT_FROM and IPLUM_ALERT_TO must be set where IPLUM_ALERT_SMTP is")
    return AlertSettings(
        webhook=read.url("IPLUM_ALERT_WEBHOOK", {"http", "https"}, "https://hooks.slack.com/services/…"),
        smtp=smtp,
        sender=sender,
        recipients=recipients,
        after=timedelta(hours=read.number("IPLUM_ALERT_AFTER_HOURS", 1, 8760)),
    )
