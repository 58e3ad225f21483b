"""What is said of a request that does not fit its description: where and what was expected, never what stood there."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import ValidationException
from litestar.types import ExceptionHandlersMap

from rempart.web.problems import Code, Problem, WrongPart, encoded, media_type

_HASHES: Final = ("pdq", "md5", "sha1", "sha256")
# Of what the decoder says only sentences that are made of our own words: others quote what was sent.
_OURS: Final = re.compile(r"(Expected|Object missing required field) .*", re.DOTALL)
_MOST: Final = 20


def _refused(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    found = error.extra if isinstance(error.extra, list) else []
    errors = [WrongPart(path=_path(one), message=_message(str(one.get("message", "")))) for one in found[:_MOST]]
    is_hash = bool(errors) and all(one.path.rpartition(".")[2] in _HASHES for one in errors)
    code = Code.INVALID_HASH if is_hash else Code.INVALID
    problem = Problem(code, "A part of the request is missing or wrong.", errors=errors)
    return Response(
        encoded(problem, request.scope),
        status_code=code.status,
        headers=problem.headers(),
        media_type=media_type(request.scope),
    )


def _path(one: dict[str, Any]) -> str:
    """Where it is: names of our own fields, and numbers of items."""
    path = str(one.get("key", ""))
    return path if re.fullmatch(r"[A-Za-z_.\[\]0-9-]{0,128}", path) else ""


def _message(text: str) -> str:
    if _OURS.fullmatch(text):
        return text
    if "unknown field" in text:
        return "There is a field that is not known here."
    return "It is not one of the possible values."


HANDLERS: Final[ExceptionHandlersMap] = {ValidationException: _refused}
