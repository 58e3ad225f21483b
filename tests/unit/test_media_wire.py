"""The channel to decoding children: frames come out as they went in, however they are cut, and lies are noticed."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.media import wire

BODIES = st.lists(st.binary(max_size=300), max_size=8)
LIMIT = 1000


@contextlib.contextmanager
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends, closed afterwards."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, other:
        yield one, other


def framed(body: bytes, number: int = 7) -> bytes:
    """A frame as it travels."""
    return len(body).to_bytes(4, "big") + number.to_bytes(4, "big") + body


def soon() -> float:
    """A deadline that what is there already meets."""
    return time.monotonic() + 5


@given(BODIES, st.data())
def test_frames_come_whole_however_they_are_cut(bodies: list[bytes], data: st.DataObject) -> None:
    """Every part alone leads to a time-out, and is not lost by it."""
    stream = b"".join(map(framed, bodies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    received = []
    with channel() as (ours, theirs):
        inbox = wire.Inbox(ours)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            theirs.sendall(stream[start:end])
            with contextlib.suppress(TimeoutError):
                while True:
                    received.append(inbox.next(7, LIMIT, time.monotonic()))
        with pytest.raises(TimeoutError):
            inbox.next(7, LIMIT, time.monotonic())
    assert received == bodies


@given(BODIES, st.data())
def test_a_stream_that_ends_within_a_frame_never_gives_it(bodies: list[bytes], data: st.DataObject) -> None:
    """Whole frames before it are given."""
    stream = b"".join(map(framed, bodies))
    cut = data.draw(st.integers(0, len(stream)))
    received = []
    with channel() as (ours, theirs):
        theirs.sendall(stream[:cut])
        theirs.close()
        inbox = wire.Inbox(ours)
        with contextlib.suppress(EOFError):
            while True:
                received.append(inbox.next(7, LIMIT, soon()))
    whole = [len(b"".join(map(framed, bodies[: count + 1]))) <= cut for count in range(len(bodies))]
    assert received == bodies[: sum(whole)]


@given(st.integers(LIMIT + 1, (1 << 32) - 1), st.binary(max_size=50))
def test_a_frame_that_announces_too_much_is_refused_before_it_is_read(length: int, body: bytes) -> None:
    """On both sides."""
    frame = length.to_bytes(4, "big") + bytes([0, 0, 0, 7]) + body
    with channel() as (ours, theirs):
        theirs.sendall(frame * 2)
        with pytest.raises(wire.FrameError):
            wire.Inbox(ours).next(7, LIMIT, soon())
    with channel() as (ours, theirs):
        theirs.sendall(frame)
        with pytest.raises(wire.FrameError):
            wire.receive_with_files(ours, LIMIT, 2)


@given(st.binary(max_size=200))
def test_any_bytes_give_frames_within_the_limit_or_an_error_of_the_wire(stream: bytes) -> None:
    """A child that has been taken over sends what it likes."""
    with channel() as (ours, theirs):
        theirs.sendall(stream)
        theirs.close()
        inbox = wire.Inbox(ours)
        with contextlib.suppress(EOFError, wire.FrameError):
            while True:
                assert len(inbox.next(7, 100, soon())) <= 100


@given(st.lists(st.tuples(st.binary(max_size=100), st.integers(0, 2)), min_size=1, max_size=8))
def test_each_waiting_request_keeps_its_own_files(requests: list[tuple[bytes, int]]) -> None:
    """Those behind it stay in the channel until their turn."""
    with channel() as (ours, theirs), tempfile.TemporaryFile() as file:
        for number, (body, count) in enumerate(requests):
            copies = [os.dup(file.fileno()) for _ in range(count)]
            try:
                wire.send(theirs, number, body, *copies)
            finally:
                for copy in copies:
                    os.close(copy)
        for number, (body, count) in enumerate(requests):
            told, received, descriptors = wire.receive_with_files(ours, LIMIT, 2)
            for descriptor in descriptors:
                assert os.path.sameopenfile(descriptor, file.fileno())
                os.close(descriptor)
            assert (told, received, len(descriptors)) == (number, body, count)


@given(st.integers(0, wire.LARGEST_NUMBER), st.integers(0, wire.LARGEST_NUMBER))
def test_an_answer_to_another_question_is_refused(asked: int, told: int) -> None:
    """One that nobody asked for is never taken for that of the next file."""
    with channel() as (ours, theirs):
        wire.send(theirs, told, b"answer")
        inbox = wire.Inbox(ours)
        if asked == told:
            assert inbox.next(asked, LIMIT, soon()) == b"answer"
        else:
            with pytest.raises(wire.FrameError):
                inbox.next(asked, LIMIT, soon())


def test_a_request_cut_short_is_an_end() -> None:
    """In its head and in its body."""
    for part in (b"", b"\0\0", framed(b"body")[:-1]):
        with channel() as (ours, theirs):
            theirs.sendall(part)
            theirs.close()
            with pytest.raises(EOFError):
                wire.receive_with_files(ours, LIMIT, 2)


def test_a_doze_is_ended_by_the_end_of_the_other_side_and_not_by_its_frames() -> None:
    """So that many answers cost one waking."""
    with channel() as (ours, theirs):
        inbox = wire.Inbox(ours)
        theirs.sendall(framed(b"an answer"))
        started = time.monotonic()
        inbox.doze(0.3)
        assert time.monotonic() - started >= 0.29
        theirs.close()
        started = time.monotonic()
        inbox.doze(30)
        assert time.monotonic() - started < 15
        assert inbox.next(7, LIMIT, soon()) == b"an answer"
