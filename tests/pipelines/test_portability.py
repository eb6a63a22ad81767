"""Systems without modules, file modes or a sync of folders that Linux has: Windows, macOS and network shares."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.doctor.machine import diagnose_folder
from pipelines.settings import PROJECT, SettingsError, load_settings
from warehouse.errors import StorageFailed
from warehouse.storage.atomic_files import Modes, write_file
from warehouse.storage.ownership import get_user

#: Modules that Python on Windows lacks.
UNIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios")
SCRIPT = f"""
import sys
sys.modules.update(dict.fromkeys({UNIX_ONLY!r}))
import pipelines, pipelines.run_locks, pipelines.receiver.server, warehouse.storage.ownership
from pipelines import cli
sys.exit(cli.run(["--help"]))
"""


def test_the_command_line_works_without_the_modules_of_unix(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: iplum" in done.stdout


def test_a_group_is_refused_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grp", None)
    assert load_settings({}, tmp_path).file_group is None
    with pytest.raises(SettingsError, match="IPLUM_FILE_GROUP must be empty: this system has no groups"):
        load_settings({"IPLUM_FILE_GROUP": "staff"}, tmp_path)


def test_a_system_without_user_ids_has_one_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "geteuid")
    assert get_user() == 0


def raise_error(code: int) -> None:
    raise OSError(code, os.strerror(code))


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EPERM])
def test_files_are_written_where_folders_cannot_be_synced_and_have_no_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: raise_error(code) if Path(f"/proc/self/fd/{fd}").is_dir() else sync(fd))
    monkeypatch.setattr(Path, "chmod", lambda *_: raise_error(code))
    write_file(tmp_path / "folder" / "file", b"content", Modes())
    assert (tmp_path / "folder" / "file").read_bytes() == b"content"


def test_a_disk_error_of_a_sync_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: raise_error(errno.EIO))
    with pytest.raises(StorageFailed, match="cannot write"):
        write_file(tmp_path / "file", b"content", Modes())


def test_the_doctor_reports_a_filesystem_without_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings({"IPLUM_DATA": str(tmp_path)}, tmp_path)
    tmp_path.chmod(0o700)
    assert "modes" not in str([*diagnose_folder(settings)])
    monkeypatch.setattr(os, "fchmod", lambda *_: raise_error(errno.EPERM))
    (line,) = [line for line in diagnose_folder(settings) if "modes" in line.found]
    assert line.found == f"{tmp_path} cannot have file modes: other users of this machine may read the data"
