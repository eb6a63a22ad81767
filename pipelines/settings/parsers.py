"""Parsers of settings: one for each kind of value. Each raises `SettingsError`, which names the variable."""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from iplum_resource.http.url_rules import find_base_url_problem, is_loopback_host
from warehouse.snapshot.business_hours import parse_business_hours as parse_intervals
from warehouse.storage.s3_config import Bucket, parse_bucket


class SettingsError(Exception):
    """A setting that cannot be used; the text names it and the expected form."""


_QUOTES = ("'", '"', "`", "\u201c", "\u201d", "\u201e", "\u2018", "\u2019", "\u00ab", "\u00bb")


@dataclass(frozen=True)
class Raw:
    """The text of a setting, its variable, the whole environment, and the folder of `.env`."""

    name: str
    text: str
    environ: Mapping[str, str]
    root: Path

    def fail(self, expected: str, *, show: bool = True) -> SettingsError:
        """Build the error "NAME must be EXPECTED"; the text is shown unless it may be a secret."""
        return SettingsError(f"{self.name} must be {expected}" + (f", not {self.text!r}" if show else ""))


Parser = Callable[[Raw], Any]


def matching(pattern: str, expected: str, *, show: bool = True) -> Parser:
    """Return a parser of texts that match a pattern, described by `expected`; `show` as for `Raw.fail`."""

    def parse(raw: Raw) -> str:
        if not re.fullmatch(pattern, raw.text):
            raise raw.fail(expected, show=show)
        return raw.text

    return parse


def one_of(*words: str) -> Parser:
    """Return a parser of one of some words."""
    return matching("|".join(words), f"one of {', '.join(words)}")


def number(low: float, high: float, kind: Callable[[float], Any] = float) -> Parser:
    """Return a parser of numbers from `low` to `high`; `kind` int accepts whole numbers only."""

    def parse(raw: Raw) -> Any:
        try:
            value = float(int(raw.text) if kind is int else raw.text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise raw.fail(f"a number from {low:g} to {high:g}")
        return kind(value)

    return parse


def parse_usage_types(raw: Raw) -> tuple[str, ...]:
    """Parse comma-separated usage types."""
    words = _split(raw)
    if not words or not all(re.fullmatch(r"[A-Za-z]+", word) for word in words):
        raise raw.fail("a comma-separated list of usage types")
    return words


def parse_hosts(raw: Raw) -> frozenset[str]:
    """Parse comma-separated hosts, with or without a port; lower-cased."""
    hosts = frozenset(word.lower() for word in _split(raw))
    if not hosts or not all(re.fullmatch(r"(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", host) for host in hosts):
        raise raw.fail("a comma-separated list of hosts such as 'media.iplum.com'")
    return hosts


def parse_optional_hosts(raw: Raw) -> frozenset[str]:
    """Parse hosts as `parse_hosts` does; an empty text has no hosts."""
    return parse_hosts(raw) if raw.text else frozenset()


def parse_addresses(raw: Raw) -> tuple[str, ...]:
    """Parse comma-separated mail addresses."""
    addresses = _split(raw)
    if not all(re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) for address in addresses):
        raise raw.fail("mail addresses such as 'it@clinic.example'", show=False)
    return addresses


def parse_day_text(text: str, name: str) -> date:
    """Parse a UTC day, `YYYY-MM-DD`, given as the variable or option `name`."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or len(text) != len("YYYY-MM-DD") or not 2000 <= day.year < 2100:
        raise SettingsError(f"{name} must be a day such as 2024-01-31, not {text!r}")
    return day


# What people call these zones, for suggestions: their old names are `US/Eastern` and the like.
_CITIES = {
    prefix + name: city
    for prefix in ("", "us/")
    for name, city in (
        ("eastern", "America/New_York"),
        ("central", "America/Chicago"),
        ("mountain", "America/Denver"),
        ("pacific", "America/Los_Angeles"),
    )
}


@cache
def _list_time_zones() -> frozenset[str]:
    """List the zones; it takes milliseconds, and a warehouse may have hundreds of accounts."""
    return frozenset(available_timezones() - {"Factory", "localtime", "posixrules"})


def parse_time_zone(raw: Raw) -> str:
    """Parse the IANA name of a time zone, such as `America/New_York`.

    A machine also has files such as `localtime` and `right/UTC`, which DuckDB does not accept.
    """
    zones = _list_time_zones()
    if raw.text not in zones:
        similar = {zone.lower(): zone for zone in sorted(zones)} | _CITIES
        close = difflib.get_close_matches(raw.text.lower().replace(" ", "_"), similar, n=1) or ["america/new_york"]
        raise raw.fail(f"an IANA time zone such as '{similar[close[0]]}'")
    return raw.text


def parse_business_hours(raw: Raw) -> str:
    """Check business hours, and return their text."""
    try:
        parse_intervals(raw.text)
    except ValueError as error:
        raise SettingsError(f"{raw.fail('hours such as mon-fri 09:00-17:00')}: {error}") from error
    return raw.text


def parse_group(raw: Raw) -> int | None:
    """Return the numeric ID of a group that this user may give files to; None for an empty text."""
    if not raw.text:
        return None
    try:
        import grp
    except ImportError as error:
        raise raw.fail("empty: this system has no groups") from error
    try:
        group = grp.getgrnam(raw.text).gr_gid
    except KeyError as error:
        raise raw.fail("a group of this machine") from error
    if os.geteuid() != 0 and group not in {os.getegid(), *os.getgroups()}:
        raise SettingsError(
            f"{raw.name} is {raw.text}, but the user who runs this (uid {os.geteuid()}) is not in that group: run "
            f"'sudo usermod -aG {raw.text} USER' with the user's name, and log in again"
        )
    return group


def parse_base_url(raw: Raw) -> str:
    """Parse the API's endpoint, without the trailing slash."""
    if problem := find_base_url_problem(raw.text):
        raise SettingsError(f"{raw.name} {problem}")
    return raw.text.rstrip("/")


