"""The one way in which the stand-in says no."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response


class Refused(Exception):
    """Carry a refusal up to the place that answers; `code` is the document's errorCode, for 400 and 500."""

    def __init__(
        self,
        status: int,
        code: str = "",
        *,
        description: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}".rstrip())
        self.status = status
        self.code = code
        self.description = description
        self.headers = headers


def refuse_date(description: str) -> Refused:
    """Build the 400 of a date range that is not valid (section Error Codes)."""
    return Refused(400, "ERR_INVALID_DATE", description=description)


def refuse_request(description: str) -> Refused:
    """Build the 400 of parameters that are not valid (section Error Codes)."""
    return Refused(400, "ERR_INVALID_REQUEST", description=description)


def fail() -> Refused:
    """Build a 500; the document names no code for it."""
    return Refused(500, "ERR_SERVER", description="Server error. Contact us if this persists.")


def answer_refusal(refusal: Refused) -> Response:
    """Answer with the error model for 400 and 500 (section Error Response), else with the bare reason."""
    if refusal.status in (400, 500):
        model = {"errorCode": refusal.code, "errorDescription": refusal.description}
        return Response(json.dumps(model), refusal.status, refusal.headers, "application/json")
    return Response(HTTPStatus(refusal.status).phrase, refusal.status, refusal.headers, "text/plain")
