"""Fetching the URL that a caller names: only from hosts that the configuration names, and not at all by default."""

from __future__ import annotations

from typing import Final

from anyio import CapacityLimiter, to_thread

from rempart.errors import ConfigError, RemoteError
from rempart.net import AllowedHost, Client, Resolver
from rempart.net.hosts import Reach, is_address, parse, reach
from rempart.net.pinned import system_resolver
from rempart.settings import FetchSettings
from rempart.web.problems import Code, Problem

_REDIRECTS: Final = 3
_AT_ONCE: Final = 16
_SUCCESS: Final = 200
_PORTS: Final = (443, 80)


class Fetcher:
    """Fetches URLs by the guarded client (docs/network.md): resolved once, pinned, redirects checked, bytes counted."""

    def __init__(self, settings: FetchSettings, *, max_bytes: int, resolve: Resolver = system_resolver) -> None:
        """Take the hosts.

        Args:
            settings: which hosts, and how long one may take.
            max_bytes: size up to which an answer is read.
            resolve: gives the addresses of a name.

        Raises:
            ConfigError: a host is not written as ``name``, ``name:port`` or an address.
        """
        self._allowed = [host for text in settings.allow_hosts for host in allowed(text, settings)]
        self._known = {(host.name, host.port) for host in self._allowed}
        self._client = Client(self._allowed, resolve=resolve)
        self._seconds = settings.seconds
        self._max_bytes = max_bytes
        self._limiter: CapacityLimiter | None = None

    async def fetch(self, url: str) -> bytes:
        """The content behind a URL.

        Raises:
            Problem: nothing is fetched here, the host is not among those that may be asked, or it does not answer with
                status 200. What went wrong over there is not told, because that would let a caller probe our network.
        """
        if not self._allowed:
            raise Problem(Code.FETCH_DISABLED)
        target = parse(url)
        if target is None:
            raise Problem(Code.INVALID, "The URL is not a plain http or https URL.")
        if (target.host, target.port) not in self._known:
            raise Problem(Code.FETCH_REFUSED)
        if self._limiter is None:  # it belongs to the event loop, which runs only now
            self._limiter = CapacityLimiter(_AT_ONCE)
        return await to_thread.run_sync(self._get, url, limiter=self._limiter)

    def _get(self, url: str) -> bytes:
        try:
            answer = self._client.request(
                "GET", url, max_bytes=self._max_bytes, seconds=self._seconds, redirects=_REDIRECTS
            )
        except RemoteError:
            raise Problem(Code.FETCH_FAILED) from None
        if answer.status != _SUCCESS:
            raise Problem(Code.FETCH_FAILED)
        return answer.content


def allowed(text: str, settings: FetchSettings) -> list[AllowedHost]:
    """The hosts that one setting names: without a port, on both usual ones.

    Raises:
        ConfigError: it is no host.
    """
    target = parse(f"https://{text}/")
    if target is None or "/" in text:
        raise ConfigError("fetch.allow_hosts takes host names and addresses, with or without a port, such as host:8443")
    named_itself = is_address(target.host) and reach(target.host) is Reach.PRIVATE
    # A port stands behind the name if both schemes give the same one.
    plain = parse(f"http://{text}/")
    ports = (target.port,) if plain is not None and plain.port == target.port else _PORTS
    return [AllowedHost(target.host, port, private=settings.allow_private or named_itself) for port in ports]
