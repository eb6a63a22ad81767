"""The asset `report`."""

import dagster as dg

from pipelines.defs.assets.warehouse_tables import build_mart_key
from pipelines.defs.failures import failing_step
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.schema.marts import MARTS


def build_report_asset(settings: Settings) -> dg.AssetsDefinition:
    """Build the asset `report`."""

    @dg.asset(
        name="report",
        deps=[build_mart_key(mart.name) for mart in MARTS],
        group_name="report",
        kinds={"altair", "html"},
        description=(
            "The HTML report, which works offline. To open it, copy `path` below into the browser's address bar."
        ),
    )
    def report() -> dg.MaterializeResult:  # type: ignore[type-arg]
        # Importing the charts takes longer than everything else that Dagster loads.
        from warehouse.outputs.report import write_report

        folder = open_folder(settings)
        with failing_step():
            path = write_report(folder).absolute()
        # Browsers do not follow links from the UI to a file, so the path is shown to be copied.
        place = path if folder.bucket is None else folder.store.locate(path.name)
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(place), "bytes": path.stat().st_size})

    return report
