"""How the description of the interface tells what can go wrong, which the framework cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from typing import Final

from litestar.openapi import ResponseSpec

from rempart.web.problems import MEDIA_TYPE, Code, ProblemBody

FETCHING: Final = (Code.FETCH_FAILED, Code.FETCH_DISABLED, Code.FETCH_REFUSED)
"""What can go wrong with a URL."""

_ALWAYS: Final = (
    Code.INVALID,
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.TOO_MANY_REQUESTS,
    Code.HEADERS_TOO_LARGE,
    Code.OVERLOADED,
    Code.UNAVAILABLE,
)
_OF_BODIES: Final = (Code.TOO_SLOW, Code.TOO_LARGE)
_OF_WRITES: Final = (Code.CONFLICT, Code.IDEMPOTENCY_CONFLICT)


def problems(
    *codes: Code, body: bool = False, write: bool = False, media_type: str = MEDIA_TYPE
) -> Mapping[int, ResponseSpec]:
    """The ``responses`` of a route that takes a key.

    Args:
        codes: what can go wrong there beside what can go wrong anywhere.
        body: whether it takes one.
        write: whether it can be sent again with an idempotency key.
        media_type: of the answers.
    """
    possible = {*codes, *_ALWAYS, *(_OF_BODIES if body else ()), *(_OF_WRITES if write else ())}
    ordered = [code for code in Code if code in possible]
    return {
        status: ResponseSpec(
            ProblemBody,
            generate_examples=False,
            description=" ".join(f"`{code}`: {code.meaning}" for code in group),
            media_type=media_type,
        )
        for status, group in groupby(ordered, attrgetter("status"))
    }
