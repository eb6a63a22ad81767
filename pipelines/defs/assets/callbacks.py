"""Callbacks: what iPlum pushed since the last time, moved to the raw log and folded where it belongs."""

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from pipelines.defs.failures import fail
from pipelines.settings import Settings, SettingsError, check_account
from pipelines.steps.drain_inbox import Drain, DrainOutcome
from pipelines.warehouse_folder import has_inbox, open_folder, open_inbox
from warehouse.errors import WarehouseError


def key_of_callbacks(settings: Settings) -> dg.AssetKey:
    """Name an account's asset of what was pushed."""
    return dg.AssetKey(settings.key("callbacks"))


def build_callbacks_asset(settings: Settings, *, clock: Callable[[], datetime]) -> dg.AssetsDefinition:
    """Make the asset `callbacks`; without an inbox it has nothing to do."""

    @dg.asset(
        key=key_of_callbacks(settings),
        group_name="raw",
        kinds={"python", "parquet"},
        description=(
            "What iPlum pushed since the last time, moved from the receiver's inbox to the raw log; only the "
            "windows it touches are folded again. The sensor `callback_inbox` starts it."
        ),
    )
    def callbacks() -> dg.MaterializeResult:  # type: ignore[type-arg]
        folder = open_folder(settings)
        try:
            outcome = DrainOutcome()
            if has_inbox(settings, folder):
                check_account(settings, folder.accounts())
                with open_inbox(settings, folder) as inbox:
                    outcome = Drain(folder=folder, account=settings.account, inbox=inbox, clock=clock).run()
        except (SettingsError, WarehouseError) as error:
            raise fail(error) from error
        windows = {window for touched in outcome.touched.values() for window in touched}
        return dg.MaterializeResult(
            metadata={
                "events": outcome.events,
                "bodies": outcome.bodies,
                "windows": len(windows),
                "removed": outcome.removed,
                "dropped": outcome.dropped,
            }
        )

    return callbacks
