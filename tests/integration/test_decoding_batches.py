"""Batches of files to decoding children: one bad file spoils nothing for those beside it, and nothing piles up."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from rempart.errors import DecoderError, Reason
from rempart.hashing import Hashed, Unscannable, hash_images
from rempart.media import Pool, Raster, decode
from rempart.media.order import in_batches, in_order
from rempart.media.source import room_for, write, written
from rempart.settings import MIB, MediaSettings

# The work does what the file says: `echo`, or one of the things that no decoder should do.
OBEDIENT = """
import mmap, os, signal, socket, sys, time
import msgspec
from rempart.errors import Reason
from rempart.media.child import read_content, work
from rempart.media.outcome import Refused

class Options(msgspec.Struct, frozen=True):
    pass

class Said(msgspec.Struct, frozen=True, tag=True):
    text: str
    pid: int = 0
    descriptors: int = 0

@work("obey", Options)
def obey(descriptor, settings, options):
    order = read_content(descriptor, 1 << 20).decode()
    what = order.partition(" ")[0]
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "leave":
        os._exit(0)
    elif what == "spin":
        while True:
            pass
    elif what == "nap":
        time.sleep(0.05)
    elif what == "sleep":
        time.sleep(1.0)
    elif what == "flood":
        order = "x" * 100_000
    elif what == "refuse":
        raise Refused(Reason.UNSUPPORTED_FORMAT, "pdf")
    elif what == "raise":
        raise RuntimeError(order)
    elif what == "allocate":
        bytearray(4 << 30)
    elif what == "twice":
        frame = msgspec.msgpack.encode(Said("an answer that nobody asked for"))
        number = (99).to_bytes(4, "big")
        socket.socket(fileno=os.dup(int(sys.argv[2]))).sendall((len(frame)).to_bytes(4, "big") + number + frame)
    return Said(order, os.getpid(), len(os.listdir("/proc/self/fd")))

@work("fill", Options)
def fill(descriptor, settings, options, room):
    global held
    what, count = read_content(descriptor, 1 << 20).decode().split()
    with mmap.mmap(room, os.fstat(room).st_size) as view:
        view[:int(count)] = bytes(int(count) * [7])
    if what == "hold":
        held = mmap.mmap(room, 4096)
    if what == "resize":
        try:
            os.ftruncate(room, 10)
        except OSError as error:
            return Said(type(error).__name__)
    return Said("filled")
