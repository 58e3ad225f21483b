"""When frames of a video are shown: time stamps brought to seconds that always advance, and parted into intervals."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Protocol

USUAL_RATE: Final = 25.0
LARGEST_RATE: Final = 120.0
LEAST_STEP: Final = 0.001
"""Seconds that two frames are apart at the least, whatever their time stamps say."""
_ROUNDING = 1e-6
_SLOTS_KEPT = 8


class Stamped(Protocol):
    """What has time stamps in units of the stream: a packet, a frame."""

    @property
    def pts(self) -> int | None:
        """When it is shown."""

    @property
    def dts(self) -> int | None:
        """When it is decoded."""


class Timeline:
    """The times of one stream.

    A frame without a time stamp, or whose time stamp does not advance, follows the one before by the usual step: so
    nothing hides behind time stamps that stand still or jump back.

    Attributes:
        end: when the last frame asked about ends, in seconds from the beginning.
    """

    def __init__(
        self, *, interval: float, unit: Fraction | None, start: int | None, rate: Fraction | float | None
    ) -> None:
        """Begin.

        Args:
            interval: length of an interval, in seconds.
            unit: seconds of one unit of the time stamps; None when they mean nothing.
            start: time stamp of the beginning, if the header tells it; else it is that of the first frame.
            rate: usual number of frames a second, if it is known.
        """
        self.end = 0.0
        self._interval = interval
        self._unit = (unit.numerator, unit.denominator) if unit else (0, 1)
        rate = float(rate or 0.0)
        self._step = 1 / min(rate if rate > 0 else USUAL_RATE, LARGEST_RATE)
        self._start = None if start is None else self._seconds(start)
        self._last: float | None = None
        self._last_dts: int | None = None
        self._orderly = start is not None
        self._firsts: dict[int, int] = {}

    def time(self, frame: Stamped) -> float:
        """When a decoded frame is shown, in seconds from the beginning; to be asked once for each, in their order."""
        now = None if frame.pts is None else self._seconds(frame.pts)
        if self._start is None:
            self._start = now or 0.0
        at = None if now is None else now - self._start
        if self._last is None:
            at = max(0.0, at or 0.0)
        elif at is None or at <= self._last:
            at = self._last + self._step
        else:
            at = max(at, self._last + LEAST_STEP)
        self._last = at
        self.end = at + self._step
        return at

    def slot(self, at: float) -> int:
        """The number of the interval that a time belongs to."""
        return int((at + _ROUNDING) // self._interval)

    def needless(self, packet: Stamped) -> bool:
        """Whether the frame in a packet is surely not the first of its interval.

        Then it need not be decoded unless others refer to it. This is known only while the time stamps are in order.
        """
        if packet.pts is None or packet.dts is None or (self._last_dts is not None and packet.dts <= self._last_dts):
            self._orderly = False
        if not self._orderly or packet.pts is None:
            return False
        self._last_dts = packet.dts
        slot = self.slot(self._seconds(packet.pts) - (self._start or 0.0))
        first = self._firsts.get(slot)
        if first is not None and packet.pts > first:
            return True
        self._firsts[slot] = packet.pts
        if len(self._firsts) > _SLOTS_KEPT:
            del self._firsts[next(iter(self._firsts))]
        return False

    def _seconds(self, stamp: int) -> float:
        numerator, denominator = self._unit
        return stamp * numerator / denominator
