"""The label of China's GB 45438-2025 (TC260): says whether AI made it, possibly made it, or a platform suspects it.

JSON ``{"Label": "1", "ContentProducer": …}``: in XMP as an attribute or element, under the keyword AIGC in PNG and
video tags, in UserComment under a key AIGC, or bare near the beginning of a JPEG.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rempart.provenance.detectors.texts import Looking, Text, as_text, finding, object_end, read_json
from rempart.provenance.evidence import Evidence, Strength
from rempart.provenance.fields import Field

READER: Final = "tc260"

_BARE = re.compile(rb'AIGC"?[\s:=\0]{0,8}(?=\{)')
_MAX_BYTES = 8_192
"""Length of a label that is read where nothing says where it ends."""

_MAX_TRIES = 8
_NEAR = 256 * 1024
"""So far from the beginning of a JPEG a bare label is looked for."""

_LABELS: Final = {
    "1": ("generator_present", "tc260_generated"),
    "2": ("possibly_generated", "tc260_possible"),
    "3": ("suspected_generated", "tc260_suspected"),
}


def read(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """A record for each label; labels that are not one of the three say nothing but are told."""
    found = False
    for text in texts:
        label = _label(text, looking)
        if label is not None:
            found = True
            yield _one(text, label)
    if not found:
        yield from _bare(looking)


def _label(text: Text, looking: Looking) -> Mapping[str, Any] | None:
    """The label in a text; None where the text is not meant to be one."""
    named = text.name == "aigc"
    said = text.text.strip()
    if not named and "AIGC" not in said and '"Label"' not in said:
        return None
    if said.startswith("AIGC"):
        said, named = said.removeprefix("AIGC").lstrip(":= \t"), True
    if said.startswith(("{&", "&")):
        said = html.unescape(said)
    if not said.startswith("{"):
        return {} if named and text.name == "aigc" else None
    data = looking.json_object(said)
    inner = data.get("AIGC", data.get("aigc"))
    if isinstance(inner, str):
        inner = looking.json_object(inner)
    if isinstance(inner, dict):
        return inner
    if named:
        return data
    return data if "Label" in data and ("ContentProducer" in data or "ProduceID" in data) else None


def _bare(looking: Looking) -> Iterator[Evidence]:
    """A label among the bytes near the beginning of a JPEG, in no field that says what it is."""
    if looking.view.format not in {"jpeg", None}:
        return
    content = looking.view.content[:_NEAR]
    for match in itertools.islice(_BARE.finditer(content), _MAX_TRIES):
        said = content[match.end() : match.end() + _MAX_BYTES].decode("latin-1")
        raw = content[match.end() : match.end() + object_end(said, looking.limits.depth)]
        data = read_json(raw.decode("utf-8", "replace"), looking.limits).value
        if isinstance(data, dict) and "Label" in data:
            container = f"{looking.view.format or 'file'}.bytes"
            field = Field(container=container, name="AIGC", data=raw, offset=match.end())
            yield _one(Text("aigc", raw.decode("utf-8", "replace"), field), data)
            return


def _one(text: Text, label: Mapping[str, Any]) -> Evidence:
    said = as_text(label.get("Label", label.get("label"))).strip()
    claim, caveat = _LABELS.get(said, ("none", "tc260_unclear"))
    producer = as_text(label.get("ContentProducer"))
    propagator = as_text(label.get("ContentPropagator"))
    return finding(
        text,
        READER,
        "tc260.label",
        claim,
        Strength.UNSIGNED_LABEL,
        caveat,
        generator=(propagator or producer) if said == "3" else producer,
    )
