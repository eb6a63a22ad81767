"""The commands of docs/operations.md for a server, run as pasted, with the root folder and its programs replaced."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iplum_resource.standin.server import Running
from pipelines import cli
from pipelines.settings import PROJECT
from tests.support.account import Account

PAGE = (PROJECT / "docs" / "operations.md").read_text()
#: Programs that change a whole machine or need a user that does not exist here.
PROGRAMS = {
    "sudo": 'if [ "$1" = -u ]; then shift 2; fi; exec "$@"',
    "useradd": 'mkdir -p "$ROOT/opt" "$ROOT/var/lib" "$ROOT/var/log" "$ROOT/etc/logrotate.d"',
    "git": '[ "$1" = -C ] || { mkdir -p "$3" && cp -R pipelines warehouse iplum_resource "$3"; }',
    "make": (
        'bin="$2/.venv/bin"; mkdir -p "$bin"; for each in "iplum -m pipelines.cli" "dagster -m dagster" python; do '
        "set -- $each; name=$1; shift; "
        'echo "#!/bin/sh\nPYTHONPATH=\'$bin/../..\' exec $PYTHON -P $* \\"\\$@\\"" > "$bin/$name"; '
        'chmod 755 "$bin/$name"; done'
    ),
    "systemctl": "exit 0",
    "chown": "exit 0",
    "crontab": 'if [ "$3" = - ]; then cat > "$ROOT/crontab"; else rm -f "$ROOT/crontab"; fi',
    "install": (
        'set -- $(echo "$*" | sed "s/-[og] iplum//g"); '
        'for last; do :; done; [ "$1" = -d ] || [ -d "$(dirname "$last")" ] || exit 1; exec /usr/bin/install "$@"'
    ),
}


class Server:
    """A server in a folder: `/` of the commands is `root`."""

    def __init__(self, root: Path, clone: Path) -> None:
        self.root, self.clone = root, clone
        programs = root / "programs"
        programs.mkdir(parents=True)
        for name, script in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.environ = {"PATH": path, "ROOT": str(root), "PYTHON": sys.executable, "HOME": str(root)}

    def run(self, name: str) -> str:
        """Run a block of the page in the clone."""
        (commands,) = re.findall(rf"<!-- run: {name} -->\n *```sh\n(.+?)```", PAGE, re.DOTALL)
        return self.run_line(self._move(commands))

    def run_cron(self) -> None:
        """Run the line that the crontab contains, from another folder, as cron does."""
        line = (self.root / "crontab").read_text()
        assert line.startswith("15 2 * * * ")
        self.run_line(line.removeprefix("15 2 * * * "), folder=self.root)

    def run_line(self, commands: str, *, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["sh", "-e", "-c", commands],
            cwd=folder or self.clone,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _move(self, commands: str) -> str:
        """Put the root folder in front of absolute paths."""
        moved = re.sub(r"(?<![\w.])/(opt|var|etc)/", rf"{self.root}/\1/", commands)
        return moved.replace("--directory /", f"--directory {self.root}")


@pytest.fixture
def clone(standin: Running, tmp_path: Path) -> Account:
    """Return an account on a desk with a `.env` and data; the folder `clone` is a clone on a server."""
    account = Account(standin, tmp_path / "desk")
    for name in ("pipelines", "warehouse", "iplum_resource", "deploy"):
        shutil.copytree(PROJECT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    account.set_options(rows_per_day=4)
    names = [name for name in account.environ if name != "IPLUM_DATA"]
    account.path.mkdir()
    (account.path / ".env").write_text("\n".join(f"{name}={account.environ[name]}" for name in names))
    return account


def test_a_server_is_installed_and_moved_as_the_page_states(
    clone: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in clone.environ.items():
        monkeypatch.setenv(name, value)
    assert clone.pull().failures == []
    rows = clone.query("SELECT count(*) FROM usage")
    assert cli.run(["hold", "add", "--user", "ann@clinic.example"]) == 0
    desk = Server(tmp_path / "at-desk", clone.path)
    desk.run("backup")
    old = Server(tmp_path / "old", tmp_path / "clone")
    (clone.path / "iplum-backup.tar.gz").rename(old.root / "iplum-backup.tar.gz")
    for block in ("desk restore", "install", "move data", "cron"):
        old.run(block)
    assert (old.root / "var" / "lib" / "iplum" / "holds.json").is_file()
    clone.server.requests.clear()
    old.run_cron()
    assert len(clone.server.requests) < 12, "the data was moved, so only the look-back is requested"
    log = (old.root / "var" / "log" / "iplum" / "sync.log").read_text()
    assert f"published {old.root}/var/lib/iplum/warehouse.duckdb" in log
    assert (old.root / "etc" / "logrotate.d" / "iplum").is_file()

    # On a real server, both folders have the same path.
    environment = old.root / "opt" / "iplum" / ".env"
    environment.write_text(environment.read_text().replace(str(old.root), str(tmp_path / "new")))
    old.run("server backup")
    assert not (old.root / "crontab").exists()
    new = Server(tmp_path / "new", tmp_path / "clone")
    install = re.findall(r"<!-- run: install -->\n```sh\n(.+?)```", PAGE, re.DOTALL)[0]
    new.run_line(new._move("".join(line for line in install.splitlines(keepends=True) if ".env" not in line)))
    shutil.rmtree(old.root / "var")
    assert new.run("server restore").rstrip().endswith("0 differences")
    assert new.run("server upgrade").rstrip().endswith("0 differences")
    counted = new.run_line(
        f"cd {new.root}/opt/iplum; .venv/bin/iplum sql 'SELECT count(*) AS n FROM usage' --format csv"
    )
    assert int(counted.split()[-1]) == rows[0][0]
