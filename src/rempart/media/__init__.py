"""Open untrusted pictures: sniffed by content, decoded in a child process within limits, brought to plain pixels."""

from __future__ import annotations

from rempart.media.outcome import Unscannable
from rempart.media.pool import Pool, shared_pool
from rempart.media.raster import Raster, decode
from rempart.media.source import Source

__all__ = ["Pool", "Raster", "Source", "Unscannable", "decode", "shared_pool"]
