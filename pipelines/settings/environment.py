"""The environment: variables of the process and of `.env`, and Dagster's own variables."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from pipelines.settings.home import HOME
from pipelines.settings.parsers import SettingsError
from pipelines.settings.proxies import exclude_loopback

#: Set by the demo for its processes. They read neither `.env` nor `accounts.toml`, which may describe a real account.
DEMO = "IPLUM_DEMO"

# One planned event per asset of a run instead of one per window, which saves seconds in a year's sync. The UI then
# does not mark the windows of a failed run red; `iplum` names them, and they remain due.
_DAGSTER = {"DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true"}


def read_environment(environ: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return the variables of the process and of the `.env` file at `root`; the process wins.

    In the demo, those of the process only.
    """
    if environ.get(DEMO):
        return dict(environ)
    variables = read_env_file(root / ".env")
    if variables.get(HOME):
        raise SettingsError(
            f"{HOME} is in {root / '.env'}, the file that it locates. Set it in the environment instead"
        )
    variables.pop(DEMO, None)
    return {**variables, **environ}


def read_env_file(path: Path) -> dict[str, str]:
    """Read the variables of a `.env` file, if it exists. `${...}` in a value is not replaced.

    Raises `SettingsError`, which names the file and the line but never quotes it: it may contain a key.
    """
    variables: dict[str, str] = {}
    for line in parse_stream(io.StringIO(_read_text(path))):
        is_half_written = line.value is None and (line.key or "").startswith("IPLUM_")
        if line.error or is_half_written:
            text = line.original.string
            number = line.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            raise SettingsError(
                f"cannot read line {number} of {path}: it is not NAME=value, or a quote is not closed. Fix the line"
            )
        if line.key is not None and line.value is not None:
            variables[line.key] = line.value
    return variables


def _read_text(path: Path) -> str:
    if path.is_dir():
        return ""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        cause = (error.strerror or type(error).__name__).lower()
        raise SettingsError(f"cannot read {path}: {cause}. Let the user who runs this read it") from error
    try:
        text = content.decode("utf-8-sig")
        bad = text.find("\0")
        if bad < 0:
            return text
        before = text[:bad].encode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
    number = before.count(b"\n") + 1
    raise SettingsError(f"cannot read line {number} of {path}: it is not UTF-8 text. Save the file as UTF-8")


def adopt_environment(environ: Mapping[str, str]) -> None:
    """Set variables from `.env` in this process, where Dagster looks for them."""
    for name, value in {**_DAGSTER, **environ}.items():
        os.environ.setdefault(name, value)
    exclude_loopback(os.environ)
