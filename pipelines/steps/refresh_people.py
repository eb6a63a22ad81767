"""Reading the people files into the data folder, from where each publish takes the names."""

from pipelines.settings import Settings
from warehouse.people.stored_people import PeopleUpdate, update_people
from warehouse.storage.paths import DataFolder


def refresh_people(settings: Settings, folder: DataFolder) -> PeopleUpdate | None:
    """Keep in the data folder what the people files say now.

    None, and nothing changes, on a machine without people files that shares a bucket: another machine may have them.
    Raises `StorageFailed`.
    """
    if not settings.people and folder.bucket is not None:
        return None
    return update_people(folder, settings.people)
