"""Which hosts may be asked, and which addresses they may have."""

from __future__ import annotations

import ipaddress
import re
from enum import Enum, auto
from typing import Self
from urllib.parse import urlsplit

import msgspec

from rempart.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535
_URL = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")

_INSIDE = tuple(
    map(
        ipaddress.ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"),
    )
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Reach(Enum):
    """Where an address lies."""

    PUBLIC = auto()
    PRIVATE = auto()
    """This machine or its own network."""
    NEVER = auto()
    """Link-local (where clouds keep their credentials), multicast, reserved or obsolete: nothing is asked there."""


class Target(msgspec.Struct, frozen=True):
    """The parts of a URL that a request needs; made only by :func:`parse`."""

    scheme: str
    host: str
    """Lower-case name or address, an IPv6 address without brackets."""
    port: int
    path: str
    """Path and query, at least ``/``."""

    @property
    def netloc(self) -> str:
        """What the ``Host`` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class AllowedHost(msgspec.Struct, frozen=True):
    """A host that the configuration names: this name, this port, nothing else."""

    name: str
    """Lower-case name or address, an IPv6 address without brackets."""
    port: int = 443
    private: bool = False
    """Whether its addresses may lie on this machine or in its own network."""

    def __post_init__(self) -> None:
        """Refuse what no URL could ever name.

        Raises:
            ConfigError: the name is not in its plain form, or the port is none.
        """
        if not _is_host(self.name) or self.name != self.name.lower() or not 1 <= self.port <= _MAX_PORT:
            raise ConfigError("an allowed host needs a lower-case ASCII name or an address, and a port of 1 to 65535")

    @classmethod
    def of(cls, url: str, *, private: bool = False) -> Self:
        """The host and port of a configured URL.

        Raises:
            ConfigError: it is not an http or https URL of a plain host.
        """
        target = parse(url)
        if target is None:
            raise ConfigError("a remote address must look like https://host:port/path, without a user name in it")
        return cls(target.host, target.port, private)


def parse(url: str) -> Target | None:
    """Split a URL strictly; None when it is not http or https, holds a user name, or could be read in two ways."""
    if not _URL.fullmatch(url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc or not _is_host(host):
        return None
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, host, port, (parts.path or "/") + query) if port else None


def is_address(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 address, which needs no resolving."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def reach(address: str) -> Reach:
    """Where an address lies; an IPv4 address inside an IPv6 one counts as itself.

    Raises:
        ValueError: it is no address.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    if any(ip in network for network in _INSIDE):
        return Reach.PRIVATE
    if not ip.is_global or ip.is_multicast:
        return Reach.NEVER
    if isinstance(ip, ipaddress.IPv6Address) and (ip not in _GLOBAL_UNICAST or ip.sixtofour is not None):
        return Reach.NEVER
    return Reach.PUBLIC


def _is_host(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) or is_address(name)
