"""The one guarded way out: only configured hosts, pinned addresses, counted bytes, limited time."""

from __future__ import annotations

from rempart.net.client import Client, Response
from rempart.net.hosts import AllowedHost
from rempart.net.pinned import Resolver

__all__ = ["AllowedHost", "Client", "Resolver", "Response"]
