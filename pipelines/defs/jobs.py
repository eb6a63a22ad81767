"""The jobs of accounts: which assets each goes through, and how a run is held to one account's.

Dagster looks at every asset for every job, so that three jobs for each of three hundred accounts would take longer
to load than all else together. Accounts whose history begins in the same window share their jobs instead, and a
run is told which account's assets it is of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.defs.partitions import AUDIT_TAG
from pipelines.settings import Settings
from warehouse.windows import window_of

if TYPE_CHECKING:
    from dagster import UnresolvedAssetJobDefinition


#: Whose run it is, where there are many accounts.
ACCOUNT_TAG = "iplum/account"


@dataclass(frozen=True, kw_only=True)
class AccountJob:
    """A job over `assets` of each account; `has_report` says whether an account alone gets its report with it."""

    name: str
    assets: tuple[str, ...]
    description: str
    is_partitioned: bool = True
    has_report: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    def name_for(self, settings: Settings) -> str:
        """Name the job that this account's runs are of."""
        if not settings.is_one_of_many or not self.is_partitioned:
            return self.name
        return f"{self.name}__{window_of(settings.start_date).key.replace('-', '_')}"

    def tags_for(self, settings: Settings) -> dict[str, str]:
        """Tag a run so that it can be told from those of other accounts."""
        return {ACCOUNT_TAG: settings.account} if settings.is_one_of_many else {}

    def select(self, settings: Settings) -> list[dg.AssetKey] | None:
        """List the assets that a run of this account is held to; None for all that the job has."""
        return self.list_keys(settings) if settings.is_one_of_many else None

    def list_keys(self, settings: Settings) -> list[dg.AssetKey]:
        """List the account's own assets that the job goes through."""
        return [dg.AssetKey(settings.key(name)) for name in self.assets]

    def define(
        self, accounts: Sequence[Settings], *, tables: dg.AssetsDefinition, report: dg.AssetsDefinition
    ) -> dict[str, UnresolvedAssetJobDefinition]:
        """Make the job, or one for each start of history, by name; an account alone publishes in each run."""
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
    description="Pull and fold a range of windows, take in what was pushed, publish: what runs each day.",
)
ARCHIVE = AccountJob(
    name="archive",
    assets=("contents", "recording_files"),
    description="Fetch bodies, attachments, faxes and recording files not yet verified, then publish.",
)
AUDIT = AccountJob(
    name="audit",
    assets=("raw_usage", "usage", "raw_recordings", "recordings"),
    description=(
        "Ask for a range of windows once more, each in halves too, tell what differs from what is here, and "
        "publish."
    ),
    tags={AUDIT_TAG: "true"},
)
DRAIN = AccountJob(
    name="drain",
    assets=("callbacks",),
    description="Move what was pushed from the inbox to the tables.",
    is_partitioned=False,
    has_report=False,
    # What tells runs that drain from all others, whosever account.
    tags={"iplum/drains": "inbox"},
)
JOBS = (SYNC, ARCHIVE, AUDIT, DRAIN)