def parse_data(raw: Raw) -> Path | Bucket:
    """Parse a folder, relative to the folder of `.env`, or `s3://bucket/prefix` with its AWS variables."""
    if "://" not in raw.text:
        return parse_folder(raw)
    _check_path(raw)
    try:
        bucket = parse_bucket(raw.text, raw.environ)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    endpoint = urlsplit(bucket.endpoint)
    is_allowed = raw.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"
    if endpoint.scheme == "http" and not is_allowed and not is_loopback_host(endpoint.hostname or ""):
        raise SettingsError("AWS_ENDPOINT_URL must be https; on your own network, AWS_ALLOW_HTTP=true allows http")
    return bucket


def parse_folder(raw: Raw) -> Path:
    """Parse a folder, relative to the folder of `.env`."""
    _check_path(raw)
    return _parse_folder(raw, raw.text)


def _parse_folder(raw: Raw, text: str) -> Path:
    try:
        path = raw.root / Path(text).expanduser()
    except RuntimeError as error:
        raise raw.fail("a folder: this machine has no such user") from error
    # DuckDB and SQLite would create their files in another folder.
    if not str(path).isprintable() or set("?%\\") & set(str(path)):
        raise SettingsError(
            f"{raw.name} must be a folder whose path has no ?, %, \\ or control characters, not {str(path)!r}"
        )
    return path


def _check_path(raw: Raw) -> None:
    """Refuse quotes and blanks around a path, which `docker --env-file` and Windows line ends leave there."""
    if raw.text != raw.text.strip() or raw.text.startswith(_QUOTES) or raw.text.endswith(_QUOTES):
        raise raw.fail("a folder without quotes, spaces or line breaks around it")


def parse_state(raw: Raw) -> Path:
    """Parse a folder; if empty, the data folder, or `./data` for data in a bucket."""
    if raw.text:
        return parse_folder(raw)
    data = raw.environ.get("IPLUM_DATA") or "./data"
    return _parse_folder(raw, "./data" if "://" in data else data)


def parse_people(raw: Raw) -> tuple[Path, ...]:
    """Parse comma-separated files and folders; if empty, `people.csv` and `people/`, where they exist."""
    if not raw.text:
        return tuple(path for name in ("people.csv", "people") if (path := raw.root / name).exists())
    return tuple(raw.root / Path(word).expanduser() for word in _split(raw))


def parse_optional_file(raw: Raw) -> Path | None:
    """Parse a file, relative to the folder of `.env`; None for an empty text."""
    if not raw.text:
        return None
    _check_path(raw)
    return raw.root / Path(raw.text).expanduser()


def parse_region(raw: Raw) -> str:
    """Parse the two letters of a region that has phone numbers."""
    from warehouse.people.party_key import REGIONS

    if raw.text.upper() not in REGIONS:
        raise raw.fail("two letters of a region such as US, CA or DE")
    return raw.text.upper()


# SQLite in memory is invisible to other processes, and a relative path differs between them.
parse_inbox_url = matching(
    r"(postgresql(\+[a-z0-9]+)?://.+|sqlite:////[^?]+)?",
    "like postgresql+psycopg2://user@host/name or sqlite:////folder/file",
    show=False,
)
#: The URL of libpq, which may contain a password.
parse_postgres_url = matching(r"(postgresql://.+)?", "like postgresql://user@host/database", show=False)


def secret_url(*schemes: str, example: str) -> Parser:
    """Return a parser of URLs that are secrets; plain http is only for a loopback host."""

    def parse(raw: Raw) -> str:
        try:
            parts = urlsplit(raw.text)
            is_usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            is_usable = False
        if raw.text and (not is_usable or not raw.text.isprintable() or " " in raw.text):
            raise raw.fail(f"a URL like {example}", show=False)
        if raw.text and parts.scheme == "http" and not is_loopback_host(str(parts.hostname)):
            raise raw.fail("https: plain http is only for a loopback address", show=False)
        return raw.text

    return parse


def _split(raw: Raw) -> tuple[str, ...]:
    return tuple(word.strip() for word in raw.text.split(",") if word.strip())
