"""The four endpoints: from parameters to the answer that the document describes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from starlette.responses import Response

from iplum_resource.standin.content import parse_content
from iplum_resource.standin.identifiers import name_media
from iplum_resource.standin.options import Options
from iplum_resource.standin.parameters import Window, read_record_id, read_usage_kinds, read_window
from iplum_resource.standin.refusal import Refused, fail, refuse_request
from iplum_resource.standin.stage import Play


@dataclass(frozen=True, slots=True)
class Question:
    """Hold what a request asks, and where media URLs lead that answer it."""

    parameters: dict[str, Any]
    media_base: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Describe an endpoint to those who judge requests: its answer, its shape, its permission."""

    answer: Callable[[Play, Question], Response]
    is_array: bool
    is_permitted: Callable[[Options], bool]


def check_permission(play: Play, endpoint: Endpoint) -> None:
    """Turn away whoever lacks the plan or the permission (section Response Codes).

    Raises:
        Refused: 403.

    """
    if not endpoint.is_permitted(play.options):
        raise Refused(403)


def get_usage(play: Play, question: Question) -> Response:
    """List usage records (section Get Usage Records)."""
    kinds = read_usage_kinds(question.parameters, refused=play.options.refuse_types)
    window = _read_bearable_window(question.parameters, play.options)
    return _answer_array(play.history.list_rows("usage", window.start, end=window.end, kinds=kinds))


def get_recordings(play: Play, question: Question) -> Response:
    """List recording records (section Get Recording Records)."""
    window = _read_bearable_window(question.parameters, play.options)
    return _answer_array(play.history.list_rows("recordings", window.start, end=window.end))


def get_content(play: Play, question: Question) -> Response:
    """Give a text, or the URL of an attachment or fax (section Get Usage Content)."""
    row = play.history.find_row("usage", read_record_id(question.parameters))
    content = None if row is None else parse_content(row, seed=play.options.seed)
    if content is None:
        raise refuse_request("RecordID is not that of a text or fax.")
    if content.media_name is not None:
        return _answer_string(f"{question.media_base}/{content.media_name}", play.options)
    return _answer_string(content.text or "", play.options)


def get_recording_file(play: Play, question: Question) -> Response:
    """Give the URL of a recording's file (section Get Recording File)."""
    row = play.history.find_row("recordings", read_record_id(question.parameters))
    if row is None:
        raise refuse_request("RecordID is not that of a recording.")
    name = name_media(row["recordId"], "mp3", seed=play.options.seed)
    return _answer_string(f"{question.media_base}/{name}", play.options)


def _read_bearable_window(parameters: dict[str, Any], options: Options) -> Window:
    window = read_window(parameters)
    widest = options.fail_500_wider_than
    if widest is not None and window.end - window.start > widest:
        raise fail()
    for day in options.fail_500_days:
        midnight = datetime.combine(day, time.min, tzinfo=UTC)
        if window.start < midnight + timedelta(days=1) and window.end > midnight:
            raise fail()
    return window


def _answer_array(rows: list[str]) -> Response:
    return Response(f"[{','.join(rows)}]", media_type="application/json")


def _answer_string(text: str, options: Options) -> Response:
    if options.content_as == "plain":
        return Response(text, media_type="text/plain")
    return Response(json.dumps(text), media_type="application/json")


def _has_usage(options: Options) -> bool:
    return options.usage_permission


def _has_recordings(options: Options) -> bool:
    return options.recording_plan


ENDPOINTS = {
    "/usage/getusage": Endpoint(get_usage, is_array=True, is_permitted=_has_usage),
    "/usage/getcontent": Endpoint(get_content, is_array=False, is_permitted=_has_usage),
    "/callrecordings/getrecordings": Endpoint(get_recordings, is_array=True, is_permitted=_has_recordings),
    "/callrecordings/getrecordingfile": Endpoint(get_recording_file, is_array=False, is_permitted=_has_recordings),
}
