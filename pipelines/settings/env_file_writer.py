"""Writing `.env`, and rendering `.env.example`."""

import re
from collections.abc import Mapping
from pathlib import Path

from pipelines.settings.settings import VARIABLES
from warehouse.errors import StorageFailed
from warehouse.storage.atomic_files import Modes, write_file

_HEADER = (
    "# Copy this file to .env and fill in the first three lines. Values after a # are the defaults.",
    "# Write values without quotes or spaces.",
    "# After a change, restart what runs all the time: 'iplum ui' (or its services) and 'iplum receiver'.",
    "",
)


def render_env_example() -> str:
    """Return `.env.example`: every variable with its description and default."""
    lines = list(_HEADER)
    for variable in VARIABLES:
        lines.append(f"# {variable.description}")
        lines.append(f"{'# ' if variable.default else ''}{variable.name}={variable.default}")
        lines.append("")
    return "\n".join(lines)


def set_variables(path: Path, values: Mapping[str, str]) -> None:
    """Set variables in a `.env` file atomically, with mode 0600; raises `StorageFailed`.

    Other lines and comments of an existing file are kept; a new file starts as `.env.example`. Values are written
    without quotes, so they must not start or end with white space or quotes.
    """
    target = path.resolve()  # a symbolic link is kept
    try:
        text = target.read_text(encoding="utf-8") if target.exists() else render_env_example()
    except OSError as error:
        raise StorageFailed.during("read", target, error) from error
    for name, value in values.items():
        text = _set_line(text, name, f"{name}={value}")
    write_file(target, text.encode(), Modes())


def _set_line(text: str, name: str, line: str) -> str:
    """Replace each line that sets the variable; else insert one below its commented default, or at the end."""
    lines = text.splitlines()
    setting = re.compile(rf"\s*(export\s+)?{name}\s*=")
    if any(setting.match(old) for old in lines):
        return "\n".join(line if setting.match(old) else old for old in lines) + "\n"
    default = next((place for place, old in enumerate(lines) if old.startswith(f"# {name}=")), None)
    lines.insert(len(lines) if default is None else default + 1, line)
    return "\n".join(lines) + "\n"
