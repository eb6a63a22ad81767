"""`iplum seal`: an entry in the evidence chain."""

from typing import Annotated

import typer

from pipelines.clock import now
from pipelines.commands.invocation import AsJson, format_count, read_settings, write_json
from pipelines.warehouse_folder import find_seal_key, open_folder

NewKey = Annotated[
    bool, typer.Option("--new-key", help="Create a new key for all following entries; the old one signs it.")
]


def seal(new_key: NewKey = False, as_json: AsJson = False) -> None:
    """Seal everything that was added since the last time: a signed entry in `evidence/chain.jsonl`.

    Any later change of a sealed file, or of the chain, is found by 'iplum verify'. The schedule `daily_seal` does this
    every day. Keep the printed entry (number and hash) elsewhere: 'iplum verify --expect' compares it.

    Examples: `iplum seal` · `iplum seal --new-key` · `iplum seal --json`
    """
    settings, _ = read_settings()
    from warehouse.evidence.chain import format_fingerprint
    from warehouse.evidence.seal import exchange_key, get_signer, read_chain
    from warehouse.evidence.seal import seal as add_entry

    folder, key_file = open_folder(settings), find_seal_key(settings)
    is_first = not key_file.exists()
    entry = (exchange_key if new_key else add_entry)(folder, key_file, now=now())
    _, entries = read_chain(folder)
    last = entries[-1] if entries else None
    key = get_signer(entries)
    fingerprint = format_fingerprint(key) if key else None
    if as_json:
        write_json(
            {
                "added": entry is not None,
                "files": entry.items if entry else 0,
                "last_entry": last.reference if last else None,
                "key": fingerprint,
            }
        )
        return
    if last is None:
        typer.echo("There is nothing to seal yet.")
        return
    if is_first:
        typer.echo(f"Created the key {key_file}. Back it up, apart from the data.")
    sealed = f"Sealed {format_count(entry.items, 'file')}" if entry and not new_key else "Nothing new to seal"
    typer.echo("The key was exchanged. Back up the new one." if new_key else f"{sealed}.")
    typer.echo(f"Last entry: {last.reference}\nKey:        {fingerprint}")
