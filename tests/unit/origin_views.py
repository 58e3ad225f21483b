"""Files as detectors see them, made by hand: a few texts in fields, and a size."""

from __future__ import annotations

import json

from rempart.provenance.detectors import detect
from rempart.provenance.evidence import Evidence
from rempart.provenance.fields import Field, FileView

PROMPT = "a lighthouse at dusk, calm sea"
AWAY = "fog, rain"


def field(name: str, text: str, container: str = "png.tEXt", *, truncated: bool = False) -> Field:
    """A field that says something."""
    return Field(
        container=container, name=name, data=text.encode("utf-8", "surrogatepass"), text=text, truncated=truncated
    )


def view(*fields: Field, size: tuple[int, int] = (512, 768), kind: str = "png", content: bytes = b"") -> FileView:
    """A file with these fields."""
    return FileView(format=kind, content=content, size=len(content), width=size[0], height=size[1], fields=fields)


def texts(size: tuple[int, int] = (512, 768), **said: object) -> FileView:
    """A PNG with text chunks; what is no string is written as JSON, and ``_`` in a keyword stays as it is."""
    return view(
        *(field(name, one if isinstance(one, str) else json.dumps(one)) for name, one in said.items()), size=size
    )


def found(file: FileView) -> list[Evidence]:
    """What the detectors find, without failures hidden: one of a detector's own is a defect."""
    records = detect(file)
    assert not [one for one in records if one.kind == "reader.failure" and not one.limits_hit]
    return records


def only(file: FileView) -> Evidence:
    """The one record of a file."""
    records = found(file)
    assert len(records) == 1, [one.kind for one in records]
    return records[0]
