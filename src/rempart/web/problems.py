"""What can go wrong in a request, in one closed list, and how it is said: RFC 9457, with codes that never change.

Under ``/hma`` the same object also has ``message``, which is what clients of HMA read.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, Self

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.types import ExceptionHandlersMap, Scope
from msgspec import UNSET, UnsetType

from rempart.errors import (
    BankError,
    ConfigError,
    NothingToCompareError,
    RempartError,
    UnavailableError,
    UsageError,
)
from rempart.web.logs import log_failure

MEDIA_TYPE: Final = "application/problem+json"
HMA_PREFIX: Final = "/hma"


class Code(StrEnum):
    """What a client can rely on: the code, the HTTP status that goes with it, and what it means."""

    status: int
    meaning: str

    def __new__(cls, value: str, status: int, meaning: str) -> Self:
        """Keep status and sentence beside the code, so that answers and docs cannot drift from it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        member.meaning = meaning
        return member

    INVALID = "invalid", 400, "The request cannot be understood."
    INVALID_HASH = "invalid_hash", 400, "A hash has the wrong length or alphabet."
    FETCH_FAILED = "fetch_failed", 400, "The URL could not be fetched."
    UNSCANNABLE = "unscannable", 400, "The file cannot be compared; the detail says why."
    UNAUTHENTICATED = "unauthenticated", 401, "A valid key is needed."
    FORBIDDEN = "forbidden", 403, "The key may not do this."
    DISTANCE_FORBIDDEN = "distance_forbidden", 403, "The key may not see distances."
    ALREADY_THERE = "already_there", 403, "There is one of this name already."
    FETCH_DISABLED = "fetch_disabled", 403, "URLs are not fetched here: fetch.allow_hosts names no host."
    FETCH_REFUSED = "fetch_refused", 403, "The host of the URL is not among those that may be asked."
    NOT_FOUND = "not_found", 404, "There is no such thing."
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "The method is not allowed here."
    TOO_SLOW = "too_slow", 408, "The request took too long to arrive."
    CONFLICT = "conflict", 409, "It contradicts what is there."
    IDEMPOTENCY_CONFLICT = "idempotency_conflict", 409, "This idempotency key was used for another request."
    TOO_LARGE = "too_large", 413, "The request is larger than the limit."
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, "The content type or encoding is not accepted here."
    INCOMPLETE = "incomplete", 422, "A part of the request is missing or of the wrong type."
    TOO_MANY_REQUESTS = "too_many_requests", 429, "The key has used up its allowance."
    HEADERS_TOO_LARGE = "headers_too_large", 431, "The request line and headers are larger than the limit."
    INTERNAL = "internal", 500, "Something went wrong inside; the request id finds it in the log."
    OVERLOADED = "overloaded", 503, "There is too much to do; try again."
    UNAVAILABLE = "unavailable", 503, "Something that is needed is not available; try again."
    NOTHING_TO_COMPARE = "nothing_to_compare", 503, "No blocking bank holds anything, so nothing was compared."


_BY_STATUS: Final = {
    code.status: code
    for code in (
        Code.INVALID,
        Code.UNAUTHENTICATED,
        Code.FORBIDDEN,
        Code.NOT_FOUND,
        Code.METHOD_NOT_ALLOWED,
        Code.CONFLICT,
        Code.TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.TOO_MANY_REQUESTS,
        Code.UNAVAILABLE,
    )
}
_RETRIED: Final = frozenset((Code.OVERLOADED, Code.UNAVAILABLE))


