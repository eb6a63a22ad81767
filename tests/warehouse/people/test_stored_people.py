"""The people kept in the data folder follow the files; a broken file keeps what it said before."""

import os
from pathlib import Path

import pytest

from tests.support.raw_responses import create_folder
from warehouse.people.stored_people import load_directory, update_people
from warehouse.storage.paths import DataFolder


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return create_folder(tmp_path / "data")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("name,numbers,valid_from\nAnn Lee,4085550100,2025-01-01\nBo Ray,4085550101,\n")
    return path


def names(folder: DataFolder) -> list[str]:
    return [person.name for person in load_directory(folder, "US").people]


def test_the_directory_follows_the_file(folder: DataFolder, book: Path) -> None:
    assert names(folder) == []
    before = load_directory(folder, "US").version
    assert update_people(folder, [book]).is_changed
    assert names(folder) == ["Ann Lee", "Bo Ray"]
    assert load_directory(folder, "US").version != before
    assert not update_people(folder, [book]).is_changed
    book.write_text("name,numbers\nCarla,4085550102\n")
    assert update_people(folder, [book]).is_changed
    assert names(folder) == ["Carla"]
    assert update_people(folder, []).is_changed
    assert names(folder) == []


def test_the_stored_directory_equals_that_of_the_files(folder: DataFolder, book: Path) -> None:
    update = update_people(folder, [book])
    directory = load_directory(folder, "US")
    assert [(n.party, str(n.valid_from)) for n in directory.numbers] == [
        ("+14085550100", "2025-01-01"),
        ("+14085550101", "None"),
    ]
    assert update.problems == ()
    assert len(update.entries) == 2


@pytest.mark.parametrize("broken", [b"", b"\x00\x01", b"no,header\n1,2\n"])
def test_a_broken_file_keeps_its_people_and_is_reported(folder: DataFolder, book: Path, broken: bytes) -> None:
    other = book.with_name("other.csv")
    other.write_text("name,numbers\nDan,4085550103\n")
    update_people(folder, [book, other])
    book.write_bytes(broken)
    other.write_text("name,numbers\nEve,4085550103\n")
    update = update_people(folder, [book, other])
    assert update.kept_files == ("people.csv",)
    assert len(update.problems) == 1
    assert names(folder) == ["Ann Lee", "Bo Ray", "Eve"]


def test_a_file_that_is_gone_keeps_its_people_while_it_is_named(folder: DataFolder, book: Path) -> None:
    update_people(folder, [book])
    book.unlink()
    assert update_people(folder, [book]).kept_files == ("people.csv",)
    assert names(folder) == ["Ann Lee", "Bo Ray"]


def test_a_damaged_copy_is_replaced_by_the_next_update(folder: DataFolder, book: Path) -> None:
    update_people(folder, [book])
    (folder.root / "people.json").write_text("{")
    assert names(folder) == []
    update = update_people(folder, [book])
    assert [str(problem) for problem in update.problems] == [
        "people.json: the people of earlier publishes cannot be read"
    ]
    assert names(folder) == ["Ann Lee", "Bo Ray"]


def test_the_copy_is_readable_by_its_owner_only(folder: DataFolder, book: Path) -> None:
    update_people(folder, [book])
    assert os.stat(folder.root / "people.json").st_mode & 0o077 == 0  # noqa: PTH116
