"""How the text of a variable is read, and refused by the variable's name where it can't be meant."""

from __future__ import annotations

import grp
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.settings.variables import VARIABLES
from warehouse.snapshot.business_hours import parse_business_hours
from warehouse.storage.s3_config import Bucket, parse_bucket


class SettingsError(Exception):
    """A variable that can't be used; the text names it and says what it should look like."""


@dataclass(frozen=True)
class Values:
    """The variables as what they mean; whatever can't be meant is refused by name."""

    environ: Mapping[str, str]

    def text(self, name: str) -> str:
        """Get what is set, or the default; empty counts as not set."""
        default = next(variable.default for variable in VARIABLES if variable.name == name)
        return self.environ.get(name) or default

    def place(self, name: str, root: Path) -> Path | Bucket:
        """Read a folder, relative to `root`, or a prefix in a bucket."""
        text = self.text(name)
        if "://" not in text:
            return root / Path(text).expanduser()
        try:
            return parse_bucket(text, self.environ)
        except ValueError as error:
            raise SettingsError(str(error)) from error

    def matching(self, name: str, pattern: str, form: str) -> str:
        """Read what must match a pattern, which `form` says in words."""
        text = self.text(name)
        if not re.fullmatch(pattern, text):
            raise SettingsError(f"{name} must be {form}, not {text!r}")
        return text

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Read one of a few words."""
        return self.matching(name, "|".join(allowed), f"one of {', '.join(allowed)}")

    def number(self, name: str, low: float, high: float, *, whole: bool = False) -> float:
        """Read a number from `low` to `high`, both included."""
        text = self.text(name)
        try:
            number = float(int(text) if whole else text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise SettingsError(f"{name} must be a number from {low:g} to {high:g}, not {text!r}")
        return number

    def words(self, name: str) -> tuple[str, ...]:
        """Read usage types, comma-separated."""
        words = tuple(word.strip() for word in self.text(name).split(",") if word.strip())
        if not words or not all(re.fullmatch(r"[A-Za-z]+", word) for word in words):
            raise SettingsError(f"{name} must be a comma-separated list of usage types")
        return words

    def hosts(self, name: str) -> frozenset[str]:
        """Read hosts with or without a port, comma-separated; in lower case."""
        hosts = frozenset(word.strip().lower() for word in self.text(name).split(",") if word.strip())
        if not hosts or not all(
            re.fullmatch(r"(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", host) for host in hosts
        ):
            raise SettingsError(f"{name} must be a comma-separated list of hosts, as 'media.iplum.com'")
        return hosts

    def inbox_url(self, name: str) -> str:
        """Read the URL of an inbox; empty for the file of the state folder."""
        url = self.text(name)
        # SQLite in memory would acknowledge what no other process sees; a relative path is another for each.
        if url and not re.fullmatch(r"postgresql(\+[a-z0-9]+)?://.+|sqlite:////[^?]+", url):
            raise SettingsError(
                f"{name} must be as postgresql+psycopg2://user@host/name or sqlite:////folder/file"
            )
        return url

    def limiter_url(self, name: str) -> str | None:
        """Read the URL of a PostgreSQL database; None where there is none."""
        url = self.text(name)
        if url and not re.fullmatch(r"postgresql://.+", url):
            # It may hold a password, so it is not repeated.
            raise SettingsError(f"{name} must be as postgresql://user@host/database")
        return url or None

    def day(self, name: str) -> date:
        """Read a day, UTC."""
        return read_day(self.text(name), name)

    def clock_time(self, name: str) -> time:
        """Read a time of day."""
        text = self.matching(name, r"([01][0-9]|2[0-3]):[0-5][0-9]", "a time of day as HH:MM")
        return time.fromisoformat(text)

    def time_zone(self, name: str) -> str:
        """Read the IANA name of a time zone that this machine knows."""
        text = self.text(name)
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsError(f"{name} must be an IANA time zone as 'America/New_York', not {text!r}") from error
        return text

    def business_hours(self, name: str) -> str:
        """Check business hours, and give them as they stand."""
        text = self.text(name)
        try:
            parse_business_hours(text)
        except ValueError as error:
            raise SettingsError(f"{name} must be as 'mon-fri 09:00-17:00', not {text!r}: {error}") from error
        return text

    def group(self, name: str) -> int | None:
        """Get the number of a group of this machine; None where none is named."""
        text = self.text(name)
        if not text:
            return None
        try:
            return grp.getgrnam(text).gr_gid
        except KeyError as error:
            raise SettingsError(f"{name} must be a group of this machine; there is no group {text!r}") from error

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
        """Read mail addresses, comma-separated."""
        addresses = tuple(word.strip() for word in self.text(name).split(",") if word.strip())
        if not all(re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) for address in addresses):
            raise SettingsError(f"{name} must be a mail address, as 'it@clinic.example'")
        return addresses

    def base_url(self) -> str:
        """Read the API's endpoint, without the closing slash."""
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
