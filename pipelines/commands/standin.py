"""`iplum standin`: the stand-in API on a socket, with a switch for each way in which a vendor can be difficult."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

_HISTORY, _DOCUMENT, _FAULTS, _MEDIA = "History", "What the document leaves open", "Faults", "Media"
_CALLBACKS = "Callbacks"


def _switch(text: str, panel: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=True)


def standin(
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    *,
    access_key: Annotated[str, typer.Option(help="The key that it knows.")] = "STANDINACCESSKEY",
    secret_key: Annotated[str, typer.Option(help="The secret that it knows.")] = "standin-secret",  # noqa: S107 invented
    login_id: Annotated[str, typer.Option(help="The administrator that it knows.")] = "admin@clinic.example",
    sign_login: Annotated[
        Literal["lower", "typed"], _switch("How it reads the login ID in a signature.", _DOCUMENT)
    ] = "lower",
    clock_offset: Annotated[float, _switch("Seconds that its clock is ahead.", _FAULTS)] = 0,
    seed: Annotated[int, _switch("Another seed is another history.", _HISTORY)] = 1,
    rows_per_day: Annotated[float, _switch("Usage rows a day.", _HISTORY)] = 30,
    users: Annotated[int, _switch("Users of the account, 1 to 500.", _HISTORY)] = 6,
    first_day: Annotated[datetime | None, _switch("Nothing happened before this day.", _HISTORY)] = None,
    purge_before: Annotated[datetime | None, _switch("What is older was deleted.", _HISTORY)] = None,
    late_rows: Annotated[float, _switch("Share of rows that show late.", _HISTORY)] = 0,
    late_by: Annotated[float, _switch("How late those are, in hours.", _HISTORY)] = 6,
    filter_by: Annotated[Literal["start", "end"], _switch("The time it filters by.", _DOCUMENT)] = "start",
    end_inclusive: Annotated[bool, _switch("Whether EndDate belongs to the range.", _DOCUMENT)] = True,
    row_cap: Annotated[int | None, _switch("Rows after which an answer is cut, silently.", _DOCUMENT)] = None,
    unknown_fields: Annotated[bool, _switch("Add fields that no document names.", _DOCUMENT)] = False,
    odd_rows: Annotated[bool, _switch("Add rows that are hard to read.", _DOCUMENT)] = False,
    content_as: Annotated[Literal["json", "plain"], _switch("How it sends a text's body.", _DOCUMENT)] = "json",
    refuse_types: Annotated[str, _switch("Usage types it refuses, comma-separated.", _DOCUMENT)] = "",
    usage_permission: Annotated[bool, _switch("Whether usage may be read.", _DOCUMENT)] = True,
    recording_plan: Annotated[bool, _switch("Whether calls are recorded.", _DOCUMENT)] = True,
    latency: Annotated[float, _switch("Seconds before each answer.", _FAULTS)] = 0,
    rate_limit: Annotated[float | None, _switch("Requests a second before 429.", _FAULTS)] = None,
    retry_after: Annotated[
        Literal["seconds", "date"] | None, _switch("The form of Retry-After with a 429.", _FAULTS)
    ] = None,
    fail_429_first: Annotated[int, _switch("Answer the first N with 429.", _FAULTS, "--fail-429-first")] = 0,
    fail_500: Annotated[float, _switch("Share answered with 500.", _FAULTS, "--fail-500")] = 0,
    fail_500_first: Annotated[int, _switch("Answer the first N with 500.", _FAULTS, "--fail-500-first")] = 0,
    fail_500_days: Annotated[
        str, _switch("Days that always fail with 500, comma-separated.", _FAULTS, "--fail-500-days")
    ] = "",
    fail_500_wider_than: Annotated[
        float | None, _switch("Hours beyond which a window fails with 500.", _FAULTS, "--fail-500-wider-than")
    ] = None,
    malformed_first: Annotated[int, _switch("Send the first N as broken JSON.", _FAULTS)] = 0,
    error_object_first: Annotated[int, _switch("Send an error object with the first N 200s.", _FAULTS)] = 0,
    html_first: Annotated[int, _switch("Send a web page for the first N.", _FAULTS)] = 0,
    reset: Annotated[float, _switch("Share of connections reset.", _FAULTS)] = 0,
    reset_first: Annotated[int, _switch("Reset the first N.", _FAULTS)] = 0,
    cut: Annotated[float, _switch("Share of bodies cut short.", _FAULTS)] = 0,
    cut_first: Annotated[int, _switch("Cut the first N bodies short.", _FAULTS)] = 0,
    cut_chunked_first: Annotated[int, _switch("The same without Content-Length.", _FAULTS)] = 0,
    push: Annotated[
        str | None, _switch("Base of the callback URIs; pushes to URL/usage and URL/recordings.", _CALLBACKS)
    ] = None,
    push_past: Annotated[float, _switch("Hours of the past to push at the start.", _CALLBACKS)] = 0,
    push_duplicates: Annotated[float, _switch("Share pushed twice.", _CALLBACKS)] = 0,
    push_reorder: Annotated[float, _switch("Share pushed late, after others.", _CALLBACKS)] = 0,
    push_drops: Annotated[float, _switch("Share never pushed.", _CALLBACKS)] = 0,
    media_base: Annotated[str | None, _switch("Base of the media URLs it gives; else its own.", _MEDIA)] = None,
    media_bytes: Annotated[int, _switch("Size of a file.", _MEDIA)] = 24_000,
    media_not_ready_first: Annotated[int, _switch("Files answered with 404 at first, N times.", _MEDIA)] = 0,
    media_cut: Annotated[float, _switch("Share of files cut short.", _MEDIA)] = 0,
    media_error_page: Annotated[float, _switch("Share of files swapped for an error page.", _MEDIA)] = 0,
) -> None:
    """Play the iPlum API on this machine, with invented rows that are the same whenever they are asked for.

    Its URL is printed first; it stops with Ctrl-C. Example: `iplum standin --row-cap 100 --latency 0.05`
    """
    given = {**locals()}
    from iplum_resource.standin import Options, serve

    given.update(
        clock_offset=timedelta(seconds=clock_offset),
        first_day=None if first_day is None else first_day.date(),
        purge_before=None if purge_before is None else purge_before.replace(tzinfo=UTC),
        late_by=timedelta(hours=late_by),
        push_past=timedelta(hours=push_past),
        refuse_types=frozenset(refuse_types.split(",")) - {""},
        fail_500_days=frozenset(_read_days(fail_500_days)),
        fail_500_wider_than=None if fail_500_wider_than is None else timedelta(hours=fail_500_wider_than),
    )
    names = {field.name for field in dataclasses.fields(Options)}
    try:
        options = Options(**{name: value for name, value in given.items() if name in names})
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    serve(options, host=host, port=port)


def _read_days(text: str) -> list[Any]:
    return [datetime.fromisoformat(day).date() for day in text.split(",") if day]
