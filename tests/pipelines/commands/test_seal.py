"""`iplum seal` and what `iplum verify` says of the chain; holds are entries with who, when and why."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import cli
from tests.support.account import Account
from tests.support.raw_responses import call, fold, response

# Seals while it is killed, in forked children: each starts within milliseconds.
KILLED = """
import os, random, signal, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tests.support.raw_responses import WINDOW, call, create_folder, fold, response
from warehouse.evidence.chain_verification import find_chain_problems
from warehouse.evidence.seal import read_chain, seal

folder, rng = create_folder(Path(sys.argv[1])), random.Random(7)
now = datetime(2030, 1, 1, tzinfo=UTC)
fold(folder, response([call("0")], hours=0))
began = time.monotonic()
child = os.fork()
if child == 0:
    seal(folder, folder.seal_key, now=now - timedelta(days=1))
    os._exit(0)
os.waitpid(child, 0)
usual = time.monotonic() - began
killed = 0
for number in range(200):
    path = folder.root / folder.raw_folder("usage", "default", WINDOW) / f"{number:03}.parquet"
    path.write_bytes(str(number).encode())
    child = os.fork()
    if child == 0:
        seal(folder, folder.seal_key, now=now + timedelta(minutes=number))
        os._exit(0)
    time.sleep(rng.random() * 2 * usual)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed += os.WIFSIGNALED(status)
    problems = list(map(str, find_chain_problems(folder, folder.seal_key, rehash=False)))
    assert [one for one in problems if "is missing, but" not in one] == [], problems
entry = seal(folder, folder.seal_key, now=now + timedelta(days=1))
assert list(find_chain_problems(folder, folder.seal_key)) == []
print(killed, len(read_chain(folder)[1]))
"""


@pytest.fixture
def sealed(account: Account, capsys: pytest.CaptureFixture[str]) -> str:
    """Seal a raw file, and return the last entry."""
    fold(account.folder, response([call("a")], hours=1))
    assert cli.run(["seal", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["added"], printed["files"]) == (True, 1)
    return str(printed["last_entry"])


def verify(*arguments: str) -> int:
    return cli.run(["publish"]) or cli.run(["verify", "--offline", *arguments])


def test_the_first_seal_creates_a_key_and_prints_what_to_keep(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["seal"]) == 0
    assert capsys.readouterr().out == "There is nothing to seal yet.\n"
    fold(account.folder, response([call("a")], hours=1))
    assert cli.run(["seal"]) == 0
    created, sealed, last, key = capsys.readouterr().out.splitlines()
    assert created == f"Created the key {account.folder.seal_key}. Back it up, apart from the data."
    assert sealed == "Sealed 1 file."
    assert last.startswith("Last entry: 1:")
    assert key.startswith("Key:        SHA256:")
    assert cli.run(["seal"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Nothing new to seal.", last, key]


def test_verify_names_the_last_entry_and_compares_the_expected_one(
    sealed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("--expect", sealed) == 0
    assert f"note: evidence: last entry {sealed}" in capsys.readouterr().out
    assert verify("--expect", f"1:{'0' * 64}") == 1
    assert "error: evidence: entry 1: is not the entry that was kept elsewhere" in capsys.readouterr().err
    assert verify("--expect", "yesterday") == 2


@pytest.mark.usefixtures("sealed")
def test_verify_finds_a_changed_file(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = account.folder.root.glob("raw/**/*.parquet")
    fold(account.folder, response([call("a"), call("b")], hours=2))
    newest = max(account.folder.root.glob("raw/**/*.parquet"))
    path.write_bytes(newest.read_bytes())
    assert verify() == 1
    assert f"error: evidence: entry 1: {path.relative_to(account.folder.root)} was changed" in capsys.readouterr().err


@pytest.mark.usefixtures("sealed")
def test_a_hold_and_its_removal_are_entries(account: Account) -> None:
    assert cli.run(["hold", "add", "--user", "ann@clinic.example", "--note", "case 17"]) == 0
    assert cli.run(["hold", "remove", "1", "--note", "settled"]) == 0
    chain = (account.folder.root / "evidence/chain.jsonl").read_text().splitlines()
    assert len(chain) == 3
    added, removed = (json.loads(path.read_text()) for path in sorted(account.folder.root.glob("evidence/events/*")))
    assert (added["event"], added["hold"], added["note"]) == ("hold-added", 1, "case 17")
    assert (removed["event"], removed["note"]) == ("hold-removed", "settled")
    assert added["by"] == removed["by"] != ""
    assert verify() == 0


@pytest.mark.usefixtures("sealed")
def test_a_new_key_is_signed_by_the_old_one(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    old = account.folder.seal_key.read_bytes()
    assert cli.run(["seal", "--new-key"]) == 0
    assert capsys.readouterr().out.startswith("The key was exchanged.")
    assert account.folder.seal_key.read_bytes() != old
    assert verify() == 0


def test_a_key_of_another_kind_or_with_open_access_is_refused(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fold(account.folder, response([call("a")], hours=1))
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN RSA PRIVATE KEY-----\n")
    key.chmod(0o600)
    monkeypatch.setenv("IPLUM_SEAL_KEY", str(key))
    assert cli.run(["seal"]) == 1
    assert f"error: cannot use the key {key}: it is not a private key in PEM form" in capsys.readouterr().err
    key.unlink()
    assert cli.run(["seal"]) == 0
    key.chmod(0o644)
    fold(account.folder, response([call("a"), call("b")], hours=2))
    assert cli.run(["seal"]) == 1
    assert "other users can read it. Run: chmod 600" in capsys.readouterr().err


def test_a_killed_seal_leaves_a_valid_chain(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    killed, entries = map(int, done.stdout.split())
    assert killed > 10
    assert entries > 10
