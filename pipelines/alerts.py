"""Telling somebody who isn't looking: one message to a webhook, to a mail server, or to both."""

from __future__ import annotations

import logging
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from pipelines.settings import AlertSettings, Settings

_ATTEMPTS = 3
_SECONDS = 20
#: A disk that dies can damage every file, and a webhook refuses a message of megabytes.
_LINES = 20
#: Where no port is named: the ones for submission.
_PORTS = {"smtp": 587, "smtps": 465}
#: What smtplib says where a machine has no name; looking up a name can hang, and tells it to the server.
_OWN_NAME = "[127.0.0.1]"
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class AlertFailed(Exception):
    """Nobody could be told; the text names the way and the cause, never the address."""


@dataclass(frozen=True)
class Alert:
    """What happened, in a line, and what to do."""

    subject: str
    text: str


def describe_run(job: str, windows: str, failures: Sequence[str], settings: Settings) -> Alert:
    """Say which run failed and why; folders, which may be named after a person, go by their variables."""
    reasons = failures or ["it ended without a reason; its run in the Dagster UI (make ui) shows more"]
    text = "\n".join(_shorten(reasons))
    for name, folder in (("IPLUM_DATA", settings.data), ("IPLUM_STATE", settings.state)):
        text = text.replace(str(folder), name)
    where = f" ({windows})" if windows else ""
    # Where there are many, the job's name or the failure says which account it is.
    whose = "" if settings.is_one_of_many else f", account {settings.account}"
    return Alert(f"iPlum warehouse{whose}: {job} failed{where}", text)


def _shorten(failures: Sequence[str]) -> list[str]:
    more = len(failures) - _LINES
    return [*failures[:_LINES], *([f"and {more:,} more: its output has them all"] if more > 0 else [])]


def send_alert(alert: Alert, settings: AlertSettings, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Tell whoever is named, each way tried three times; raises `AlertFailed` when one of them did not take it."""
    ways: list[Callable[[Alert, AlertSettings], None]] = []
    ways += [_post] if settings.webhook else []
    ways += [_mail] if settings.smtp else []
    problems = []
    for way in ways:
        retries = Retrying(
            retry=retry_if_exception_type(AlertFailed),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(max=10),
            sleep=sleep,
            reraise=True,
        )
        try:
            retries(way, alert, settings)
        except AlertFailed as error:
            problems.append(str(error))
    if problems:
        raise AlertFailed("; ".join(problems))


def _post(alert: Alert, settings: AlertSettings) -> None:
    # urllib3 logs the path of each request for whoever debugs, and the path is the secret.
    logging.getLogger("urllib3.connectionpool").addFilter(_is_no_request)
    problem = ""
    try:
        answer = requests.post(
            settings.webhook,
            json={"text": f"{alert.subject}\n{alert.text}"},
            timeout=_SECONDS,
            allow_redirects=False,
        )
        if not answer.ok or answer.is_redirect:
            problem = f"it answered {answer.status_code}"
    except requests.RequestException as error:
        problem = type(error).__name__
    if problem:
        # Outside the except clause: the library's error, which holds the URL, is not chained.
        raise AlertFailed(f"the webhook did not take the alert ({problem}); check IPLUM_ALERT_WEBHOOK")


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
        problem = f"it answered {error.smtp_code}"
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        problem = type(error).__name__
    # A server that stumbles over the farewell has the mail: trying again would send it twice.
    if problem and not is_sent:
        # The server's own words may name mailboxes.
        raise AlertFailed(f"the mail server did not take the alert ({problem}); check IPLUM_ALERT_SMTP")


@contextmanager
def _connect(url: str) -> Iterator[smtplib.SMTP]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    trust = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(host, port, _OWN_NAME, timeout=_SECONDS, context=trust)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, port, _OWN_NAME, timeout=_SECONDS)
    ) as server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=trust)
            server.ehlo()
        elif parts.scheme == "smtp" and parts.username and host not in _LOCAL:
            raise smtplib.SMTPNotSupportedError("a password goes over an encrypted connection only")
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server
