"""One process of the service: takes connections from the shared socket until it is told to stop.

The server (:mod:`rempart.web.server`) starts it with two descriptors: the listening socket, and a channel through which
it gets the settings and tells whether look-ups work. When the channel ends the server is gone, and so it stops too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import resource
import signal
import socket
import sys
import time
from email.utils import formatdate
from functools import partial
from typing import Any, Final

import msgspec
import uvicorn
import uvloop

from rempart.errors import ConfigError, ExitCode, RempartError
from rempart.settings import ServeSettings
from rempart.web import metrics
from rempart.web.app import create_app
from rempart.web.channel import EMPTY, READY, WAITING, Order
from rempart.web.connections import Connection, Listener, Shared
from rempart.web.logs import configure_logs, logger, place
from rempart.web.ops import not_ready
from rempart.web.problems import Code
from rempart.web.running import running_services
from rempart.web.services import Services

_LOOK_SECONDS: Final = 0.1
_SWEEP_SECONDS: Final = 1.0
_DRAIN_SECONDS: Final = 0.3
_SPARE_DESCRIPTORS: Final = 256


def run(listening: socket.socket, channel: socket.socket) -> None:
    """Serve until SIGTERM, SIGINT or the end of the channel; then finish what was accepted."""
    with channel.makefile("rb") as lines:
        order = msgspec.json.decode(lines.readline(), type=Order)
    settings = order.settings
    _raise_descriptors(settings.serve.connections)
    configure_logs()
    # Its warnings are about clients, who could fill the log with them.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def notice(line: str) -> None:
        logger().warning("lists", notice=line)

    def alarm(key: int, count: int) -> None:
        logger().warning("near_matches", key=key, count=count)

    with running_services(settings, processes=order.workers, notice=notice, on_alarm=alarm) as services:
        # What is there now stays to the end; a collection that looked through it would delay requests.
        gc.collect()
        gc.freeze()
        uvloop.run(_serve(services, listening, channel))


async def _serve(services: Services, listening: socket.socket, channel: socket.socket) -> None:
    limits = services.settings.serve
    shared = Shared(limits)
    config = configured(limits, create_app(services))
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    channel.setblocking(False)  # noqa: FBT003 -- its name says what it means
    loop.add_reader(channel, stop.set)  # nothing more is ever said on it: it has ended
    listener = Listener(listening, partial(Connection, config, shared, {}, loop), shared)
    keeping = loop.create_task(_keep(services, shared, channel))
    await stop.wait()
    loop.remove_reader(channel)
    listener.close()
    await _drain(shared)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


def configured(limits: ServeSettings, app: Any) -> uvicorn.Config:  # noqa: ANN401 -- any app of ASGI
    """How connections reach the app.

    Raises:
        ConfigError: a trusted proxy is neither an address nor a network.
    """
    for proxy in limits.trusted_proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:  # a name or a star would trust nobody, or everybody
            raise ConfigError(
                "serve.trusted_proxies takes addresses and networks, such as 10.0.0.7 or 10.0.0.0/8"
            ) from None
    config = uvicorn.Config(
        app,
        http=Connection,
        interface="asgi3",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(limits.trusted_proxies),
        forwarded_allow_ips=list(limits.trusted_proxies),
        timeout_keep_alive=max(1, round(limits.idle_seconds)),
    )
    config.load()
    return config


async def _keep(services: Services, shared: Shared, channel: socket.socket) -> None:
    """Until cancelled: say when readiness changes, end slow connections, and tell the time in answers."""
    told = b""
    swept = 0.0
    while True:
        lack = not_ready(services)
        state = READY if lack is None else EMPTY if lack is Code.NOTHING_TO_COMPARE else WAITING
        if state != told:
            with contextlib.suppress(OSError):  # the server has gone; that is noticed elsewhere
                channel.send(state)
            told = state
            metrics.READY.set(state == READY)
        now = asyncio.get_running_loop().time()
        if now - swept >= _SWEEP_SECONDS:
            swept = now
            shared.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
            metrics.CONNECTIONS.set(len(shared.connections))
            for connection in list(shared.connections):
                connection.check(now)  # type: ignore[union-attr]  # all of them are ours
        await asyncio.sleep(_LOOK_SECONDS)


async def _drain(shared: Shared) -> None:
    """Answer what has been accepted, within the time for it."""
    shared.draining = True
    # What clients have sent on open connections before they could know is answered too.
    await asyncio.sleep(_DRAIN_SECONDS)
    deadline = time.monotonic() + shared.limits.shutdown_seconds
    while (shared.connections or shared.tasks) and time.monotonic() < deadline:
        for connection in list(shared.connections):
            connection.close_idle()  # type: ignore[union-attr]  # all of them are ours
        await asyncio.sleep(0.02)
    for task in list(shared.tasks):
        task.cancel()
    for connection in list(shared.connections):
        connection.transport.abort()


def _raise_descriptors(connections: int) -> None:
    """Have room for all connections, and for files and children beside them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _SPARE_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def main() -> None:
    """Run as a process: the descriptors of the socket and of the channel are its arguments."""
    listening, channel = (socket.socket(fileno=int(text)) for text in sys.argv[1:])
    try:
        run(listening, channel)
    except RempartError as error:
        sys.stderr.write(f"rempart: {error}\n")
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 -- the edge of the process
        sys.stderr.write(f"rempart: internal error ({place(error)})\n")
        sys.exit(ExitCode.INTERNAL)


if __name__ == "__main__":
    main()
