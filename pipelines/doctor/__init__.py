"""A look at everything that a sync needs, a line for each thing: what `iplum doctor` shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pipelines.doctor.configuration import examine_environment, examine_secrets, examine_settings
from pipelines.doctor.verdict import State, Verdict
from pipelines.settings import Settings, SettingsError
from pipelines.settings.accounts_file import load_accounts


def examine(
    environ: Mapping[str, str], root: Path, *, clock: Callable[[], datetime], try_alert: bool = False
) -> Iterator[Verdict]:
    """Look at settings, iPlum and this machine; `root` is where `.env` stands, `try_alert` sends an alert.

    Asks iPlum nothing when a setting is wrong, and no more once it refuses the keys: a wrong key costs one
    request. Nothing is made or changed.
    """
    try:
        accounts = load_accounts(environ, root)
    except SettingsError as error:
        yield Verdict("configuration", State.WRONG, str(error))
        return
    before = list(_examine_settings(accounts, environ, root))
    yield from before
    if any(verdict.state is State.WRONG for verdict in before):
        yield Verdict("iPlum", State.SKIPPED, "not asked, as a setting is wrong")
    else:
        for settings in accounts:
            yield from _examine_account(settings, environ, clock)
    from pipelines.doctor.alarm import examine_alerts
    from pipelines.doctor.machine import examine_dagster, examine_data, examine_folder

    yield from examine_folder(accounts[0])
    for settings in accounts:
        yield _mark(settings, examine_data(settings, clock()))
    yield from examine_dagster(accounts, clock())
    yield from examine_alerts(accounts[0], trying=try_alert)


def _examine_settings(accounts: Sequence[Settings], environ: Mapping[str, str], root: Path) -> Iterator[Verdict]:
    yield from examine_environment(environ, root)
    for settings in accounts:
        for verdict in (*examine_settings(settings), *examine_secrets(settings, environ)):
            yield _mark(settings, verdict)


def _examine_account(
    settings: Settings, environ: Mapping[str, str], clock: Callable[[], datetime]
) -> Iterator[Verdict]:
    from pipelines.doctor.account import examine_account, open_client

    with open_client(settings, environ) as client:
        for verdict in examine_account(client, settings, clock()):
            yield _mark(settings, verdict)


def _mark(settings: Settings, verdict: Verdict) -> Verdict:
    """Say whose line it is, where there are many accounts."""
    return replace(verdict, found=f"{settings.account}: {verdict.found}") if settings.is_one_of_many else verdict
