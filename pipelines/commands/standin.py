"""`iplum standin`: the stand-in API. Its options are built from `iplum_resource.standin.options`."""

import inspect
import os
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from iplum_resource.standin.options import Options
from pipelines.settings import exclude_loopback

_HINTS = get_type_hints(Options)


def standin(**given: Any) -> None:
    """Run a stand-in for the iPlum API on this machine, with generated records.

    The records are the same at each start with the same options. The first line printed is the URL. Stop it with
    Ctrl-C.

    Example: `iplum standin --row-cap 100 --latency 0.05`
    """
    from iplum_resource.standin.server import serve

    host, port, people = given.pop("host"), given.pop("port"), given.pop("people")
    try:
        options = Options(**{name: _parse(name, value) for name, value in given.items()})
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if people is not None:
        _write_people(options, people)
    exclude_loopback(os.environ)  # callbacks go to a receiver on this machine
    serve(options, host=host, port=port)


def _write_people(options: Options, path: Path) -> None:
    from iplum_resource.standin.people import format_people

    try:
        path.write_text(format_people(options), encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"cannot write {path}: {error.strerror}", param_hint="--people") from error


def _list_parameters() -> Iterator[inspect.Parameter]:
    yield _parameter("port", int, 8080, typer.Option(help="Port; 0 selects a free one."))
    yield _parameter("host", str, "127.0.0.1", typer.Option(help="Address to listen on."))
    people = typer.Option(help="Write the names of the generated users and clients to this file (CSV).")
    yield _parameter("people", Path | None, None, people)
    for option in fields(Options):
        if "help" in option.metadata:
            kind, default = _to_command_line(option.name, option.default, option.metadata["unit"])
            info = typer.Option(
                f"--{option.name.replace('_', '-')}"
                + (f"/--no-{option.name.replace('_', '-')}" if kind is bool else ""),
                help=option.metadata["help"],
                rich_help_panel=option.metadata["group"],
            )
            yield _parameter(option.name, kind, default, info)


def _parameter(name: str, kind: Any, default: Any, info: Any) -> inspect.Parameter:
    annotation = Annotated[kind, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _to_command_line(name: str, default: Any, unit: timedelta | None) -> tuple[Any, Any]:
    """Return the type and default of an option as typed: a number for a duration, comma-separated words for a set."""
    kind = _HINTS[name]
    if unit is not None:
        return (float, default / unit) if kind is timedelta else (float | None, None)
    if kind in (frozenset[str], frozenset[date]):
        return str, ""
    return (datetime | None, None) if kind in (date | None, datetime | None) else (kind, default)


def _parse(name: str, value: Any) -> Any:
    """Convert a command line value into the value of an option."""
    kind = _HINTS[name]
    unit = next(option.metadata["unit"] for option in fields(Options) if option.name == name)
    if value is not None and unit is not None:
        return value * unit
    if kind in (frozenset[str], frozenset[date]):
        (element,) = get_args(kind)
        words = [word for word in value.split(",") if word]
        return frozenset(words if element is str else map(date.fromisoformat, words))
    if isinstance(value, datetime):
        return value.date() if kind == date | None else value.replace(tzinfo=UTC)
    return value


_PARAMETERS = list(_list_parameters())
standin.__signature__ = inspect.Signature(_PARAMETERS)  # type: ignore[attr-defined] # read by typer
standin.__annotations__ = {one.name: one.annotation for one in _PARAMETERS}
