"""The data folder, mart settings and callback inbox that the settings describe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.settings import Settings
from warehouse.storage.atomic_files import Modes
from warehouse.storage.paths import DataFolder
from warehouse.storage.s3_config import Bucket

if TYPE_CHECKING:
    from warehouse.raw.inbox import Inbox
    from warehouse.snapshot.marts import MartSettings


def open_folder(settings: Settings) -> DataFolder:
    """Return the data folder of the settings."""
    modes = Modes(settings.file_group)
    if isinstance(settings.data, Bucket):
        return DataFolder.in_bucket(settings.data, settings.state, modes)
    return DataFolder(settings.data, settings.state, modes)


def build_mart_settings(accounts: Sequence[Settings]) -> "MartSettings":
    """Build the mart settings of all accounts: leaving one out would rebuild the warehouse."""
    from warehouse.snapshot.marts import AccountSettings, MartSettings

    chosen = {
        settings.account: AccountSettings(
            time_zone=settings.time_zone, business_hours=settings.business_hours, lookback_days=settings.lookback_days
        )
        for settings in accounts
    }
    if accounts[0].is_one_of_many:
        return MartSettings(accounts=chosen)
    return MartSettings(default=chosen[accounts[0].account])


def has_inbox(settings: Settings, folder: DataFolder) -> bool:
    """Whether there is an inbox: a database server, or the file created by a receiver."""
    return bool(settings.inbox_url) or folder.inbox.exists()


def open_inbox(settings: Settings, folder: DataFolder) -> "Inbox":
    """Open the inbox, creating it if needed; raises `InboxFailed` and `StorageFailed`."""
    from warehouse.raw.inbox import Inbox

    return Inbox(settings.inbox_url or f"sqlite:///{folder.inbox}", settings.account, folder.modes)
