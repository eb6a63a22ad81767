"""The warehouse's folder as the settings name it.

Belongs here: the one step from settings to paths. Does not belong here: the paths (`warehouse.layout`).
"""

from __future__ import annotations

from pipelines.settings import Settings
from warehouse.files import Modes
from warehouse.layout import DataFolder


def open_folder(settings: Settings) -> DataFolder:
    """Say where the warehouse stands and who may read it."""
    return DataFolder(settings.data, settings.state, Modes(settings.file_group))
