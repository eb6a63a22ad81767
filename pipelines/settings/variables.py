"""What the user can decide: the name, the default and the meaning of every environment variable.

`.env.example` and the page of settings are held to `VARIABLES` by a test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """An environment variable as the documentation shows it."""

    name: str
    default: str
    meaning: str


VARIABLES = (
    Variable("IPLUM_ACCESS_KEY", "", "Access key, from my.iplum.com under API & Call Backs."),
    Variable("IPLUM_SECRET_KEY", "", "Secret key, from the same page."),
    Variable("IPLUM_LOGIN_ID", "", "Login ID of an administrator of the account."),
    Variable(
        "IPLUM_BASE_URL", "https://api.iplum.com", "The API's endpoint; plain http only to a loopback address."
    ),
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
