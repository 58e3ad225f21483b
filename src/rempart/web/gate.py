"""What every request passes before routing: it gets a number, its key is found, and it is counted when answered.

Nobody gets past here without a valid key, except to the public paths: unknown paths, wrong methods and broken requests
look the same to them, 401. A key may travel as ``Authorization: Bearer``, or for clients that cannot send headers as a
prefix of the path, ``/hma/k/<key>/m/lookup``; the prefix is cut off here, so that nothing behind ever sees or logs it.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Mapping
from typing import Final

from anyio import to_thread
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from litestar.types.asgi_types import HTTPResponseBodyEvent, HTTPResponseStartEvent

from rempart.people import Key
from rempart.web import metrics
from rempart.web.logs import log_failure, logger, request_fields
from rempart.web.problems import HMA_PREFIX, Code, Problem, as_problem, encoded, media_type
from rempart.web.services import Services

_KEY_PREFIX: Final = f"{HMA_PREFIX}/k/"
_BEARER: Final = b"bearer "
_LONGEST_SECRET: Final = 256
_AT_ROOT: Final = re.compile(r"/+([hmck]/|status$|status/|site-map$|openapi$|openapi/)")
_PLAIN: Final = {b"content-encoding": {b"", b"identity"}, b"transfer-encoding": {b"chunked"}}
_SERVER_ERROR: Final = 500


class Gate:
    """The outermost part of the app."""

    def __init__(
        self, app: ASGIApp, services: Services, public: frozenset[str], methods: Mapping[str, str] | None = None
    ) -> None:
        """Take what lies behind.

        Args:
            app: gets the requests that may go on.
            services: find keys and allowances.
            public: the paths that nobody needs a key for.
            methods: what each template of a path takes, as the header ``Allow`` says it; the framework's own answers to
                OPTIONS tell of a part of them only.
        """
        self._app = app
        self._services = services
        # HMA's own root ends in a slash, as every base URL may.
        self._public = public | {f"{HMA_PREFIX}/"} if HMA_PREFIX in public else public
        self._methods = methods or {}
        self._hma_at_root = services.settings.serve.hma_at_root
        self._boot = os.urandom(6).hex()
        self._number = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] != ScopeType.HTTP:
            raise TypeError("only HTTP is spoken here")
        started = time.perf_counter()
        request_id = f"{self._boot}{next(self._number):08x}"
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = _SERVER_ERROR

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if scope["method"] == "OPTIONS" and (allow := self._methods.get(scope.get("path_template", ""))):
                    headers = [(name, allow.encode() if name == b"allow" else value) for name, value in headers]
                # What is answered to a key is for nobody else, caches between included.
                headers += [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
                message["headers"] = headers
            await send(message)

        try:
            secret = take_secret(scope, hma_at_root=self._hma_at_root)
            try:
                if scope["path"] not in self._public:
                    key = await self._known(secret)
                    state["key"], state["key_id"] = key, key.id
                    _refuse_encoded(scope)
            except Exception as error:  # noqa: BLE001 -- whatever fails here, nobody gets in
                problem = as_problem(error)
                log_failure(error, problem.code, scope)
                await _send_problem(problem, scope, answer)
                return
            await self._app(scope, receive, answer)
        finally:
            self._account(scope, status, time.perf_counter() - started)

    async def _known(self, secret: str | None) -> Key:
        """The key, if it may ask now.

        Raises:
            Problem: there is none, or its allowance is used up.
            StoreError: it is not known here, and the database cannot be asked.
        """
        services = self._services
        if not secret:
            raise Problem(Code.UNAUTHENTICATED, "Send the key as Authorization: Bearer.")
        sure, key = services.keyring.known(secret)
        if not sure:
            key = await to_thread.run_sync(services.keyring.find, secret)
        if key is None:
            raise Problem(Code.UNAUTHENTICATED, "There is no such key, or it was revoked or has expired.")
        # Both answer from memory nearly always; a thread costs as much as the rest of a look-up.
        if services.allowance.ready(key):
            wait = services.allowance.take(key)
        else:
            wait = await to_thread.run_sync(services.allowance.take, key)
        if wait is not None:
            raise Problem(Code.TOO_MANY_REQUESTS, "The key has used up its allowance.", retry_after=wait)
        return key

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = str(scope.get("path_template", ""))
        metrics.requested(route, str(scope.get("method", "")), status, seconds)
        if status == _SERVER_ERROR or self._services.settings.serve.log_requests == "all":
            logger().info("request", status=status, ms=round(seconds * 1000, 1), **request_fields(scope))


def take_secret(scope: HTTPScope, *, hma_at_root: bool = False) -> str | None:
    """Take the key out of a request: nothing behind this sees it. A key in the path wins over the header.

    Under ``/hma`` repeated slashes count as one, because a client of HMA joins its paths so. ``hma_at_root`` says that
    HMA's paths are found without that prefix too.
    """
    headers = scope["headers"]
    found: str | None = None
    for name, value in headers:
        if name == b"authorization":
            scope["headers"] = [pair for pair in headers if pair[0] != b"authorization"]
            if value[: len(_BEARER)].lower() == _BEARER:
                found = value[len(_BEARER) :].strip().decode("latin-1")
            break
    path = scope["path"]
    if hma_at_root and _AT_ROOT.match(path):
        path = f"{HMA_PREFIX}/{path}"
    if path == HMA_PREFIX or path.startswith(f"{HMA_PREFIX}/"):
        path = _slashes(path)
        if path.startswith(_KEY_PREFIX):
            found, _, rest = path[len(_KEY_PREFIX) :].partition("/")
            path = f"{HMA_PREFIX}/{rest}"
        scope["path"] = path
        scope["raw_path"] = path.encode("utf-8", "surrogateescape")
    return found if found and len(found) <= _LONGEST_SECRET else None


def _slashes(path: str) -> str:
    return re.sub("//+", "/", path)


def _refuse_encoded(scope: HTTPScope) -> None:
    """Bodies are taken as they are: a few compressed bytes could stand for very many."""
    for name, value in scope["headers"]:
        plain = _PLAIN.get(name)
        if plain is not None and value.strip().lower() not in plain:
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, f"Send the body without {name.decode()}.")


async def _send_problem(problem: Problem, scope: HTTPScope, send: Send) -> None:
    body = encoded(problem, scope)
    headers = [(name.encode(), value.encode()) for name, value in problem.headers().items()]
    headers += [(b"content-type", media_type(scope).encode()), (b"content-length", str(len(body)).encode())]
    start: HTTPResponseStartEvent = {"type": "http.response.start", "status": problem.code.status, "headers": headers}
    rest: HTTPResponseBodyEvent = {
        "type": "http.response.body",
        "body": b"" if scope["method"] == "HEAD" else body,
        "more_body": False,
    }
    await send(start)
    await send(rest)
