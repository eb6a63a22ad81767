"""`iplum demo`: the whole pipeline on generated data."""

from typing import Annotated

import typer


def demo(
    days: Annotated[int, typer.Option(min=1, max=3660, help="Days of generated history.")] = 90,
    ui: Annotated[bool, typer.Option("--ui", help="Open the Dagster UI on the demo's data instead.")] = False,
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
) -> None:
    """Load generated history into the folder `demo-data`, write the report, and print a summary.

    It starts a stand-in for the iPlum API on this machine, and reads no setting or key of an account. With `--ui`, the
    stand-in runs too, so you can start syncs and backfills in the UI.

    Examples: `iplum demo` · `iplum demo --ui`
    """
    import os

    from pipelines.demo import run_demo, run_ui
    from pipelines.settings import find_home

    folder = find_home(os.environ).path / "demo-data"
    if ui:
        run_ui(folder, days, port)
    else:
        run_demo(folder, days)
