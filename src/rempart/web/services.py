"""What a running service is made of; every route takes what it needs from here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.types import Scope

from rempart.clock import Clock, utc_now
from rempart.errors import RempartError
from rempart.lists.live import LiveBanks
from rempart.lists.signal_types import SignalTypes
from rempart.people import Allowance, Counter, Key, KeyRing
from rempart.prompts import PromptScreener
from rempart.settings import Settings
from rempart.store import Store
from rempart.web.decoders import Decoders
from rempart.web.fetch import Fetcher
from rempart.web.findings import Findings
from rempart.web.uploads import Uploads

STATE: Final = "rempart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that handlers share; made once for each process by :func:`running_services`.

    Attributes:
        live: the banks as they are now. A request takes ``live.matcher`` once.
        keyring: finds the key that a secret belongs to.
        allowance: how much a key may still ask.
        counter: counts look-ups.
        findings: hands matches on; each is kept before it is answered.
        signal_types: which types of signal clients of HMA may look up now.
        pool: the decoding children, asked from threads.
        uploads: reads uploaded files into memory, within the limits of all requests together.
        fetcher: fetches the URLs that callers name, if any host is allowed.
    """

    settings: Settings
    store: Store
    live: LiveBanks
    screener: PromptScreener
    keyring: KeyRing
    allowance: Allowance
    counter: Counter
    findings: Findings
    signal_types: SignalTypes
    pool: Decoders
    uploads: Uploads
    fetcher: Fetcher
    clock: Clock = utc_now

    def take_up(self) -> None:
        """Have the banks of this process take up what was just committed.

        A process that cannot read them now says so to look-ups, and takes the change up later.
        """
        with suppress(RempartError):
            self.live.refresh()


def services_of(scope: Scope) -> Services:
    """The services of the app that a request came to."""
    services: Services = scope["litestar_app"].state[STATE]
    return services


def key_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Key:
    """The key that a request came with.

    Raises:
        KeyError: the route is public, so nobody looked for one.
    """
    key: Key = connection.scope["state"]["key"]
    return key
