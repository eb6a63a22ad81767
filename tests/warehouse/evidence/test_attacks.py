"""Attacks on sealed data: each is found, and names the first entry or file that does not fit."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.errors import SealRefused
from warehouse.evidence import verify as independent
from warehouse.evidence.chain import (
    Entry,
    Item,
    compute_root,
    encode,
    encode_key,
    format_items,
    parse_entry,
    parse_items,
)
from warehouse.evidence.chain_verification import find_chain_problems
from warehouse.evidence.seal import exchange_key, seal
from warehouse.raw.deletion_log import save_deletion_record
from warehouse.retention.deletion import Retention
from warehouse.storage.paths import DataFolder

DAY = datetime(2023, 4, 2, 3, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A folder with three entries: two raw files and a media file, one raw file, one raw file."""
    folder = create_folder(tmp_path / "data")
    fold(folder, response([call("a")], hours=1))
    fold(folder, response([call("a"), call("b")], hours=2))
    media = folder.root / "media/ab" / f"ab{'0' * 62}.pdf"
    media.parent.mkdir(parents=True)
    media.write_bytes(b"%PDF-1.4")
    assert seal(folder, folder.seal_key, now=DAY) is not None
    for day in (1, 2):
        fold(folder, response([call(str(day))], hours=24 * day))
        assert seal(folder, folder.seal_key, now=DAY + timedelta(days=day)) is not None
    return folder


def read_entries(folder: DataFolder) -> list[Entry]:
    return [parse_entry(line) for line in (folder.root / "evidence/chain.jsonl").read_bytes().splitlines()]


def write_entries(folder: DataFolder, entries: list[Entry]) -> None:
    (folder.root / "evidence/chain.jsonl").write_bytes(b"".join(entry.line + b"\n" for entry in entries))


def find(folder: DataFolder, expect: str | None = None) -> list[str]:
    return [str(one).removeprefix("evidence: ") for one in find_chain_problems(folder, folder.seal_key, expect=expect)]


