"""Atomic writing of files: permissions, concurrent readers, disk errors and abandoned files."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from warehouse.errors import StorageFailed
from warehouse.storage.atomic_files import Modes, create_folder, remove_abandoned, scratch_folder, write_file

DAY = 24 * 3600


def write(path: Path, content: bytes = b"content") -> None:
    write_file(path, content, Modes())


def test_a_file_and_its_folders_are_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write(path)
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in path.parents if folder.is_relative_to(tmp_path / "a")} == {
        0o700
    }


def test_a_configured_group_may_read_regardless_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_file(tmp_path / "a" / "file", b"", Modes(os.getgid()))
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "a" / "file").stat().st_mode & 0o777 == 0o640


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write(tmp_path / "file")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_reader_sees_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {bytes([letter]) * 200_000 for letter in b"ab"}
    write(path, min(contents))
    contents_read: set[bytes] = set()
    is_done = threading.Event()

    def read_repeatedly() -> None:
        while not is_done.is_set():
            contents_read.add(path.read_bytes())

    reader = threading.Thread(target=read_repeatedly)
    reader.start()
    for _ in range(20):
        for content in contents:
            write(path, content)
    is_done.set()
    reader.join()
    assert contents_read <= contents


def test_a_write_above_the_size_limit_fails_and_keeps_the_old_file(tmp_path: Path) -> None:
    write(tmp_path / "file", b"old")
    script = """
        import resource, signal, sys
        from pathlib import Path
        from warehouse.errors import StorageFailed
        from warehouse.storage.atomic_files import Modes, write_file
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            write_file(Path(sys.argv[1]), b"x" * 100_000, Modes())
        except StorageFailed as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "cannot write" in done.stdout
    assert "ulimit -f" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_full_disk_is_reported() -> None:
    """`/dev/full` rejects every write like a full disk."""
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space") as refused:
        full.write(b"x")
    text = str(StorageFailed.during("write", Path("/data/file"), refused.value))
    assert text.startswith("cannot write /data/file: the disk is full. Free some space")


def test_a_file_in_the_place_of_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(StorageFailed, match="a file is in the place of a folder"):
        write(tmp_path / "a" / "b" / "file")
    assert (tmp_path / "a").read_text() == "a file"


def test_a_folder_in_the_place_of_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file" / "inner").mkdir(parents=True)
    with pytest.raises(StorageFailed, match="cannot write"):
        write(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
@pytest.mark.parametrize("mode", [0o500, 0o400, 0o000])
def test_missing_permission_is_reported(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    try:
        for path in (tmp_path / "a" / "file", tmp_path / "a" / "b" / "file"):
            with pytest.raises(StorageFailed, match="no permission"):
                write(path)
    finally:
        (tmp_path / "a").chmod(0o700)


def test_a_file_name_that_is_too_long_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="file name too long"):
        create_folder(tmp_path / ("x" * 300) / "b", Modes())


def test_a_scratch_folder_is_private_and_removed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch_folder(tmp_path, Modes(os.getgid())) as scratch:  # noqa: PT012
        (scratch / "inner").mkdir()
        (scratch / "inner" / "file").write_text("rows")
        assert scratch.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_only_temporary_files_are_removed_and_only_after_a_day(tmp_path: Path) -> None:
    for name in (".tmp-file", "file", ".hidden"):
        (tmp_path / name).write_text("rows")
    (tmp_path / ".tmp-folder").mkdir()
    (tmp_path / ".tmp-folder" / "inner").write_text("rows")
    remove_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4, "another process may be writing them"
    remove_abandoned(tmp_path, now=lambda: time.time() + DAY + 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "file"]
