"""A look at everything that a sync needs, a line for each thing: what `iplum doctor` shows.

Belongs here: what is looked at, in which order. Does not belong here: mending any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pipelines.doctor.configuration import examine_credentials, examine_receiver, examine_settings
from pipelines.doctor.verdict import State, Verdict
from pipelines.settings import SettingsError, load_settings


def examine(environ: Mapping[str, str], root: Path, *, clock: Callable[[], datetime]) -> Iterator[Verdict]:
    """Look at settings, iPlum and this machine; `root` is where `.env` stands.

    Asks iPlum nothing when a setting is wrong, and no more once it refuses the keys: a wrong key costs one
    request. Nothing is made or changed.
    """
    try:
        settings = load_settings(environ, root)
    except SettingsError as error:
        yield Verdict("configuration", State.WRONG, str(error))
        return
    before = [*examine_settings(settings, environ, root), examine_credentials(environ), *examine_receiver(environ)]
    yield from before
    if any(verdict.state is State.WRONG for verdict in before):
        yield Verdict("iPlum", State.SKIPPED, "not asked, as a setting is wrong")
    else:
        from pipelines.doctor.account import examine_account, open_client

        with open_client(settings, environ) as client:
            yield from examine_account(client, settings, clock())
    from pipelines.doctor.machine import examine_dagster, examine_data, examine_folder

    yield from examine_folder(settings)
    yield examine_data(settings)
    yield from examine_dagster(settings, clock())
