"""The checks behind `iplum doctor`: everything that a sync needs, one line each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipelines.clock import Clock
from pipelines.doctor.configuration import diagnose_environment, diagnose_owner, diagnose_secrets, diagnose_settings
from pipelines.doctor.diagnosis import Diagnosis, State
from pipelines.settings import Settings, SettingsError, load_accounts


def run_diagnosis(
    environ: Mapping[str, str], root: Path, *, clock: Clock, try_alert: bool = False
) -> Iterator[Diagnosis]:
    """Check the settings, the API and this machine; nothing is changed.

    The API is not called if a setting is wrong, and only once if it rejects the keys. `root` is the folder of
    `.env`; `try_alert` sends a test alert.
    """
    try:
        accounts = load_accounts(environ, root)
    except SettingsError as error:
        yield Diagnosis("configuration", State.WRONG, str(error))
        return
    before = [*diagnose_environment(environ, root), *diagnose_owner(accounts[0])]
    for settings in accounts:
        found = (*diagnose_settings(settings, environ), *diagnose_secrets(settings, environ))
        before += [_add_account(settings, diagnosis) for diagnosis in found]
    yield from before
    if any(diagnosis.state is State.WRONG for diagnosis in before):
        yield Diagnosis("iPlum", State.SKIPPED, "not checked, because a setting is wrong")
    else:
        yield from _diagnose_api(accounts, environ, clock)
    from pipelines.doctor import machine

    yield from machine.diagnose_folder(accounts[0])
    yield from machine.diagnose_snapshot(accounts[0])
    for settings in accounts:
        found = (
            machine.diagnose_data(settings, clock()),
            *machine.diagnose_types(settings, clock()),
            *machine.diagnose_deletions(settings, clock()),
            *machine.diagnose_records(settings),
        )
        yield from (_add_account(settings, diagnosis) for diagnosis in found)
    yield from machine.diagnose_dagster(accounts, clock())
    yield from machine.diagnose_alerts(accounts[0], send_test=try_alert)


def _diagnose_api(accounts: Sequence[Settings], environ: Mapping[str, str], clock: Clock) -> Iterator[Diagnosis]:
    from pipelines.doctor.api import diagnose_account, open_client

    for settings in accounts:
        with open_client(settings, environ) as client:
            for diagnosis in diagnose_account(client, settings, clock()):
                yield _add_account(settings, diagnosis)


def _add_account(settings: Settings, diagnosis: Diagnosis) -> Diagnosis:
    """Add the account's name to the line if there are many accounts."""
    return replace(diagnosis, found=f"{settings.account}: {diagnosis.found}") if settings.is_one_of_many else diagnosis
