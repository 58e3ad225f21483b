"""The service in this process, as tests of the native API ask it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from litestar import Litestar
from litestar.testing import TestClient
from tests.stores import Place

from rempart.people import Scope, create_key
from rempart.settings import MediaSettings, PromptSettings, Settings
from rempart.web.app import create_app
from rempart.web.running import running_services
from rempart.web.services import Services


class Caller:
    """Asks the app of some services, with keys that it makes.

    Attributes:
        all_scopes: the secret of a key that may do everything.
    """

    def __init__(self, services: Services, client: TestClient[Litestar]) -> None:
        self.services = services
        self.client = client
        self._numbers: dict[str, int] = {}
        self.all_scopes = self.key(*Scope)

    def key(self, *scopes: Scope, **limits: Any) -> str:  # noqa: ANN401 -- as create_key takes them
        """The secret of a new key."""
        key, secret = create_key(self.services.store, f"test-{secrets.token_hex(6)}", scopes, **limits)
        self._numbers[secret] = key.id
        return secret

    def number(self, secret: str) -> int:
        """The number of a key that was made here."""
        return self._numbers[secret]

    def ask(self, method: str, path: str, *, key: str = "", **more: Any) -> httpx.Response:  # noqa: ANN401 -- as httpx takes them
        """One request; ``more`` is as httpx takes it."""
        headers = dict(more.pop("headers", {}))
        if key:
            headers["authorization"] = f"Bearer {key}"
        return self.client.request(method, path, headers=headers, **more)


@contextlib.contextmanager
def calling(
    place: Place,
    *,
    on_alarm: Callable[[int, int], None] | None = None,
    **changed: Any,  # noqa: ANN401 -- as Settings takes them
) -> Iterator[Caller]:
    """The service on a database, once it has loaded what is there; ``changed`` are settings that a test wants."""
    settings = Settings(
        data_dir=str(place.folder),
        store=place.settings,
        prompts=PromptSettings(packs="canary"),
        media=MediaSettings(workers=1),
        **changed,
    )
    with running_services(settings, on_alarm=on_alarm) as services:
        deadline = time.monotonic() + 60
        while not services.live.ready:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with TestClient(create_app(services)) as client:
            yield Caller(services, client)
