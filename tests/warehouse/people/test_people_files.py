"""People files of each format, read into entries; files and rows that cannot be read are reported."""

from datetime import date
from pathlib import Path

import pytest

from warehouse.people.entry import Entry
from warehouse.people.people_files import list_people_files, read_people_file, read_people_files

FIXTURES = Path(__file__).parents[2] / "fixtures" / "people"

EXPECTED = {
    "people.csv": (
        "people",
        [
            ("Ann Lee", ["+14085550101"], ["ann@clinic.example"]),
            ("Dr. Bo Ray", ["(408) 555-0102", "408.555.0103"], ["bo@clinic.example"]),
            ("Carla Díaz", ["408-555-0201 x12"], []),
            ("Dan Fox", ["408-555-0201"], []),
        ],
    ),
    "iplum_users.csv": (
        "iPlum users",
        [("Ann Lee", ["+14085550101"], ["ann@clinic.example"]), ("Eve Sand", ["+14085550104"], ["eve@clinic.example"])],
    ),
    "iplum_contacts.csv": (
        "iPlum contacts",
        [("Gus Hill", ["+14085550301"], []), ("Ida", ["+14085550302"], ["ida@mail.example"])],
    ),
    "google.csv": (
        "Google Contacts",
        [
            ("Jo Q Kemp", ["+1 408-555-0401", "+1 408-555-0402", "(408) 555-0403"], ["jo@mail.example"]),
            ("Lab Services Inc", ["+1 408-555-0404"], []),
        ],
    ),
    "google_2020.csv": ("Google Contacts", [("Lena Marsh", ["+14085550405"], ["lena@mail.example"])]),
    "outlook.csv": (
        "Outlook",
        [("Max Nöhl", ["(408) 555-0502", "(408) 555-0501", "(408) 555-0503"], ["max@mail.example"])],
    ),
    "outlook_semicolons.csv": ("Outlook", [("Ola Pike", ["+14085550504"], [])]),
    "contacts_v3.vcf": (
        "vCard",
        [
            ("Rita Quin, PhD", ["+1 (408) 555-0601", "408-555-0602"], ["rita@mail.example"]),
            ("City Lab Intake", ["4085550603"], []),
        ],
    ),
    "contacts_v4.vcf": ("vCard", [("Sam Tor", ["tel:+1-408-555-0604;ext=12"], [])]),
    "contacts_v21.vcf": ("vCard", [("Jörgen Ünal", ["+14085550605"], [])]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_format_is_told_by_its_header_and_read(name: str) -> None:
    content = read_people_file(FIXTURES / name)
    entries = [(entry.name, list(entry.numbers), list(entry.logins)) for entry in content.entries]
    assert (content.format, entries) == EXPECTED[name]
    assert content.problems == ()


def test_every_fixture_is_expected() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == set(EXPECTED)


def test_our_own_format_has_team_reference_and_days() -> None:
    ann, _, carla, _ = read_people_file(FIXTURES / "people.csv").entries
    assert (ann.team, ann.reference, ann.valid_from, ann.line) == ("Front desk", None, None, 2)
    assert (carla.reference, carla.note, carla.line) == ("C-1001", "moved away", 4)
    assert (carla.valid_from, carla.valid_until) == (date(2025, 1, 1), date(2025, 6, 30))


def read(tmp_path: Path, content: bytes | str, name: str = "people.csv") -> tuple[list[str], list[str]]:
    """Return the names in a file and its problems."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = read_people_file(path)
    return [entry.name for entry in found.entries], [str(problem) for problem in found.problems]


def test_a_row_that_cannot_be_read_is_reported_with_its_line_and_the_others_are_read(tmp_path: Path) -> None:
    rows = ('"A\nB",1,,', ",2,,", "C,3,soon,", "D,4,2025-02-01,2025-01-01", "E,5,,,,x", "", "F,6,,")
    text = "\n".join(("name,numbers,valid_from,valid_until", *rows))
    names, problems = read(tmp_path, text)
    assert names == ["A B", "F"]
    assert problems == [
        "people.csv, line 4: the row has no name",
        "people.csv, line 5: valid_from is not a day such as 2025-01-31",
        "people.csv, line 6: valid_until is before valid_from",
        "people.csv, line 7: the row has 6 cells, the header 4",
    ]


def test_a_card_that_cannot_be_read_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    text = (
        "BEGIN:VCARD\nVERSION:3.0\nFN:Bad\nTHIS IS NO LINE\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:3.0\nTEL:4085550100\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:3.0\nFN:Not closed\nTEL:1\n"
        "BEGIN:VCARD\nVERSION:3.0\nFN:Good\nTEL:4085550101\nEND:VCARD\n"
    )
    names, problems = read(tmp_path, text, "x.vcf")
    assert names == ["Good"]
    assert problems == [
        "x.vcf, line 1: the card cannot be read",
        "x.vcf, line 6: the card has no name",
        "x.vcf, line 10: the card cannot be read",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "people.csv, line 1: the header is of no known format"),
        (b"a,b\n1,2\n", "people.csv, line 1: the header is of no known format"),
        (b"\x00\x01\x02", "people.csv: the file is not text"),
        (b"\xff\xfea", "people.csv: the file is not text"),
        (b"name,numbers\n\x81\x8d,1\n", "people.csv: the file is not text"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    names, problems = read(tmp_path, content)
    assert names == []
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    found = read_people_files([tmp_path / "none.csv"])
    assert [str(one) for one in found.problems] == ["none.csv: the file cannot be read: no such file or directory"]


def test_a_folder_gives_its_address_books_in_order_without_files_of_open_editors(tmp_path: Path) -> None:
    for name in ("b.CSV", "a.vcf", "notes.txt", ".~lock.b.csv#", "~$b.csv", ".hidden.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder.csv").mkdir()
    assert [path.name for path in list_people_files([tmp_path])] == ["a.vcf", "b.CSV"]


def test_an_entry_shows_no_personal_data() -> None:
    entry = Entry(name="Secret Name", numbers=("+14085550100",), logins=("a@b.example",), source="p.csv", line=2)
    assert repr(entry) == "Entry(valid_from=None, valid_until=None, source='p.csv', line=2)"
