"""What a request with many items costs: one of the key's allowance for each, the first of which the gate has taken."""

from __future__ import annotations

from anyio import to_thread

from rempart.web.problems import Code, Problem
from rempart.web.services import key_of, services_of
from rempart.web.v1.writes import AnyRequest


async def take_more(request: AnyRequest, count: int) -> None:
    """Count further items against what the key may ask.

    Raises:
        Problem: its allowance is used up.
    """
    if count <= 0:
        return
    allowance, key = services_of(request.scope).allowance, key_of(request)
    if allowance.ready(key, count):
        wait = allowance.take(key, count)
    else:
        wait = await to_thread.run_sync(allowance.take, key, count)
    if wait is not None:
        raise Problem(Code.TOO_MANY_REQUESTS, "The key has used up its allowance.", retry_after=wait)
