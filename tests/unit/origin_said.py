"""What a file is seen to say, as tests of the readers ask it."""

from __future__ import annotations

from rempart.provenance.fields import FileView

SAID = "a lighthouse at dusk\nSteps: 20, Sampler: Euler a, Size: 64x64"
FAR = "灯台と海、夜明けの光。静かな波"


def said(view: FileView, name: str, container: str = "") -> list[str | None]:
    """The texts of the fields of this name."""
    return [one.text for one in view.named(name, container=container)]


def places_hold(view: FileView, content: bytes) -> None:
    """Every field stands in the file where it says to."""
    for one in view.fields:
        assert one.offset < 0 or content[one.offset : one.offset + len(one.data)] == one.data