"""

LIMITS = MediaSettings(workers=1, wall_seconds=1.0, memory_bytes=1024 * MIB)
ANSWER = 4096
FATE = {
    "segfault": Reason.CRASH,
    "leave": Reason.CRASH,
    "spin": Reason.TIMEOUT,
    "flood": Reason.CRASH,
    "refuse": Reason.UNSUPPORTED_FORMAT,
    "raise": Reason.CORRUPT,
    "allocate": Reason.OUT_OF_MEMORY,
}


class Options(msgspec.Struct, frozen=True):
    """The work has none."""


class Said(msgspec.Struct, frozen=True, tag=True):
    """What the work answers."""

    text: str
    pid: int = 0
    descriptors: int = 0


MakePool = Callable[[MediaSettings], Pool]


@pytest.fixture
def pool_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePool]:
    """A function that makes a pool of obedient children."""
    (tmp_path / "obedient.py").write_text(OBEDIENT, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pools: list[Pool] = []

    def make(settings: MediaSettings) -> Pool:
        pools.append(Pool("obedient", settings))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def obey(pool: Pool, orders: Sequence[str | Path]) -> list[Said | Unscannable]:
    """Give the orders as one batch; paths are given as they are."""
    sources = [order.encode() if isinstance(order, str) else order for order in orders]
    return pool.run_many("obey", sources, Options(), Said, limit=ANSWER)


def fates(outcomes: Sequence[Said | Unscannable]) -> list[str | Reason]:
    """What each said, or why it did not."""
    return [one.text if isinstance(one, Said) else one.reason for one in outcomes]


def wanted(orders: Sequence[str | Path]) -> list[str | Reason]:
    """What is to become of them."""
    return [Reason.MISSING if isinstance(order, Path) else FATE.get(order.partition(" ")[0], order) for order in orders]


def test_only_the_bad_files_of_a_batch_are_unscannable(pool_of: MakePool) -> None:
    """Each kind of harm, with good files before, between and behind; also at both ends, and two in a row."""
    harms = list(FATE)
    middle = list(itertools.chain.from_iterable((harm, f"echo {harm}") for harm in harms))
    for orders in (
        ["echo first", *middle, Path("/nonexistent"), "echo last"],
        ["segfault", Path("/nonexistent"), "echo 1", "leave"],
        [Path("/nonexistent"), "leave", "segfault", "echo 2"],
        [Path("/nonexistent")],
        [],
    ):
        assert fates(obey(pool_of(LIMITS), orders)) == wanted(orders)


def test_the_time_limit_is_that_of_one_file_and_not_of_the_batch(pool_of: MakePool) -> None:
    """Thirty files of 50 ms are not cut off at one second; one that hangs costs little more than that."""
    pool = pool_of(LIMITS)
    orders = [f"nap {number}" for number in range(30)]
    assert fates(obey(pool, orders)) == orders
    started = time.monotonic()
    orders = ["nap", "spin", "nap"]
    assert fates(obey(pool, orders)) == wanted(orders)
    assert time.monotonic() - started < 1 + 5


def test_some_work_may_have_a_time_limit_of_its_own(pool_of: MakePool) -> None:
    """Longer than that of a picture, with the alarm of the child put off too; or shorter."""
    pool = pool_of(msgspec.structs.replace(LIMITS, wall_seconds=0.2))
    long = pool.run("obey", b"sleep", Options(), Said, limit=ANSWER, seconds=30.0)
    assert isinstance(long, Said)
    pool = pool_of(msgspec.structs.replace(LIMITS, wall_seconds=60.0))
    started = time.monotonic()
    assert pool.run("obey", b"spin", Options(), Said, limit=ANSWER, seconds=0.5) == Unscannable(reason=Reason.TIMEOUT)
    assert time.monotonic() - started < 20


def test_a_child_killed_within_a_batch_loses_one_file_at_the_most(pool_of: MakePool) -> None:
    """The system's memory killer takes whom it likes; the rest is asked again of a new child."""
    pool = pool_of(LIMITS)
    (first,) = obey(pool, ["echo"])
    assert isinstance(first, Said)
    timer = threading.Timer(0.4, os.kill, (first.pid, signal.SIGKILL))
    timer.start()
    orders = [f"nap {number}" for number in range(20)]
    outcomes = obey(pool, orders)
    timer.join()
    lost = [at for at, outcome in enumerate(outcomes) if not isinstance(outcome, Said)]
    assert len(lost) == 1
    assert fates(outcomes) == [Reason.CRASH if at in lost else order for at, order in enumerate(orders)]
    pids = {outcome.pid for outcome in outcomes if isinstance(outcome, Said)}
    assert len(pids) == 2


def test_a_child_has_no_file_but_the_one_at_hand(pool_of: MakePool) -> None:
    """The next ones wait in the channel."""
    pool = pool_of(LIMITS)
    (alone,) = obey(pool, ["echo"])
    together = obey(pool, ["echo"] * 20)
    assert isinstance(alone, Said)
    assert {one.descriptors for one in together if isinstance(one, Said)} == {alone.descriptors}


def test_an_answer_that_nobody_asked_for_is_taken_for_no_other(pool_of: MakePool) -> None:
    """The child that sent it is ended, and the files behind go to another."""
    orders = ["echo 1", "twice", "echo 2"]
    assert fates(obey(pool_of(LIMITS), orders)) == ["echo 1", Reason.CRASH, "echo 2"]


def test_orders_at_random_come_back_in_order_from_several_children(pool_of: MakePool) -> None:
    """Batches of all sizes, with crashes among them."""
    pool = pool_of(msgspec.structs.replace(LIMITS, workers=3, wall_seconds=20.0))
    draw = random.Random(4)
    kinds = ("echo", "nap", "refuse", "raise", "segfault", "leave")
    orders = [f"{draw.choices(kinds, (40, 4, 4, 4, 1, 1))[0]} {number}" for number in range(200)]
    results = list(in_batches(lambda batch: obey(pool, batch), orders, 3, size=lambda: draw.randint(1, 32)))
    assert [order for order, _ in results] == orders
    assert fates([outcome for _, outcome in results]) == wanted(orders)


