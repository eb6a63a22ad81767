"""The people files of an office: which files there are, their encoding, and their entries."""

import codecs
from collections.abc import Sequence
from pathlib import Path

from warehouse.people.csv_formats import read_csv
from warehouse.people.entry import Entry, FileContent, Problem
from warehouse.people.vcard import read_vcards

_SUFFIXES = (".csv", ".vcf")
_LARGEST_FILE = 64 * 1024 * 1024
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def list_people_files(paths: Sequence[Path]) -> list[Path]:
    """List the files: each file that is named, and the `.csv` and `.vcf` files of each folder, by name."""
    files: list[Path] = []
    for path in paths:
        try:
            files += sorted(one for one in path.iterdir() if _is_address_book(one)) if path.is_dir() else [path]
        except PermissionError:
            # Reading it as a file reports the cause.
            files.append(path)
    return files


def _is_address_book(path: Path) -> bool:
    # Spreadsheets put `~$people.csv` or `.~lock.people.csv#` next to an open file.
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith((".", "~")) and path.is_file()


def read_people_files(paths: Sequence[Path]) -> FileContent:
    """Read all files of `paths`; a file that cannot be read is a problem, never an error."""
    contents = [read_people_file(path) for path in list_people_files(paths)]
    entries: tuple[Entry, ...] = tuple(entry for content in contents for entry in content.entries)
    return FileContent(entries, tuple(problem for content in contents for problem in content.problems))


def read_people_file(path: Path) -> FileContent:
    """Read one file in any of the formats."""
    source = path.name
    try:
        content = path.read_bytes()
    except OSError as error:
        cause = (error.strerror or type(error).__name__).lower()
        return FileContent(problems=(Problem(source, 0, f"the file cannot be read: {cause}"),))
    if len(content) > _LARGEST_FILE:
        return FileContent(problems=(Problem(source, 0, "the file is larger than 64 MiB"),))
    text = _decode(content)
    if text is None or "\0" in text:
        return FileContent(problems=(Problem(source, 0, "the file is not text"),))
    is_vcard = text.lstrip().upper().startswith("BEGIN:VCARD")
    return read_vcards(text, source) if is_vcard else read_csv(text, source)


def _decode(content: bytes) -> str | None:
    """Decode UTF-8 or UTF-16 with a byte order mark, UTF-8 without, else Windows-1252, which Excel writes."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    for candidate in [encoding] if encoding else ["utf-8", "cp1252"]:
        try:
            return content.decode(candidate)
        except UnicodeDecodeError:
            continue
    return None
