"""Finding the key that belongs to a secret, thousands of times a second, and forgetting it when it is revoked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, NamedTuple, Self

from rempart.clock import Clock, utc_now
from rempart.errors import StoreError
from rempart.people.keys import Key, read_live_keys, read_state, secret_digest
from rempart.people.ticker import Ticker
from rempart.store import Store

FRESH_SECONDS: Final = 0.5
"""How long what was read of the database is believed. A key that was revoked is refused everywhere soon after."""

REFRESH_SECONDS: Final = 0.2
REREAD_SECONDS: Final = 10.0
"""How long keys are kept of which nothing seems to have changed: someone may have edited the tables by hand."""

MOST_UNKNOWN: Final = 64
"""So many unknown secrets are asked for within ``FRESH_SECONDS``; a new key among more of them waits for its end."""

RETRY_SECONDS: Final = 0.2
"""How long a database that failed is not asked again, so that nobody queues for it."""

PATIENCE_SECONDS: Final = 5.0
"""How long a request waits for a database that does not answer at all."""


class _Known(NamedTuple):
    keys: dict[bytes, Key]
    until: float  # of time.monotonic()


class KeyRing:
    """The keys that are valid now. Threads may share it; each process has its own.

    All keys are read at once and believed for half a second; then a look suffices whether any was made or revoked. A
    secret that is not among them is asked for singly, so that a new key works at once, but not again within half a
    second, and of many such only the first :data:`MOST_UNKNOWN`: whoever tries secrets out asks memory, not the
    database.

    Once :meth:`start` was called the keys are read anew in the background, and requests hardly ever wait for that.
    """

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._known = _Known({}, 0.0)
        self._state: tuple[int, ...] = ()
        self._reread_at = 0.0
        self._unknown: set[bytes] = set()
        self._unknown_until = 0.0
        self._failure = ""
        self._failed_until = 0.0
        self._silent = False
        self._ticker = Ticker("rempart-keys", self._refresh, REFRESH_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Keep the keys fresh in a thread of its own."""
        self._ticker.start()

    def stop(self) -> None:
        """End that thread."""
        self._ticker.stop()

    def known(self, secret: str) -> tuple[bool, Key | None]:
        """What memory says of a secret, without the database: microseconds.

        Returns:
            Whether memory knows, and the key. (True, None) is no key; (False, None) is for :meth:`find` to say.
        """
        digest = secret_digest(secret)
        return (True, None) if digest is None else self._recall(digest)

    def find(self, secret: str) -> Key | None:
        """The key of a secret; None when there is none, or it was revoked or has expired.

        Raises:
            StoreError: memory does not know, and the database cannot be read; nobody is let in then.
        """
        digest = secret_digest(secret)
        if digest is None:
            return None
        sure, key = self._recall(digest)
        if sure:
            return key
        with self._patiently():
            sure, key = self._recall(digest)  # someone else may have asked while this one waited
            if sure:
                return key
            if time.monotonic() >= self._known.until:
                self._read()
            elif (found := self._ask(digest)) is not None:
                self._known = self._known._replace(keys=self._known.keys | {digest: found})
            key = self._known.keys.get(digest)
            if key is None:
                self._remember_unknown(digest)
        return key if key is not None and _holds(key, self._clock) else None

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        """The lock, unless whoever has it waits for a database that does not answer: then nobody queues for it.

        Raises:
            StoreError: it does not answer.
        """
        if not self._lock.acquire(timeout=0.0 if self._silent else PATIENCE_SECONDS):
            self._silent = True
            raise StoreError("the database does not answer")
        self._silent = False
        try:
            yield
        finally:
            self._lock.release()

    def _recall(self, digest: bytes) -> tuple[bool, Key | None]:
        known, now = self._known, time.monotonic()
        if now >= known.until:
            return False, None
        key = known.keys.get(digest)
        if key is not None:
            return True, key if _holds(key, self._clock) else None
        if now >= self._unknown_until:
            return False, None
        return digest in self._unknown or len(self._unknown) >= MOST_UNKNOWN, None

    def _refresh(self) -> None:
        with self._lock:
            self._read()

    def _read(self) -> None:
        began = time.monotonic()
        if began < self._failed_until:
            raise StoreError(self._failure)
        try:
            with self._store.read() as connection:
                state = read_state(connection)
                unchanged = state == self._state and began < self._reread_at
                keys = self._known.keys if unchanged else read_live_keys(connection)
        except StoreError as error:
            self._fail(error)
            raise
        self._known = _Known(keys, began + FRESH_SECONDS)
        if not unchanged:
            self._state, self._reread_at = state, began + REREAD_SECONDS

    def _ask(self, digest: bytes) -> Key | None:
        if time.monotonic() < self._failed_until:
            raise StoreError(self._failure)
        try:
            with self._store.read() as connection:
                return read_live_keys(connection, digest).get(digest)
        except StoreError as error:
            self._fail(error)
            raise

    def _fail(self, error: StoreError) -> None:
        self._failure, self._failed_until = str(error), time.monotonic() + RETRY_SECONDS

    def _remember_unknown(self, digest: bytes) -> None:
        now = time.monotonic()
        if now >= self._unknown_until:
            self._unknown, self._unknown_until = set(), now + FRESH_SECONDS
        if len(self._unknown) < MOST_UNKNOWN:
            self._unknown.add(digest)


def _holds(key: Key, clock: Clock) -> bool:
    return key.expires_at is None or clock() < key.expires_at
