"""vCard files (`.vcf`), versions 2.1, 3 and 4, read by vobject."""

import re
from collections.abc import Iterator

import vobject
from vobject.base import VObjectError

from warehouse.people.entry import Entry, FileContent, Problem

_BEGIN = re.compile(r"\s*BEGIN\s*:\s*VCARD\s*$", re.IGNORECASE)
_END = re.compile(r"\s*END\s*:\s*VCARD\s*$", re.IGNORECASE)


def read_vcards(text: str, source: str) -> FileContent:
    """Read the cards of a file; a card that cannot be read is a problem, and the others are read.

    A card's name is its `FN`, else its `N`, else its `ORG`.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    for line, card in _split_cards(text):
        try:
            entry = _read_card(card, source, line)
        except (VObjectError, ValueError, AttributeError, IndexError):
            # vobject's text would quote the card. Some malformed lines reach its attribute access.
            problems.append(Problem(source, line, "the card cannot be read"))
            continue
        if entry is None:
            problems.append(Problem(source, line, "the card has no name"))
        else:
            entries.append(entry)
    if not entries and not problems:
        problems.append(Problem(source, 0, "there is no vCard in it"))
    return FileContent(tuple(entries), tuple(problems), "vCard")


def _split_cards(text: str) -> Iterator[tuple[int, str]]:
    """Yield each card with the number of its first line; a card that is not closed ends where the next begins."""
    lines: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        if _BEGIN.match(line):
            if lines:
                yield first, "\n".join(lines)
            lines, first = [], number
        elif not lines:
            continue
        lines.append(line)
        if _END.match(line):
            yield first, "\n".join(lines)
            lines = []
    if lines:
        yield first, "\n".join(lines)


def _read_card(text: str, source: str, line: int) -> Entry | None:
    # vobject folds quoted-printable lines (version 2.1) only where it is asked to.
    card = vobject.readOne(text, allowQP=True)
    contents = card.contents
    names = (" ".join(_text(one).split()) for kind in ("fn", "n", "org") for one in contents.get(kind, []))
    name = next(filter(None, names), "")
    if not name:
        return None
    return Entry(
        name=name,
        numbers=tuple(_list(contents.get("tel", []))),
        logins=tuple(_list(contents.get("email", []))),
        source=source,
        line=line,
    )


def _text(line: vobject.base.ContentLine) -> str:
    value = line.value
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _list(lines: list[vobject.base.ContentLine]) -> Iterator[str]:
    yield from (text for one in lines if (text := _text(one).strip()))
