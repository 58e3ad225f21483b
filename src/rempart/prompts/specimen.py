"""The specimen: the harmless token that proves that a screen is switched on, as the EICAR file does for virus scanners.

It is a word of no language and a constant of this release line, so it may stand in any test, ticket or monitoring
probe. Every screener refuses it, whatever its packs.
"""

from __future__ import annotations

from typing import Final

SPECIMEN_TOKEN: Final = "xqrempartspecimentokenqx"  # noqa: S105 -- no secret: it is published on purpose
