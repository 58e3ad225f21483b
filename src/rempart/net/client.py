"""The client: one request, one answer, or one line that says what was wrong."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urljoin

import httpcore2
import msgspec

from rempart.errors import ConfigError, RemoteError
from rempart.net.hosts import AllowedHost, Target, parse
from rempart.net.pinned import Deadline, PinnedBackend, Resolver, system_resolver

# Its debug lines quote headers, which may hold addresses and keys; a root logger set to DEBUG must not print them.
logging.getLogger("httpcore2").setLevel(logging.WARNING)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MIB = 1 << 20


class Response(msgspec.Struct, frozen=True):
    """What a host answered."""

    status: int
    content: bytes

    def __repr__(self) -> str:
        """The status and the size; the content may be anything."""
        return f"<Response {self.status}, {len(self.content)} bytes>"


class Client:
    """Asks configured hosts; make one and keep it, it may be shared by threads.

    Each request resolves anew, checks every address and connects to a checked one, over TLS with the host's name. It
    uses no proxy, whatever the environment says, keeps no cookie and no connection.
    """

    def __init__(
        self, allowed: Iterable[AllowedHost], *, ca_file: Path | None = None, resolve: Resolver = system_resolver
    ) -> None:
        """Take the list of hosts.

        Args:
            allowed: the hosts that may be asked; all others are refused before a name is resolved.
            ca_file: PEM file of the authorities to trust, instead of the system's.
            resolve: gives the addresses of a name.

        Raises:
            ConfigError: the authorities cannot be read.
        """
        self._allowed = {(host.name, host.port): host for host in allowed}
        self._resolve = resolve
        try:
            self._tls = ssl.create_default_context(cafile=ca_file)
        except OSError:  # an SSLError too
            raise ConfigError(f"cannot read the certificate authorities in {ca_file}: it must be a PEM file") from None

    def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes = b"",
        json: object = msgspec.UNSET,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = _MIB,
        seconds: float = 10.0,
        redirects: int = 0,
    ) -> Response:
        """Send a request and read the whole answer, whatever its status.

        Args:
            method: such as ``GET`` or ``POST``.
            url: http or https; its host and port must be allowed. Plain http goes only to private addresses.
            content: the body.
            json: a value to send as the body instead, encoded.
            headers: sent along; to another origin than the first they are not redirected.
            max_bytes: size up to which an answer is read; counted as it comes.
            seconds: time for everything together: resolving, connecting, redirects, the last byte.
            redirects: how many to follow, each checked like the first. Only GET and HEAD follow any; an unfollowed
                redirect is returned as it is.

        Raises:
            RemoteError: the host is not allowed or does not answer as it should. The message names no more than the
                host.
        """
        sent = {"accept-encoding": "identity", "connection": "close", "user-agent": "rempart"}
        if json is not msgspec.UNSET:
            content = msgspec.json.encode(json)
            sent["content-type"] = "application/json"
        given = dict(headers or {})
        target = parse(url)
        if target is None:
            raise RemoteError("the address to ask is not a plain http or https URL")
        if (target.host, target.port) not in self._allowed:
            raise RemoteError(f"{target.host} is not among the hosts that may be asked on port {target.port}")
        follow = redirects if method in {"GET", "HEAD"} else 0
        limits = _Limits(Deadline(seconds), seconds, max_bytes)
        for _ in range(follow + 1):
            response, location = self._exchange(method, target, sent | given, content, limits)
            if location is None or not follow:
                return response
            url = _joined(url, location)
            origin, target = target, self._redirected(target, url)
            if (origin.scheme, origin.netloc) != (target.scheme, target.netloc):
                given = {}
        raise RemoteError(f"{target.host} redirects more than {redirects} times")

    def _redirected(self, origin: Target, url: str) -> Target:
        """Where a redirect leads; its host is not told, because the answer chose it."""
        target = parse(url)
        if target is None or (target.host, target.port) not in self._allowed:
            raise RemoteError(f"{origin.host} redirects to a host that is not among those that may be asked")
        return target

    def _exchange(
        self, method: str, target: Target, headers: Mapping[str, str], content: bytes, limits: _Limits
    ) -> tuple[Response, str | None]:
        """One request on a connection of its own: the answer, and where it redirects to."""
        host = self._allowed[target.host, target.port]
        backend = PinnedBackend(host, plain=target.scheme == "http", resolve=self._resolve, deadline=limits.deadline)
        url = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
                pool.stream(
                    method, url, headers=[("host", target.netloc), *headers.items()], content=content or None
                ) as answer,
            ):
                body = _body(answer, host.name, limits.max_bytes)
        except TimeoutError:
            raise RemoteError(f"{host.name} took longer than {limits.seconds:g} s") from None
        except ssl.SSLCertVerificationError:
            raise RemoteError(f"{host.name} shows no certificate that is trusted for its name") from None
        except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError):
            raise RemoteError(f"{host.name} broke the connection off, or does not speak HTTP as it should") from None
        location = _header(answer, b"location") if answer.status in _REDIRECTS else None
        return Response(answer.status, body), location


class _Limits(msgspec.Struct, frozen=True):
    """How far a whole request may go."""

    deadline: Deadline
    seconds: float
    max_bytes: int


def _body(answer: httpcore2.Response, host: str, max_bytes: int) -> bytes:
    """Read the answer, giving up as soon as it is too long; what it says of its length is not relied on."""
    if (_header(answer, b"content-encoding") or "identity").lower() != "identity":
        raise RemoteError(f"{host} compresses its answer, though it was not asked to")
    body = bytearray()
    for chunk in answer.iter_stream():
        body += chunk
        if len(body) > max_bytes:
            raise RemoteError(f"{host} answers more than {max_bytes} bytes")
    return bytes(body)


def _joined(url: str, location: str) -> str:
    """The URL that a redirect names; empty when it names none."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def _header(answer: httpcore2.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), None)
