"""The `.env` file as a person keeps it: some lines replaced, everything else left as it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pipelines.generate_docs import render_env_example
from warehouse.errors import StorageFailed
from warehouse.storage.atomic_files import Modes, write_file


def set_variables(path: Path, values: Mapping[str, str]) -> None:
    """Put variables into a `.env` file, whole or not at all, readable by its owner alone (0600).

    A file that is there keeps its other lines and comments; a new one begins as `.env.example`. Values stand bare,
    so they hold neither white space nor quotes around them. Raises `StorageFailed`.
    """
    target = path.resolve()  # a link stays a link
    try:
        text = target.read_text(encoding="utf-8") if target.exists() else render_env_example()
    except OSError as error:
        raise StorageFailed.during("read", target, error) from error
    for name, value in values.items():
        text = _set_line(text, name, f"{name}={value}")
    write_file(target, text.encode(), Modes())


def _set_line(text: str, name: str, line: str) -> str:
    """Replace each line that sets the variable; without one, stand below its commented default, or at the end."""
    lines = text.splitlines()
    setting = re.compile(rf"\s*(export\s+)?{name}\s*=")
    if any(setting.match(old) for old in lines):
        return "\n".join(line if setting.match(old) else old for old in lines) + "\n"
    default = next((place for place, old in enumerate(lines) if old.startswith(f"# {name}=")), None)
    lines.insert(len(lines) if default is None else default + 1, line)
    return "\n".join(lines) + "\n"