@pytest.mark.parametrize(("weight", "most"), [(100, 65 * 32), (MIB // 2, 34), (2 * MIB, 9), (20 * MIB, 5)])
def test_sources_are_taken_a_few_batches_ahead_however_many_there_are(weight: int, most: int) -> None:
    """And less far the larger their contents are, so that memory stays bounded."""
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(weight)

    def work(batch: Sequence[bytes]) -> list[int]:
        time.sleep(0.001)  # so that the reader is quicker than the workers, and fills all the room there is
        return [len(one) for one in batch]

    results = in_batches(work, endless(), 2, size=lambda: 32)
    for given in range(600 if weight < MIB else 60):
        assert next(results)[1] == weight
        assert taken - given <= most
    results.close()  # type: ignore[attr-defined]


def test_a_slow_source_does_not_wait_for_a_batch_to_fill() -> None:
    """Files that come one by one are worked on one by one."""
    sizes: list[int] = []

    def slow() -> Iterator[int]:
        for number in range(8):
            yield number
            time.sleep(0.1)

    def work(batch: Sequence[int]) -> Sequence[int]:
        sizes.append(len(batch))
        return batch

    assert list(in_batches(work, slow(), 2, size=lambda: 32)) == [(number, number) for number in range(8)]
    assert max(sizes) <= 2


def test_an_error_of_ours_ends_the_batch_and_is_raised() -> None:
    """It is not swallowed with the results of a thread."""

    def work(number: int) -> int:
        if number == 5:
            raise DecoderError("no")
        return number

    results = in_order(work, range(10), 2)
    assert [next(results) for _ in range(5)] == [(number, number) for number in range(5)]
    with pytest.raises(DecoderError, match="no"):
        next(results)


def test_who_stops_reading_does_not_wait_for_what_hangs(pool_of: MakePool) -> None:
    """Ctrl-C while a decoder spins, with most of its minute to go; the pool works on."""
    pool = pool_of(msgspec.structs.replace(LIMITS, workers=2, wall_seconds=60.0))
    orders = ["echo", *["spin"] * 40]
    results = in_batches(lambda batch: obey(pool, batch), orders, 2, size=lambda: 4)
    assert next(results)[0] == "echo"
    started = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 20
    assert fates(obey(pool, ["echo"])) == ["echo"]


def test_what_is_done_otherwise_holds_up_no_other_file(saved: Callable[..., bytes]) -> None:
    """The first file waits until another one has had its turn, many files later; results stay in order."""
    good = saved(Image.linear_gradient("L").resize((64, 64)), "PNG")
    last_seen = threading.Event()
    asked: list[bytes] = []

    def otherwise(source: bytes, outcome: Unscannable) -> Unscannable:
        asked.append(source)
        assert outcome.reason is Reason.UNKNOWN_FORMAT
        if source == b"last":
            last_seen.set()
        elif not last_seen.wait(60):
            return outcome
        return Unscannable(reason=Reason.UNSUPPORTED_FORMAT, format=source.decode())

    sources = [b"first", *[good] * 15, b"last", *[good] * 15]
    results = list(hash_images(sources, settings=MediaSettings(workers=2), otherwise=otherwise))
    assert [source for source, _ in results] == sources
    assert {one.format for _, one in results if isinstance(one, Unscannable)} == {"first", "last"}
    assert sorted(asked) == [b"first", b"last"]
    assert sum(isinstance(one, Hashed) for _, one in results) == 30


def test_large_answers_come_through_shared_memory(saved: Callable[..., bytes]) -> None:
    """More pixels than a child may write to any file, and than a channel holds; nobody can change them any more."""
    image = Image.effect_noise((3000, 2000), 50).convert("RGB")
    raster = decode(saved(image, "PNG", compress_level=0))
    assert isinstance(raster, Raster)
    assert Image.fromarray(raster.pixels).tobytes() == image.tobytes()
    assert raster.content.readonly


def test_a_room_cannot_be_resized_or_kept_by_a_child(pool_of: MakePool) -> None:
    """Else it could make it shorter than was checked, or change it later."""
    pool = pool_of(LIMITS)
    for order, text, readable in (
        ("fill", "filled", True),
        ("resize", "PermissionError", True),
        ("hold", "filled", False),
    ):
        with room_for(1 << 16) as room:
            answer = pool.run("fill", f"{order} 5000".encode(), Options(), Said, limit=ANSWER, room=room)
            assert isinstance(answer, Said)
            assert answer.text == text
            content = written(room, 5000)
            assert (content == bytes(5000 * [7])) is readable


def test_a_room_is_not_read_beyond_its_end() -> None:
    """However large the picture says it is."""
    with room_for(100) as room:
        write(room, memoryview(b"pixels"))
        assert written(room, 101) is None
        assert written(room, 0) is None
        content = written(room, 6)
        assert content == b"pixels"
        with pytest.raises(ValueError, match="mmap"):
            write(room, memoryview(bytes(101)))
