"""The decoding children as requests reach them: asked from threads, so that look-ups go on meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from anyio import CapacityLimiter, to_thread

from rempart.hashing import Hashed, Unscannable, hash_images
from rempart.hashing.items import perhaps_video
from rempart.media import Source
from rempart.settings import MediaSettings
from rempart.web.problems import Code, Problem

# So many requests wait for each child before more are refused: a client that waits longer has given up.
_WAITING_PER_CHILD = 64


class Decoders:
    """Hashes uploads on the process's share of the decoding children.

    Its limits are those of the settings; a request that comes when too many wait is refused, and nothing else suffers.
    """

    def __init__(self, media: MediaSettings, children: int) -> None:
        """Make them; the children start when first needed.

        Args:
            media: the limits of one file.
            children: how many files are decoded at once.
        """
        self._limiter: CapacityLimiter | None = None
        self._children = children
        self._waiting = 0
        self._most = _WAITING_PER_CHILD * children
        self.settings = media

    async def hash(
        self, sources: Sequence[Source], *, turned: bool = False, banking: bool = False
    ) -> list[Hashed | Unscannable]:
        """Hash pictures and videos, in their order.

        Args:
            sources: the files.
            turned: also hash them turned and mirrored.
            banking: sample videos as densely as those that are banked, so that they are found however a copy was cut.

        Raises:
            Problem: too many requests wait already.
            DecoderError: no child can be started.
        """
        if self._waiting >= self._most:
            raise Problem(Code.OVERLOADED, "Too many files wait to be decoded.")
        if self._limiter is None:  # it belongs to the event loop, which runs only now
            self._limiter = CapacityLimiter(2 * self._children)
        self._waiting += 1
        try:
            return await to_thread.run_sync(self._hash, list(sources), turned, banking, limiter=self._limiter)
        finally:
            self._waiting -= 1

    def _hash(self, sources: list[Source], turned: bool, banking: bool) -> list[Hashed | Unscannable]:  # noqa: FBT001 -- run_sync passes no keywords
        # Other settings mean other children, so that only videos are read by such.
        videos = perhaps_video(turned=turned, settings=self.settings.for_banking() if banking else self.settings)
        outcomes = hash_images(sources, turned=turned, settings=self.settings, otherwise=videos)
        return [outcome for _, outcome in outcomes]
