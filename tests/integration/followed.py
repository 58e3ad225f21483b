"""Contents to bank, and ways to wait for and ask what a process follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import update

from rempart.hashing import Hashed, PictureHash
from rempart.lists import Content, HashValue
from rempart.lists.changes import note_changes
from rempart.lists.live import LiveBanks
from rempart.matching import Matcher
from rempart.store import Store
from rempart.store.tables import HashKind, entries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 20.0


def digest(number: int) -> bytes:
    """What the content of this number is known by."""
    return sha256(b"content %d" % number).digest()


def content(number: int) -> Content:
    """A content with a PDQ hash, digests, and two frames of a video."""
    value = digest(number)
    frames = [HashValue(HashKind.VPDQ, sha256(value + bytes([n])).digest(), 90, None, n * 1000) for n in range(2)]
    return Content(
        (
            HashValue(HashKind.PDQ, value, 80),
            HashValue(HashKind.SHA256, value),
            HashValue(HashKind.MD5, value[:16]),
            *frames,
        )
    )


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait for something; how long it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not come to be"
        time.sleep(0.002)
    return time.monotonic() - start


def settle(live: LiveBanks) -> None:
    """Take up everything, snapshots that are being verified too."""
    live.refresh()
    while live._candidates:
        time.sleep(0.001)
        live.refresh()


def disable(store: Store, bank: int, number: int, moment: datetime) -> None:
    """Disable an entry until a moment."""
    with store.write() as connection:
        connection.execute(update(entries).where(entries.c.id == number).values(disabled_until=moment))
        note_changes(connection, bank, [number])


def entries_of(store: Store, bank: int) -> list[int]:
    """The numbers of the entries of a bank."""
    with store.read() as connection:
        query = entries.select().where(entries.c.bank_id == bank).order_by(entries.c.id)
        return [row.id for row in connection.execute(query)]


def picture(number: int) -> Hashed:
    """A picture that looks like the content of this number, of another file."""
    other = sha256(b"another file").hexdigest()
    return Hashed(
        format="png",
        width=512,
        height=512,
        frames=1,
        frames_read=1,
        normalised=(),
        partial=None,
        hashes=(PictureHash(digest(number), 100, "full", 0, None),),
        md5=other[:32],
        sha1=other[:40],
        sha256=other,
    )


def is_found(matcher: Matcher, number: int) -> bool:
    """Whether the content of this number is matched."""
    return matcher.match(picture(number)).verdict == "match"


def mapped(path: Path) -> set[str]:
    """The inodes of a snapshot that this process maps, those of files that were replaced too."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if str(path) in line}
