"""One entry of a people file, and what could not be read there."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A person as a file describes them.

    `numbers` and `logins` are as written. The days are the first and last on which they belong to the person; None is
    open. `source` is the file's name, `line` where the entry begins. Its repr shows no personal data.
    """

    name: str = field(repr=False)
    numbers: tuple[str, ...] = field(default=(), repr=False)
    logins: tuple[str, ...] = field(default=(), repr=False)
    team: str | None = field(default=None, repr=False)
    reference: str | None = field(default=None, repr=False)
    note: str | None = field(default=None, repr=False)
    valid_from: date | None = None
    valid_until: date | None = None
    source: str
    line: int


@dataclass(frozen=True, order=True)
class Problem:
    """Something in a people file that needs attention: file, line (0 for the entire file), and cause, without names."""

    source: str
    line: int
    cause: str

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}: {self.cause}" if self.line else f"{self.source}: {self.cause}"


@dataclass(frozen=True)
class FileContent:
    """The entries of one file or of all, and the problems found there."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    format: str = ""
