"""The asset `evidence`: the chain over everything that was added, extended once a day."""

from collections.abc import Sequence

import dagster as dg

from pipelines.clock import Clock
from pipelines.defs.failures import failing_step
from pipelines.settings import Settings
from pipelines.warehouse_folder import find_seal_key, open_folder
from warehouse.evidence.chain import format_fingerprint
from warehouse.evidence.seal import get_signer, read_chain, seal
from warehouse.schema.tables import ARCHIVE_TABLES, FOLDED_TABLES


def build_evidence_asset(accounts: Sequence[Settings], *, clock: Clock) -> dg.AssetsDefinition:
    """Build the asset, which covers the files of all accounts."""
    names = [f"raw_{table.name}" for table in FOLDED_TABLES] + [table.name for table in ARCHIVE_TABLES]
    folder, key_file = open_folder(accounts[0]), find_seal_key(accounts[0])

    @dg.asset(
        deps=[dg.AssetKey(one.key(name)) for one in accounts for name in names],
        description="Signed entries over all raw files, media and deletion records: any later change shows.",
        group_name="evidence",
        kinds={"json"},
    )
    def evidence() -> dg.MaterializeResult:  # type: ignore[type-arg]
        with failing_step():
            entry = seal(folder, key_file, now=clock())
            _, entries = read_chain(folder)
        signer = get_signer(entries)
        return dg.MaterializeResult(
            metadata={
                "files": entry.items if entry else 0,
                "last_entry": entries[-1].reference if entries else "none",
                "key": format_fingerprint(signer) if signer else "none",
            }
        )

    return evidence
