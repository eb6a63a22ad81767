"""The jobs of accounts: their assets, and how a run is limited to one account.

Dagster resolves every asset for every job, so three jobs for each of three hundred accounts would take longer to
load than everything else. Accounts whose history starts in the same window therefore share jobs, and a run selects
its account's assets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from pipelines.defs.partitions import AUDIT_TAG
from pipelines.settings import Settings
from warehouse.windows import window_of

#: The account of a run, with several accounts.
ACCOUNT_TAG = "iplum/account"


@dataclass(frozen=True, kw_only=True)
class AccountJob:
    """A job over `assets` of each account; `has_report` adds the report, with a single account."""

    name: str
    assets: tuple[str, ...]
    description: str
    is_partitioned: bool = True
    has_report: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    def name_for(self, settings: Settings) -> str:
        """Return the name of the job for this account."""
        if not settings.is_one_of_many or not self.is_partitioned:
            return self.name
        return f"{self.name}__{window_of(settings.start_date).key.replace('-', '_')}"

    def tags_for(self, settings: Settings) -> dict[str, str]:
        """Return the tags that identify an account's runs."""
        return {ACCOUNT_TAG: settings.account} if settings.is_one_of_many else {}

    def select(self, settings: Settings) -> list[dg.AssetKey] | None:
        """Return the assets of a run of this account; None for all assets of the job."""
        return self.list_keys(settings) if settings.is_one_of_many else None

    def list_keys(self, settings: Settings) -> list[dg.AssetKey]:
        """List the account's assets in this job."""
        return [dg.AssetKey(settings.key(name)) for name in self.assets]

    def define(
        self, accounts: Sequence[Settings], *, tables: dg.AssetsDefinition, report: dg.AssetsDefinition
    ) -> dict[str, "dg.UnresolvedAssetJobDefinition"]:
        """Build the job, or one per start of history, by name; with a single account, each run publishes."""
        published = [tables, report] if self.has_report else [tables]
        if accounts[0].is_one_of_many:
            published = []
        keys: dict[str, list[dg.AssetKey]] = {}
        for settings in accounts:
            keys.setdefault(self.name_for(settings), []).extend(self.list_keys(settings))
        return {
            name: dg.define_asset_job(
                name,
                selection=dg.AssetSelection.assets(*own) | dg.AssetSelection.assets(*published),
                description=self.description,
                tags=self.tags,
            )
            for name, own in keys.items()
        }


SYNC = AccountJob(
    name="sync",
    assets=("raw_usage", "usage", "raw_recordings", "recordings", "callbacks"),
    description="Daily sync: pull a range of windows, store callbacks, and publish.",
)
ARCHIVE = AccountJob(
    name="archive",
    assets=("contents", "recording_files"),
    description="Download texts, attachments, faxes and recordings that are not verified yet, then publish.",
)
AUDIT = AccountJob(
    name="audit",
    assets=("raw_usage", "usage", "raw_recordings", "recordings"),
    description=("Request a range of windows again, whole and in halves, report differences, and publish."),
    tags={AUDIT_TAG: "true"},
)
DRAIN = AccountJob(
    name="drain",
    assets=("callbacks",),
    description="Move callbacks from the inbox to the tables.",
    is_partitioned=False,
    has_report=False,
    # Identifies drains of any account.
    tags={"iplum/drains": "inbox"},
)
JOBS = (SYNC, ARCHIVE, AUDIT, DRAIN)
