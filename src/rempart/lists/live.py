"""The banks as they are now: loaded once, then kept in step with the database while they are asked.

Every process that matches for long has one :class:`LiveBanks`. It follows the numbered changes of each bank, applies
them to what it has loaded, and hands out matchers that never change: whoever has taken one goes on with it. A snapshot
that a compaction has written is mapped and read whole in the background, brought up to the present, and only then takes
the place of what was used before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection

from rempart.clock import Clock, utc_now
from rempart.errors import RempartError, SnapshotError, StoreError
from rempart.lists.changes import CHANNEL
from rempart.lists.compaction import ask_to_compact
from rempart.lists.content import Content, open_content, snapshot_path
from rempart.lists.loader import Notice, advanced, load_content, made_bank
from rempart.matching.bank import Bank
from rempart.matching.flood import Sighting
from rempart.matching.matcher import Matcher
from rempart.store import Store
from rempart.store.tables import banks, changes, entries

POLL_SECONDS: Final = 0.2
"""How long a change that nobody told of may wait until it is looked for."""

MOST_SILENCE_SECONDS: Final = 5.0
"""How long after the last successful look at the database answers are given: what was removed since is not known."""

MOST_PENDING: Final = 20_000
"""How much of a bank may be in no snapshot before a compaction is asked for."""

ASK_AGAIN_SECONDS: Final = 60.0
"""How long to wait for a compaction that was asked for."""

_Mark: TypeAlias = tuple[int, int, int]
"""What tells a file from the one that had its name before: inode, time of change in nanoseconds, size."""


class BankStatus(TypedDict):
    """How far this process is with a bank.

    Attributes:
        bank: its name.
        sequence: the last of its changes that acts here.
        size: how many hashes can be compared.
        snapshot: the last change that is in the mapped snapshot; None if all is in memory.
        pending: how much of it is in no snapshot: hashes that were added, and entries that were removed.
    """

    bank: str
    sequence: int
    size: int
    snapshot: int | None
    pending: int


class _Held(NamedTuple):
    """A bank as it was loaded, and the file that was its snapshot when that was last looked at."""

    row: tuple[Any, ...]
    content: Content
    bank: Bank
    mark: _Mark | None


class _Present(NamedTuple):
    """What is asked now, swapped as one."""

    matcher: Matcher
    banks: Mapping[str, Bank]


_Candidate: TypeAlias = "Future[Content | None] | Content"
"""A snapshot that is being verified, or one that is verified and still behind the present."""


class LiveBanks:
    """All banks of a database, followed.

    :meth:`start` follows in a thread; whoever writes calls :meth:`refresh` after the commit, so that the change acts in
    its own process before it answers. Threads may share it; a forked child must make its own.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock = utc_now,
        notice: Notice | None = None,
        quarantined: Container[int] = frozenset(),
        watch: Callable[[Sighting], object] | None = None,
        on_pending: Callable[[str], object] | None = None,
        uptime: Callable[[], float] | None = None,
    ) -> None:
        """Take what is needed; nothing is loaded before the first :meth:`refresh`.

        Args:
            store: the database.
            clock: the time, which decides whether an entry is disabled.
            notice: told in a line of a snapshot that cannot be used, and of trouble with the database.
            quarantined: as :class:`Matcher` takes it, for the matchers.
            watch: the same.
            on_pending: told the name of a bank of which more than :data:`MOST_PENDING` is in no snapshot, once a minute
                while it is so; by default a job is put into the outbox that compacts it.
            uptime: seconds that only ever go on, also while the machine sleeps.
        """
        self._store = store
        self._clock = clock
        self._tell = notice or _say_nothing
        self._quarantined = quarantined
        self._watch = watch
        self._on_pending = on_pending or self._enqueue
        self._uptime = uptime or _uptime
        self._refreshing = threading.Lock()
        self._held: dict[int, _Held] = {}
        self._candidates: dict[int, _Candidate] = {}
        self._asked: dict[int, float] = {}
        self._looked_at: datetime | None = None
        self._present: _Present | None = None
        self._seen = 0.0
        self._background = ThreadPoolExecutor(1, thread_name_prefix="rempart-snapshots")
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def matcher(self) -> Matcher:
        """What to compare with, as of now. It never changes: take it once for each request.

        Raises:
            StoreError: nothing is loaded yet, or the database could not be read for :data:`MOST_SILENCE_SECONDS`.
        """
        return self._current().matcher

    @property
    def banks(self) -> Mapping[str, Bank]:
        """The banks by name, empty ones too; the mapping and what is in it never change.

        Raises:
            StoreError: as :attr:`matcher`.
        """
        return self._current().banks

    @property
    def ready(self) -> bool:
        """Whether everything is loaded and the database was read lately."""
        return self._present is not None and self._uptime() - self._seen <= MOST_SILENCE_SECONDS

    @property
    def lists_as_of(self) -> datetime | None:
        """When the oldest of the blocking banks that hold anything was refreshed; None if there is none."""
        present = self._present
        return None if present is None else present.matcher.lists_as_of

    def status(self) -> list[BankStatus]:
        """How far this process is with each bank, by name."""
        held = sorted(self._held.values(), key=lambda one: one.bank.name)
        return [
            BankStatus(
                bank=one.bank.name,
                sequence=one.content.facts.sequence,
                size=len(one.content),
                snapshot=one.content.written,
                pending=one.content.pending,
            )
            for one in held
        ]

    def refresh(self) -> bool:
        """Take up everything that was committed before the call.

        Returns:
            Whether anything was changed.

        Raises:
            StoreError: the database cannot be read; what was loaded stays as it was.
        """
        with self._refreshing:
            changed, more = False, True
            while more and not self._stop.is_set():
                swapped, more = self._step()
                changed |= swapped
                if not self._stop.is_set():
                    self._ask_for_compactions()
        return changed

    def start(self) -> None:
        """Load and follow in a thread of its own, until :meth:`stop`; see :attr:`ready`."""
        self._threads = [
            threading.Thread(target=self._follow, name="rempart-banks", daemon=True),
            threading.Thread(target=self._listen, name="rempart-listen", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; what was loaded can be asked until it is too old, and is not refreshed any more."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()
        with self._refreshing:
            self._background.shutdown(cancel_futures=True)

    def _current(self) -> _Present:
        present = self._present
        if present is None:
            raise StoreError("the banks are not loaded yet; try again in a moment")
        if not self.ready:
            raise StoreError("the database has not been read for too long to say what is banked; try again later")
        return present

    def _follow(self) -> None:
        in_trouble = False
        while not self._stop.is_set():
            try:
                self.refresh()
                in_trouble = False
            # Whatever it is, the next look may go well, and without one the banks are not ready.
            except Exception as error:  # noqa: BLE001
                if not in_trouble:
                    self._tell(f"the banks cannot be followed: {_line(error)}")
                in_trouble = True
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()

    def _listen(self) -> None:
        for _ in self._store.listen(CHANNEL, self._stop):
            self._wake.set()

    def _step(self) -> tuple[bool, bool]:
        """One look at the database: whether anything was swapped, and whether more is to be taken up at once."""
        seen, now = self._uptime(), self._clock()
        candidates: dict[int, _Candidate] = {}
        with self._store.read() as connection:
            rows = connection.execute(_BANKS).all()
            stirred = self._stirred(connection, now)
            held = {row.id: self._taken_up(connection, row, now, candidates, stirred) for row in rows}
        changed = held.keys() != self._held.keys() or any(
            one.bank is not self._held[key].bank for key, one in held.items()
        )
        if changed or self._present is None:
            found = {one.bank.name: one.bank for one in held.values()}
            matcher = Matcher(found.values(), quarantined=self._quarantined, watch=self._watch, clock=self._clock)
            self._present = _Present(matcher, found)
        self._held, self._candidates, self._looked_at, self._seen = held, candidates, now, seen
        behind = any(held[row.id].content.facts.sequence < row.newest for row in rows if row.newest is not None)
        return changed, behind or any(isinstance(one, Content) for one in candidates.values())

    def _stirred(self, connection: Connection, now: datetime) -> set[int]:
        """The banks with entries that are enabled or disabled since the last look by the hour alone."""
        last = self._looked_at
        if last is None or last == now:
            return set()
        query = select(entries.c.bank_id).where(
            entries.c.disabled_until > min(last, now), entries.c.disabled_until <= max(last, now)
        )
        return set(connection.execute(query).scalars())

    def _taken_up(
        self, connection: Connection, row: Row[Any], now: datetime, candidates: dict[int, _Candidate], stirred: set[int]
    ) -> _Held:
        """A bank in its present state, or some steps nearer to it."""
        old = self._held.get(row.id)
        settings = tuple(row[: len(banks.c)])
        if old is None or _form(old.bank, old.content) != (row.created_at, row.quality_floor, row.radius):
            return self._loaded(connection, row, now)
        content, mark = old.content, old.mark
        try:
            content.index.check()
            if row.id in stirred or (content.facts.sequence, content.facts.token) != (row.newest or 0, row.token or 0):
                content = advanced(connection, row, content, now)
        except SnapshotError as error:
            self._tell(f"{error}. The bank {row.name} is loaded anew")
            return self._loaded(connection, row, now)
        candidate = self._candidates.get(row.id)
        if candidate is None:
            found = _mark(snapshot_path(self._store, row.id))
            if found is not None and found != mark:
                candidate = self._background.submit(self._verified, row)
            mark = found
        candidate = self._nearer(connection, row, now, candidate)
        if isinstance(candidate, Content) and candidate.facts.sequence >= content.facts.sequence:
            content = candidate
        elif candidate is not None:
            candidates[row.id] = candidate
        bank = old.bank if content is old.content and settings == old.row else made_bank(row, content)
        return _Held(settings, content, bank, mark)

    def _loaded(self, connection: Connection, row: Row[Any], now: datetime) -> _Held:
        mark = _mark(snapshot_path(self._store, row.id))
        content = load_content(self._store, connection, row, now, self._tell, whole=True)
        return _Held(tuple(row[: len(banks.c)]), content, made_bank(row, content), mark)

    def _nearer(
        self, connection: Connection, row: Row[Any], now: datetime, candidate: _Candidate | None
    ) -> _Candidate | None:
        """A candidate a step nearer to the present, once it is verified; None if it cannot be used."""
        if isinstance(candidate, Future):
            if not candidate.done():
                return candidate
            candidate = candidate.result()
        if candidate is None:
            return None
        try:
            return advanced(connection, row, candidate, now)
        except SnapshotError as error:
            self._tell(f"{error}. The bank {row.name} stays as it was loaded")
            return None

    def _verified(self, row: Row[Any]) -> Content | None:
        """What a new snapshot holds; None if it cannot be used."""
        try:
            content = open_content(self._store, row)
            if content is not None:
                content.verify()
                len(content)  # files the frames of videos here, in the background
        except Exception as error:  # noqa: BLE001 -- it would come up in every look from then on
            self._tell(f"{_line(error)}. The bank {row.name} stays as it was loaded")
            return None
        return content

    def _ask_for_compactions(self) -> None:
        now = self._uptime()
        for number, one in self._held.items():
            if one.content.pending <= MOST_PENDING:
                self._asked.pop(number, None)
            elif now - self._asked.get(number, now - ASK_AGAIN_SECONDS) >= ASK_AGAIN_SECONDS:
                self._asked[number] = now
                # In the background, for an import may hold the lock of the only writer longer than banks stay ready.
                self._background.submit(self._ask, one.bank.name)

    def _enqueue(self, name: str) -> None:
        if self._store.mode == "rw":
            ask_to_compact(self._store, name, clock=self._clock)

    def _ask(self, name: str) -> None:
        try:
            self._on_pending(name)
        except Exception as error:  # noqa: BLE001 -- nobody would hear of it here, and it is tried again
            self._tell(f"nobody could be asked to compact the bank {name}: {_line(error)}")


_CHANGES: Final = select(changes.c.id).where(changes.c.bank_id == banks.c.id).order_by(changes.c.id.desc()).limit(1)
# Both of the newest change of each bank, found from the end of its part of the index.
_BANKS: Final = select(
    banks,
    _CHANGES.scalar_subquery().label("newest"),
    _CHANGES.with_only_columns(changes.c.token).scalar_subquery().label("token"),
)


def _form(bank: Bank, content: Content) -> tuple[datetime, int, int]:
    """What a bank is loaded anew for when it has changed."""
    return content.facts.created_at, content.facts.quality_floor, bank.radius


def _mark(path: Path) -> _Mark | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _line(error: Exception) -> str:
    """What may be said of an error: the text of those that are not ours may hold anything."""
    return str(error) if isinstance(error, RempartError) else type(error).__name__


def _say_nothing(_: str) -> None:
    """What a caller who asked for no notices is told."""
