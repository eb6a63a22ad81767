"""The data folder, mart settings and callback inbox that the settings describe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.settings import Settings, SettingsError, check_account
from warehouse.storage.atomic_files import Modes
from warehouse.storage.paths import DataFolder, is_in_demo
from warehouse.storage.s3_config import Bucket

if TYPE_CHECKING:
    from warehouse.raw.inbox import Inbox
    from warehouse.snapshot.marts import MartSettings


_SQLITE = "sqlite:///"


def open_folder(settings: Settings) -> DataFolder:
    """Return the data folder of the settings."""
    modes = Modes(settings.file_group)
    if isinstance(settings.data, Bucket):
        return DataFolder.in_bucket(settings.data, settings.state, modes)
    return DataFolder(settings.data, settings.state, modes)


def find_seal_key(settings: Settings) -> Path:
    """Return the file of the key that signs the evidence chain."""
    return settings.seal_key or open_folder(settings).seal_key


def check_folder(settings: Settings, folder: DataFolder) -> None:
    """Raise `SettingsError` if the account's records must not be added to the folder.

    The folder may belong to an account of another name, to the demo, or, for the demo, to an account.
    """
    check_origin(settings, folder)
    check_account(settings, folder.accounts())


def check_origin(settings: Settings, folder: DataFolder) -> None:
    """Raise `SettingsError` if real records would be added to generated ones, or the other way round."""
    if folder.is_of_demo and not settings.is_demo:
        raise SettingsError(
            f"IPLUM_DATA is {folder.address}, the folder of the demo: records of an account are not added to generated "
            "ones. Choose another folder"
        )
    inbox = Path(settings.inbox_url.removeprefix(_SQLITE)) if settings.inbox_url.startswith(_SQLITE) else None
    if inbox is not None and is_in_demo(inbox) != settings.is_demo:
        rule = "must be in the folder of the demo" if settings.is_demo else "is in the folder of the demo"
        raise SettingsError(f"IPLUM_INBOX_URL {rule}: events of an account and generated ones do not mix. Change it")
    if settings.is_demo and not folder.is_of_demo:
        raise SettingsError(
            f"{folder.address} was not created by this version's demo and may hold records of an account: move it away "
            "or delete it, then run 'iplum demo' again"
        )


def build_mart_settings(accounts: Sequence[Settings]) -> "MartSettings":
    """Build the mart settings of all accounts: leaving one out would rebuild the warehouse.

    The people are those kept in the data folder (`pipelines.steps.refresh_people`). Raises `StorageFailed`.
    """
    from warehouse.people.stored_people import load_directory
    from warehouse.snapshot.marts import AccountSettings, MartSettings

    chosen = {
        settings.account: AccountSettings(
            time_zone=settings.time_zone, business_hours=settings.business_hours, lookback_days=settings.lookback_days
        )
        for settings in accounts
    }
    people = load_directory(open_folder(accounts[0]), accounts[0].region)
    if accounts[0].is_one_of_many:
        return MartSettings(accounts=chosen, people=people)
    return MartSettings(default=chosen[accounts[0].account], people=people)


def has_inbox(settings: Settings, folder: DataFolder) -> bool:
    """Whether there is an inbox: a database server, or the file created by a receiver."""
    return bool(settings.inbox_url) or folder.inbox.exists()


def open_inbox(settings: Settings, folder: DataFolder) -> "Inbox":
    """Open the inbox, creating it if needed; raises `InboxFailed` and `StorageFailed`."""
    from warehouse.raw.inbox import Inbox

    if not settings.inbox_url:
        folder.require_own()
    return Inbox(settings.inbox_url or f"sqlite:///{folder.inbox}", settings.account, folder.modes)