def run_independently(folder: DataFolder, expect: str | None = None) -> tuple[int, str]:
    """Run verify.py in a Python without this project."""
    command = [
        sys.executable,
        "-I",
        str(folder.root / "evidence/verify.py"),
        str(folder.root),
        *([expect] if expect else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def list_raw(folder: DataFolder) -> list[Path]:
    return sorted(folder.root.glob("raw/**/*.parquet"))


def test_an_honest_folder_has_no_problem(folder: DataFolder) -> None:
    entries = read_entries(folder)
    assert [(entry.sequence, entry.kind, entry.items) for entry in entries] == [
        (1, "found", 3),
        (2, "seal", 1),
        (3, "seal", 1),
    ]
    assert find(folder, entries[1].reference) == []
    code, output = run_independently(folder, entries[2].reference)
    assert (code, output.splitlines()[-1]) == (0, f"last entry {entries[2].reference}")


def change_raw(folder: DataFolder) -> str:
    """Replace a raw file by a valid one with another record, and merge it again."""
    path = list_raw(folder)[0]
    other = create_folder(folder.root.parent / "other")
    fold(other, response([call("forged")], hours=1))
    shutil.copyfile(list_raw(other)[0], path)
    return f"entry 1: {path.relative_to(folder.root)} was changed"


def change_media(folder: DataFolder) -> str:
    (path,) = folder.root.glob("media/*/*")
    path.write_bytes(b"%PDF-1.5")
    return f"entry 1: {path.relative_to(folder.root)} was changed"


def remove_raw(folder: DataFolder) -> str:
    path = list_raw(folder)[1]
    path.unlink()
    return f"entry 1: {path.relative_to(folder.root)} is missing"


def remove_newest_day(folder: DataFolder) -> str:
    path = list_raw(folder)[-1]
    path.unlink()
    return f"entry 3: {path.relative_to(folder.root)} is missing"


def reorder(folder: DataFolder) -> str:
    first, second, third = read_entries(folder)
    write_entries(folder, [first, third, second])
    return "entry 3"


def remove_entry(folder: DataFolder) -> str:
    first, _, third = read_entries(folder)
    write_entries(folder, [first, third])
    return "entry 3"


def change_entry(folder: DataFolder) -> str:
    entries = read_entries(folder)
    write_entries(folder, [entries[0], replace(entries[1], sealed_at="2020-01-01T00:00:00+00:00"), entries[2]])
    return "entry 2"


def forge_entry(folder: DataFolder) -> str:
    """Append an entry signed with a key of the attacker's."""
    last = read_entries(folder)[-1]
    private = Ed25519PrivateKey.generate()
    forged = replace(
        last,
        sequence=4,
        previous=last.hash,
        list="",
        list_sha256=compute_hash(b""),
        items=0,
        root=compute_root([]),
        public_key=encode_key(private.public_key().public_bytes_raw()),
    )
    forged = replace(forged, signature=encode_key(private.sign(forged.signed_content)))
    write_entries(folder, [*read_entries(folder), forged])
    return "entry 4"


def compute_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def change_list(folder: DataFolder) -> str:
    (path,) = folder.root.glob("evidence/lists/00000002-*.jsonl")
    items = parse_items(path.read_bytes())
    path.write_bytes(format_items([replace(items[0], sha256="0" * 64)]))
    return "entry 2"


def remove_list(folder: DataFolder) -> str:
    (path,) = folder.root.glob("evidence/lists/00000002-*.jsonl")
    path.unlink()
    return "entry 2"


def write_rubbish(folder: DataFolder) -> str:
    with (folder.root / "evidence/chain.jsonl").open("ab") as file:
        file.write(b'{"sequence": 4}\n')
    return "entry 4"


ATTACKS = [
    change_raw,
    change_media,
    remove_raw,
    remove_newest_day,
    reorder,
    remove_entry,
    change_entry,
    forge_entry,
    change_list,
    remove_list,
    write_rubbish,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_is_found_and_named(folder: DataFolder, attack: Callable[[DataFolder], str]) -> None:
    named = attack(folder)
    found = find(folder)
    assert found[0].startswith(named)
    code, output = run_independently(folder)
    assert code == 1
    assert named in output or "entry ? cannot be read" in output


def test_a_cut_tail_is_found_with_an_entry_kept_elsewhere(folder: DataFolder) -> None:
    entries = read_entries(folder)
    write_entries(folder, entries[:2])
    list_raw(folder)[-1].unlink()
    (path,) = folder.root.glob("evidence/lists/00000003-*.jsonl")
    path.unlink()
    assert find(folder) == []
    assert find(folder, entries[2].reference) == [
        "the chain: entry 3 is missing: newer entries were removed, or the folder was rolled back"
    ]
    assert run_independently(folder, entries[2].reference)[0] == 1


def test_a_chain_signed_anew_with_another_key_is_found(folder: DataFolder) -> None:
    """An attacker who cannot read the key replaces the chain by one of their own."""
    shutil.rmtree(folder.root / "evidence")
    other = folder.root.parent / "attacker.pem"
    assert seal(folder, other, now=DAY) is not None
    assert find(folder) == [f"entry 1: is not signed with {folder.seal_key}: the key was replaced"]


def test_a_removed_chain_is_found(folder: DataFolder) -> None:
    shutil.rmtree(folder.root / "evidence")
    assert find(folder) == [f"the chain: evidence/chain.jsonl is missing, but {folder.seal_key} exists"]


def test_sealing_with_the_clock_set_back_is_refused_and_such_an_entry_is_found(folder: DataFolder) -> None:
    fold(folder, response([call("z")], hours=99))
    with pytest.raises(SealRefused, match="Set the clock"):
        seal(folder, folder.seal_key, now=DAY)
    entries = read_entries(folder)
    assert len(entries) == 3


def test_the_deletion_of_retention_is_accounted_for_and_an_exchanged_record_is_found(folder: DataFolder) -> None:
    later = DAY + timedelta(days=400)
    retention = Retention(folder, "default")
    deletion = retention.plan(older_than_days=100, now=later)
    retention.describe_raw(deletion)
    save_deletion_record(folder, deletion)
    retention.carry_out(deletion)
    assert list_raw(folder) == []
    assert any("no deletion record accounts for it" in one for one in find(folder)), "it is not finished yet"
    deletion.finished_at = later
    save_deletion_record(folder, deletion)
    assert find(folder) == []
    assert run_independently(folder)[0] == 0
    assert seal(folder, folder.seal_key, now=later) is not None
    (record,) = folder.root.glob("retention/*/*.json")
    content = json.loads(record.read_text())
    content["inbox_events"] = 7
    record.write_text(json.dumps(content))
    assert find(folder) == [f"entry 4: {record.relative_to(folder.root)} was changed after it was sealed"]


def test_a_deletion_record_with_another_hash_accounts_for_nothing(folder: DataFolder) -> None:
    later = DAY + timedelta(days=400)
    retention = Retention(folder, "default")
    deletion = retention.plan(older_than_days=100, now=later)
    retention.describe_raw(deletion)
    retention.carry_out(deletion)
    deletion.finished_at = later
    for window in deletion.windows.values():
        window["raw"][0]["sha256"] = "0" * 64
    save_deletion_record(folder, deletion)
    assert len(find(folder)) == len(deletion.windows)


def test_an_exchanged_key_continues_the_chain(folder: DataFolder) -> None:
    old = folder.seal_key.read_bytes()
    entry = exchange_key(folder, folder.seal_key, now=DAY + timedelta(days=3))
    assert (entry.kind, entry.sequence) == ("key", 4)
    assert folder.seal_key.read_bytes() != old
    fold(folder, response([call("n")], hours=99))
    assert seal(folder, folder.seal_key, now=DAY + timedelta(days=4)) is not None
    assert find(folder) == []
    assert run_independently(folder)[0] == 0
    folder.seal_key.write_bytes(old)
    fold(folder, response([call("o")], hours=100))
    with pytest.raises(SealRefused, match="is not the key of the chain"):
        seal(folder, folder.seal_key, now=DAY + timedelta(days=5))


def test_an_exchange_that_was_killed_before_the_rename_is_completed(folder: DataFolder) -> None:
    old = folder.seal_key.read_bytes()
    exchange_key(folder, folder.seal_key, now=DAY + timedelta(days=3))
    folder.seal_key.rename(folder.seal_key.with_name("seal-next.pem"))
    folder.seal_key.write_bytes(old)
    folder.seal_key.chmod(0o600)
    fold(folder, response([call("n")], hours=99))
    assert seal(folder, folder.seal_key, now=DAY + timedelta(days=4)) is not None
    assert find(folder) == []


def test_nothing_new_adds_no_entry(folder: DataFolder) -> None:
    assert seal(folder, folder.seal_key, now=DAY + timedelta(days=9)) is None
    assert len(read_entries(folder)) == 3


def test_the_key_is_private(folder: DataFolder) -> None:
    assert folder.seal_key.stat().st_mode & 0o777 == 0o600
    private = base64.b64encode(folder.seal_key.read_bytes()).decode()
    assert all(private[:40] not in path.read_text() for path in folder.root.glob("evidence/**/*.jsonl"))


def test_the_root_is_that_of_rfc_6962() -> None:
    lines = [encode(asdict(Item(path=str(n), bytes=n, sha256="0" * 64))) for n in range(20)]
    for count in range(20):
        assert compute_root(lines[:count]) == independent.merkle_root(lines[:count]).hex()
    # The test vectors of the Certificate Transparency project for one and two leaves.
    assert compute_root([b""]) == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert compute_root([b"", b"\x00"]) == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
