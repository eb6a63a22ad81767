"""The warehouse's folder and the inbox as the settings name them."""

from __future__ import annotations

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
    """Say where the warehouse stands and who may read it."""
    modes = Modes(settings.file_group)
    if isinstance(settings.data, Bucket):
        return DataFolder.in_bucket(settings.data, settings.state, modes)
    return DataFolder(settings.data, settings.state, modes)


def choose_marts(accounts: Sequence[Settings]) -> MartSettings:
    """Say what the owner decided about figures, for every account: a part of them would rebuild everything."""
    from warehouse.snapshot.marts import AccountSettings, MartSettings

    chosen = {
        settings.account: AccountSettings(
            time_zone=settings.time_zone,
            business_hours=settings.business_hours,
            lookback_days=settings.lookback_days,
        )
        for settings in accounts
    }
    if accounts[0].is_one_of_many:
        return MartSettings(accounts=chosen)
    return MartSettings(default=chosen[accounts[0].account])


def has_inbox(settings: Settings, folder: DataFolder) -> bool:
    """Say whether there is an inbox: a server that was named, or the file that a receiver made."""
    return bool(settings.inbox_url) or folder.inbox.exists()


def open_inbox(settings: Settings, folder: DataFolder) -> Inbox:
    """Open the inbox, made where it isn't there yet; raises `InboxFailed` and `StorageFailed`."""
    from warehouse.raw.inbox import Inbox

    return Inbox(settings.inbox_url or f"sqlite:///{folder.inbox}", settings.account, folder.modes)
