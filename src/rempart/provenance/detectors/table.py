"""Which detector looks at which texts of a file. A new generator is a row here, and a reader where none fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from rempart.provenance.detectors import (
    a1111,
    comfy,
    json_payloads,
    labels,
    novelai_text,
    services,
    tc260,
)
from rempart.provenance.detectors.texts import Looking, Text
from rempart.provenance.evidence import Evidence


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One detector.

    Attributes:
        detector: its name, as in the records of its failures.
        read: what is called with the texts that it looks at, if there are any.
        names: names of the texts that it looks at, in lower case; all, where none are given.
        signs: one of these stands in a text that it looks at; any text will do, where none are given.
        always: whether it is called without texts too, because it looks at bytes.
    """

    detector: str
    read: Callable[[list[Text], Looking], Iterator[Evidence]]
    names: frozenset[str] = frozenset()
    signs: tuple[str, ...] = ()
    always: bool = False

    def wanted(self, texts: list[Text]) -> list[Text]:
        """The texts of a file that it looks at, in file order."""
        return [
            text
            for text in texts
            if (not self.names or text.name in self.names)
            and (not self.signs or any(sign in text.text for sign in self.signs))
        ]


# Where programs name themselves. Make and Model are not left out: some generators write their name there.
_NAME_TAGS = frozenset(
    ("software", "make", "model", "creatortool", "processingsoftware", "hostcomputer", "generator", "source")
)
_DESCRIPTIONS = frozenset(
    (
        "description",
        "imagedescription",
        "usercomment",
        "comment",
        "xpcomment",
        "caption-abstract",
        "digimageguid",
        "author",
    )
)

TABLE: Final = (
    Row(detector="iptc.source_type", read=labels.read_source_type, names=labels.SOURCE_TYPE),
    Row(detector="iptc.ai_fields", read=labels.read_ai_fields, names=labels.AI_FIELDS),
    Row(detector="tc260", read=tc260.read, signs=("AIGC", "Label"), always=True),
    Row(
        detector="novelai",
        read=novelai_text.read,
        names=frozenset(
            ("comment", "usercomment", "parameters", "software", "source", "description", "imagedescription")
        ),
    ),
    Row(detector="json", read=json_payloads.read, signs=("{",)),
    Row(detector="easydiffusion.chunks", read=json_payloads.read_chunks),
    Row(detector="invokeai.dream", read=json_payloads.read_dream, names=frozenset({"dream"})),
    Row(detector="a1111", read=a1111.read, signs=("Steps: ", "Sampler: ", "Civitai resources: ")),
    Row(detector="comfy", read=comfy.read, signs=('"class_type"', '"nodes"')),
    Row(detector="midjourney", read=services.read_midjourney, names=_DESCRIPTIONS),
    Row(
        detector="grok",
        read=services.read_grok,
        names=frozenset({"imagedescription", "usercomment", "description", "artist"}),
    ),
    Row(detector="google", read=services.read_google, names=frozenset({"credit", "creditline", "description"})),
    Row(detector="samsung", read=services.read_samsung, always=True),
    Row(detector="names", read=services.read_names, names=_NAME_TAGS),
    Row(detector="bytedance", read=services.read_bytedance, signs=('"aigc_info"',)),
    Row(detector="host", read=services.read_host, names=frozenset({"hf-job-id"})),
)
