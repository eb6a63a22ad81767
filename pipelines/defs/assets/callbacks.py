"""The asset `callbacks`, which drains the inbox."""

import dagster as dg

from pipelines.clock import Clock
from pipelines.defs.failures import failing_step
from pipelines.settings import Settings, SettingsError
from pipelines.steps.drain_inbox import DRAINED_EVENTS_KEPT_FOR, Drain, DrainOutcome
from pipelines.warehouse_folder import check_folder, has_inbox, open_folder, open_inbox


def build_callbacks_asset(settings: Settings, *, clock: Clock) -> dg.AssetsDefinition:
    """Build the asset `callbacks`; without an inbox it does nothing."""

    @dg.asset(
        key=settings.key("callbacks"),
        group_name="raw",
        kinds={"python", "parquet"},
        description=(
            "Callbacks since the last run, moved from the receiver's inbox to the raw log. Only their windows are "
            "folded again. Started by the sensor `callback_inbox`."
        ),
    )
    def callbacks(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        folder = open_folder(settings)
        outcome = DrainOutcome()
        if has_inbox(settings, folder):
            with failing_step(SettingsError):
                check_folder(settings, folder)
                with open_inbox(settings, folder) as inbox:
                    outcome = Drain(folder=folder, account=settings.account, inbox=inbox, clock=clock).run()
        if outcome.quarantined:
            context.log.warning(
                f"{outcome.quarantined} callback records have an implausible start: they are kept in the inbox for "
                f"{DRAINED_EVENTS_KEPT_FOR.days} days and are not in the tables."
            )
        windows = {window for touched in outcome.touched.values() for window in touched}
        return dg.MaterializeResult(
            metadata={
                "events": outcome.events,
                "bodies": outcome.bodies,
                "windows": len(windows),
                "removed": outcome.removed,
                "dropped": outcome.dropped,
                "quarantined": outcome.quarantined,
            }
        )

    return callbacks
