"""Sending alerts to a webhook, a mail server, or both. No log or error contains the address."""

import logging
import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from iplum_resource.http.bounded_connections import BoundedAdapter
from iplum_resource.http.transport import DirectSession
from iplum_resource.http.url_rules import is_loopback_host
from pipelines.settings import AlertSettings, Settings

_ATTEMPTS = 3
#: Seconds for one attempt: for each step, and for all of it, so that a host that sends a byte at a time does not block.
_SECONDS = 20
#: A failing disk can damage every file, and webhooks reject messages of megabytes.
_MAX_LINES = 20
#: Default ports of mail submission.
_PORTS = {"smtp": 587, "smtps": 465}
#: Fixed, because looking up the host name can hang and would reveal it.
_EHLO_NAME = "[127.0.0.1]"


_Channel = Callable[["Alert", AlertSettings], None]


class AlertFailed(Exception):
    """An alert could not be sent; the text names the channel and the cause, never the address."""


@dataclass(frozen=True)
class Alert:
    """The subject and text of an alert."""

    subject: str
    text: str


def describe_run(job: str, windows: str, failures: Sequence[str], settings: Settings) -> Alert:
    """Build the alert of a failed run; folder names, which may contain a person's name, are replaced."""
    reasons = failures or ["no reason was given. See its run in the Dagster UI (iplum ui)."]
    text = "\n".join(_shorten(reasons))
    for name, folder in (("IPLUM_DATA", settings.data), ("IPLUM_STATE", settings.state)):
        text = text.replace(str(folder), name)
    where = f" ({windows})" if windows else ""
    # With several accounts, the job's name or the failure names the account.
    whose = "" if settings.is_one_of_many else f", account {settings.account}"
    return Alert(f"iPlum warehouse{whose}: {job} failed{where}", text)


def describe_damages(damages: Sequence[str]) -> Alert:
    """Build the alert about records that cannot be read, or that have several rows."""
    lines = [*_shorten(damages), "Run 'iplum verify' for details."]
    return Alert("iPlum warehouse: some records cannot be used as iPlum sent them", "\n".join(lines))


def describe_findings(windows: str, findings: Mapping[str, str], settings: Settings) -> Alert:
    """Build the alert of an audit with findings; `findings` has one text per dataset."""
    whose = "" if settings.is_one_of_many else f", account {settings.account}"
    lines = [f"{dataset}: {found}" for dataset, found in sorted(findings.items())]
    fix = (
        "New data was stored, and nothing was removed: rows deleted at iPlum have absent_since. If rows are missing "
        "again, set IPLUM_VERIFY=always and report it to iPlum."
    )
    where = f" ({windows})" if windows else ""
    return Alert(f"iPlum warehouse{whose}: the audit found differences{where}", "\n".join([*lines, fix]))


def _shorten(failures: Sequence[str]) -> list[str]:
    more = len(failures) - _MAX_LINES
    return [*failures[:_MAX_LINES], *([f"and {more:,} more; see the run's output"] if more > 0 else [])]


def send_alert(
    alert: Alert, settings: AlertSettings, *, sleep: Callable[[float], None] = time.sleep, seconds: float = _SECONDS
) -> None:
    """Send an alert through each channel, with three attempts; raises `AlertFailed` if one fails.

    `seconds` is the time of one attempt, from the look-up of the host to the last byte.
    """
    problems = []
    for send in [channel for channel, is_set in ((_post, settings.webhook), (_mail, settings.smtp)) if is_set]:
        retries = Retrying(
            retry=retry_if_exception_type(AlertFailed),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(max=10),
            sleep=sleep,
            reraise=True,
        )
        try:
            retries(_run_within, seconds, send, alert, settings)
        except AlertFailed as error:
            problems.append(str(error))
    if problems:
        raise AlertFailed(" ".join(problems))


def _run_within(seconds: float, send: _Channel, alert: Alert, settings: AlertSettings) -> None:
    """Send in a thread, which is abandoned when the time is over: no timeout of a socket bounds the whole."""
    results: list[AlertFailed | None] = []

    def run() -> None:
        try:
            send(alert, settings)
            results.append(None)
        except AlertFailed as error:
            results.append(error)

    thread = threading.Thread(target=run, name="alert", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise AlertFailed(f"cannot send the alert: its host did not finish within {seconds:g} s. Check IPLUM_ALERT_*.")
    if not results:
        raise AlertFailed("cannot send the alert: unexpected error. Check IPLUM_ALERT_*.")
    if results[0] is not None:
        raise results[0]


def _post(alert: Alert, settings: AlertSettings) -> None:
    # urllib3 logs the path of each request at debug level, and the path is the secret.
    logging.getLogger("urllib3.connectionpool").addFilter(_is_no_request)
    problem = ""
    try:
        with (
            _open_session() as session,
            # The body of the response is not read.
            session.post(
                settings.webhook,
                json={"text": f"{alert.subject}\n{alert.text}"},
                timeout=_SECONDS,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            if not response.ok or response.is_redirect:
                problem = f"HTTP {response.status_code}"
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        problem = type(error).__name__
    if problem:
        # Raised outside the except clause, so that the library's error with the URL is not chained.
        raise AlertFailed(f"cannot send the alert to the webhook: {problem}. Check IPLUM_ALERT_WEBHOOK.")


def _open_session() -> DirectSession:
    session = DirectSession()
    # Ends the abandoned thread as well.
    session.mount("https://", BoundedAdapter(headers_within=_SECONDS, connections=1))
    session.mount("http://", BoundedAdapter(headers_within=_SECONDS, connections=1))
    return session


def _is_no_request(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _mail(alert: Alert, settings: AlertSettings) -> None:
    message = EmailMessage()
    message["Subject"] = alert.subject
    message["From"], message["To"] = settings.sender, ", ".join(settings.recipients)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="iplum.invalid")
    message.set_content(alert.text)
    problem, is_sent = "", False
    try:
        with _connect(settings.smtp) as server:
            server.send_message(message)
            is_sent = True
    except smtplib.SMTPResponseException as error:
        problem = f"SMTP code {error.smtp_code}"
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        problem = type(error).__name__
    # A server that fails at QUIT has accepted the mail; a retry would send it twice.
    if problem and not is_sent:
        # The server's own text may contain addresses.
        raise AlertFailed(f"cannot send the alert by mail: {problem}. Check IPLUM_ALERT_SMTP.")


@contextmanager
def _connect(url: str) -> Iterator[smtplib.SMTP]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    trust = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(host, port, _EHLO_NAME, timeout=_SECONDS, context=trust)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, port, _EHLO_NAME, timeout=_SECONDS)
    ) as server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=trust)
            server.ehlo()
        elif parts.scheme == "smtp" and parts.username and not is_loopback_host(host):
            raise smtplib.SMTPNotSupportedError("a password requires an encrypted connection")
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server
