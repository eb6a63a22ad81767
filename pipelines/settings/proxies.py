"""Proxy settings: HTTP_PROXY and the like, which requests, DuckDB and Dagster read."""

import re
from collections.abc import Mapping, MutableMapping
from urllib.parse import urlsplit

from requests.utils import should_bypass_proxies

from iplum_resource.http.url_rules import is_loopback_host
from pipelines.settings.parsers import SettingsError

_LOOPBACK = ("localhost", "127.0.0.0/8", "127.0.0.1", "::1")
_PROXY = re.compile(
    r"(https?://)?([^@/?#\s]*@)?(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?)(:(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)
_MAX_PORT = 65_535


def exclude_loopback(environ: MutableMapping[str, str]) -> None:
    """Add this machine to NO_PROXY, for libraries and processes that read it: no proxy can reach it."""
    lower, upper = environ.get("no_proxy", ""), environ.get("NO_PROXY", "")
    listed = [host.strip() for host in (lower or upper).split(",") if host.strip()]
    if listed != ["*"]:
        value = ",".join(dict.fromkeys([*listed, *_LOOPBACK]))
        environ.update(no_proxy=value, NO_PROXY=value)


def check_proxy(environ: Mapping[str, str], base_url: str) -> None:
    """Raise `SettingsError` for a proxy to iPlum that cannot be used; its value may contain a password."""
    parts = urlsplit(base_url)
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY")
    if is_loopback_host(parts.hostname or "") or (excluded and should_bypass_proxies(base_url, excluded)):
        return
    names = [name for kind in (parts.scheme, "all") for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY")]
    name = next((name for name in names if environ.get(name)), None)
    if name is None:
        return
    value = environ[name]
    if value.strip().lower().startswith("socks"):
        raise SettingsError(f"{name} is a SOCKS proxy, which iplum cannot use. Set HTTPS_PROXY to an http:// proxy")
    found = _PROXY.fullmatch(value)
    if found is None or not 0 < int(found["port"] or 1) <= _MAX_PORT:
        raise SettingsError(f"{name} is not the URL of a proxy, such as http://proxy.clinic.example:3128. Correct it")
