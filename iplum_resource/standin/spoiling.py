"""The faults of the service, as a request meets them on its way in and an answer on its way out."""

import time
from datetime import timedelta
from email.utils import format_datetime

from starlette.responses import Response

from iplum_resource.standin.authorization import read_clock
from iplum_resource.standin.refusal import Refused, fail
from iplum_resource.standin.stage import Play
from iplum_resource.standin.wire import CutShort

_ERROR_OBJECT = '{"errorCode":"ERR_SERVER","errorDescription":"Please try again later."}'
_ERROR_PAGE = "<html><body><h1>Down for maintenance</h1></body></html>"


def strike_connection(play: Play) -> bool:
    """Tell whether this request's connection is to be reset."""
    options = play.options
    return play.faults.strike("reset", first=options.reset_first, share=options.reset)


def limit_requests(play: Play) -> None:
    """Turn a request away that comes too soon, or that the server fails on (section Response Codes).

    Raises:
        Refused: 429, with Retry-After as the options say, or 500.

    """
    options = play.options
    wait = 1 if play.faults.strike("fail_429", first=options.fail_429_first) else 0
    if not wait and play.rate_limit is not None:
        wait = play.rate_limit.wait_for(time.monotonic())
    if wait:
        raise Refused(429, headers=_retry_after(play, wait))
    if play.faults.strike("fail_500", first=options.fail_500_first, share=options.fail_500):
        raise fail()


def _retry_after(play: Play, wait: int) -> dict[str, str]:
    match play.options.retry_after:
        case "seconds":
            return {"Retry-After": str(wait)}
        case "date":
            moment = read_clock(play.options) + timedelta(seconds=wait)
            return {"Retry-After": format_datetime(moment, usegmt=True)}
        case None:
            return {}


def spoil_answer(play: Play, response: Response, *, is_array: bool) -> Response:
    """Give the answer as it is, or what a fault makes of it; only arrays are replaced by something else."""
    options, strike = play.options, play.faults.strike
    body, media_type = bytes(response.body), response.media_type or ""
    if strike("cut", first=options.cut_first, share=options.cut):
        return CutShort(body, media_type)
    if strike("cut_chunked", first=options.cut_chunked_first):
        return CutShort(body, media_type, chunked=True)
    if not is_array:
        return response
    if strike("malformed", first=options.malformed_first):
        return Response(body[: len(body) // 2], media_type=media_type)
    if strike("error_object", first=options.error_object_first):
        return Response(_ERROR_OBJECT, media_type=media_type)
    if strike("html", first=options.html_first):
        return Response(_ERROR_PAGE, media_type="text/html")
    return response
