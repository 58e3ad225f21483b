"""Starting and stopping what a process of the service is made of."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import numpy as np

from rempart.clock import Clock, utc_now
from rempart.hashing import HASH_BYTES
from rempart.lists import FloodWatch
from rempart.lists.live import LiveBanks
from rempart.lists.signal_types import SignalTypes
from rempart.matching import FloodRule
from rempart.matching.bank import DEFAULT_RADIUS
from rempart.matching.index import HashIndex
from rempart.matching.segment import SMALL
from rempart.people import Allowance, Counter, KeyRing
from rempart.people.ticker import Ticker
from rempart.prompts import PromptScreener
from rempart.settings import Settings
from rempart.store import open_store
from rempart.web.decoders import Decoders
from rempart.web.fetch import Fetcher
from rempart.web.findings import Findings
from rempart.web.services import Services
from rempart.web.uploads import Uploads

_FLUSH_SECONDS: Final = 1.0
_LEAST_CHILDREN: Final = 2
_REREAD_SECONDS: Final = 0.5


@contextlib.contextmanager
def running_services(
    settings: Settings,
    *,
    processes: int = 1,
    clock: Clock = utc_now,
    notice: Callable[[str], None] | None = None,
    on_alarm: Callable[[int, int], None] | None = None,
) -> Iterator[Services]:
    """The services of one process, running; they end with the ``with``, and what was counted is written before.

    Args:
        settings: everything that is set.
        processes: how many processes share this machine's cores, and with them the decoding children.
        clock: the time.
        notice: told in one line what whoever runs the service should know.
        on_alarm: told of a key that asks about very many near hits: its number, and how many in an hour.

    Raises:
        ConfigError: something is set that cannot be.
        PackError: a prompt pack is broken.
        StoreError: the database cannot be used.
    """
    # At least two, however few cores there are for this process: behind the only one a long video would hold up all.
    shared = settings.media.workers or max(len(os.sched_getaffinity(0)), _LEAST_CHILDREN * processes)
    children = max(1, shared // processes)
    media = msgspec.structs.replace(settings.media, workers=children)
    with contextlib.ExitStack() as running:
        screener = PromptScreener.of(settings.prompts)
        store = running.enter_context(open_store(settings.data_path, settings.store))
        watch = FloodWatch(store, FloodRule.of(settings.matching), recalls=False, clock=clock)
        flushing = Ticker("rempart-floods", watch.flush, _FLUSH_SECONDS)
        flushing.start()
        running.callback(flushing.stop)
        signal_types = SignalTypes(store)
        signal_types.refresh()
        switching = Ticker("rempart-signal-types", signal_types.refresh, _REREAD_SECONDS)
        switching.start()
        running.callback(switching.stop)
        _warm_up()
        live = LiveBanks(store, clock=clock, notice=notice, quarantined=watch, watch=watch.see)
        live.start()
        running.callback(live.stop)
        yield Services(
            settings=settings,
            store=store,
            live=live,
            screener=screener,
            keyring=running.enter_context(KeyRing(store, clock=clock)),
            allowance=running.enter_context(Allowance(store, per_minute=settings.serve.key_per_minute, clock=clock)),
            counter=running.enter_context(
                Counter(
                    store,
                    near_per_hour=settings.serve.alarm_near_per_hour,
                    rim_per_hour=settings.serve.alarm_rim_per_hour,
                    on_alarm=on_alarm,
                    clock=clock,
                )
            ),
            pool=Decoders(media, children),
            signal_types=signal_types,
            findings=running.enter_context(Findings(store, clock=clock)),
            uploads=Uploads(settings.serve),
            fetcher=Fetcher(settings.fetch, max_bytes=settings.serve.upload_bytes),
            clock=clock,
        )


def _warm_up() -> None:
    """Load the compiled search, which takes a second: the first look-up must not wait for it."""
    index = HashIndex.build(np.random.default_rng(0).integers(0, 256, (SMALL + 1, HASH_BYTES), np.uint8))
    index.query(bytes(HASH_BYTES), DEFAULT_RADIUS)