class WrongPart(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong part of a request.

    Attributes:
        path: where it is.
        message: what was expected there; never what stood there.
    """

    path: str
    message: str


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, as RFC 9457 has it.

    Attributes:
        type: the code once more, as a URN.
        title: what the code means.
        status: the HTTP status.
        code: what a program can rely on; it never changes.
        detail: what to do about it, for a person.
        errors: where the request is wrong.
        request_id: finds the request in the log.
        message: the same as detail or title, for clients of HMA.
    """

    type: str
    title: str
    status: int
    code: Code
    detail: str | UnsetType = UNSET
    errors: list[WrongPart] | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Problem(Exception):  # noqa: N818 -- RFC 9457's word, and what clients see
    """Raise it anywhere in a request; the client gets it as ``application/problem+json``."""

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        retry_after: float | None = None,
        errors: Sequence[WrongPart] = (),
        allow: str = "",
    ) -> None:
        """Say what is wrong.

        Args:
            code: which of the closed list.
            detail: what to do about it, for a person; it never quotes content.
            retry_after: seconds after which to try again.
            errors: the wrong parts of the request.
            allow: the methods that the path knows, when it was asked by another one.
        """
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.retry_after = 1.0 if retry_after is None and code in _RETRIED else retry_after
        self.errors = errors
        self.allow = allow

    def headers(self) -> dict[str, str]:
        """What goes beside the body."""
        headers = {} if self.retry_after is None else {"retry-after": str(max(1, round(self.retry_after + 0.5)))}
        if self.code is Code.UNAUTHENTICATED:
            headers["www-authenticate"] = "Bearer"
        if self.allow:
            headers["allow"] = self.allow
        return headers

    def body(self, scope: Scope) -> ProblemBody:
        """The object of RFC 9457, for the path that was asked."""
        return ProblemBody(
            type=f"urn:rempart:problem:{self.code}",
            title=self.code.meaning,
            status=self.code.status,
            code=self.code,
            detail=self.detail or UNSET,
            errors=list(self.errors) or UNSET,
            request_id=scope.get("state", {}).get("request_id") or UNSET,
            message=self.detail or self.code.meaning if speaks_hma(scope) else UNSET,
        )


def speaks_hma(scope: Scope) -> bool:
    """Whether the client asked under the paths of HMA."""
    path = scope["path"]
    return path == HMA_PREFIX or path.startswith(f"{HMA_PREFIX}/")


def media_type(scope: Scope) -> str:
    """Clients of HMA look for plain JSON."""
    return "application/json" if speaks_hma(scope) else MEDIA_TYPE


def encoded(problem: Problem, scope: Scope) -> bytes:
    """The body of the answer."""
    return msgspec.json.encode(problem.body(scope))


def as_problem(error: Exception) -> Problem:
    """What to tell a client about an exception: never the text of an unforeseen one, for it may quote content."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_framework(error)
    if isinstance(error, NothingToCompareError):
        return Problem(Code.NOTHING_TO_COMPARE)
    if isinstance(error, UnavailableError):
        return Problem(Code.UNAVAILABLE)  # its text names files and hosts of ours
    if isinstance(error, BankError) or (isinstance(error, UsageError) and not isinstance(error, ConfigError)):
        return Problem(Code.INVALID, str(error))
    return Problem(Code.INTERNAL)


def _of_framework(error: HTTPException) -> Problem:
    code = _BY_STATUS.get(error.status_code)
    if isinstance(error, ValidationException):
        extra = error.extra if isinstance(error.extra, list) else []
        errors = [WrongPart(path=str(one.get("key", "")), message=str(one.get("message", ""))) for one in extra]
        return Problem(Code.INVALID, "A part of the request is missing or wrong.", errors=errors)
    if isinstance(error, NotFoundException):
        return Problem(Code.NOT_FOUND, "There is nothing at this path.")
    if code is not None:
        return Problem(code, allow=(error.headers or {}).get("allow", ""))
    return Problem(Code.INVALID if error.status_code < 500 else Code.INTERNAL)  # noqa: PLR2004


def _answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem = as_problem(error)
    log_failure(error, problem.code, request.scope)
    return Response(
        encoded(problem, request.scope),
        status_code=problem.code.status,
        headers=problem.headers(),
        media_type=media_type(request.scope),
    )


HANDLERS: Final[ExceptionHandlersMap] = {Exception: _answer, HTTPException: _answer, RempartError: _answer}
