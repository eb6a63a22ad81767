"""The report as an asset, to be found from Dagster's UI."""

import dagster as dg

from pipelines.defs.assets.marts import key_of_mart
from pipelines.defs.failures import fail
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.errors import WarehouseError
from warehouse.schema.marts import MARTS


def build_report_asset(settings: Settings) -> dg.AssetsDefinition:
    """Make the asset `report`."""

    @dg.asset(
        name="report",
        deps=[key_of_mart(mart.name) for mart in MARTS],
        group_name="report",
        kinds={"altair", "html"},
        description=(
            "One HTML page about the account that opens anywhere, without a network. To see it, copy `path` below "
            "into the browser's address bar."
        ),
    )
    def report() -> dg.MaterializeResult:  # type: ignore[type-arg]
        # Drawing takes longer to import than all else that Dagster loads.
        from warehouse.outputs.report import write_report

        try:
            folder = open_folder(settings)
            path = write_report(folder).absolute()
        except WarehouseError as error:
            raise fail(error) from error
        # A browser follows no link from a page of Dagster's to a file, so it is a path, to be copied.
        place = path if folder.bucket is None else folder.store.locate(path.name)
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(place), "bytes": path.stat().st_size})

    return report
