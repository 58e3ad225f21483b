"""NovelAI's texts: Software, Source, Title, Description, and a Comment of JSON with everything.

Its signature over the pixels is verified elsewhere; what is read here anyone can write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rempart.provenance.detectors.texts import Looking, Text, as_size, as_text, at_path, broken, fits, payload, quoted
from rempart.provenance.evidence import Evidence, ModelName, Setup

READER: Final = "novelai"

OWN_KEYS: Final = frozenset(
    (
        "noise_schedule",
        "v4_prompt",
        "uncond_scale",
        "signed_hash",
        "request_type",
        "dynamic_thresholding",
        "sm_dyn",
        "legacy_v3_extend",
    )
)
"""Keys of the Comment that no other generator writes."""

_MAX_CAPTIONS = 64

# Keys of the Comment, where something stands there -> cues.
_GIVEN: Final = (
    ("director_reference_strengths", "director_reference"),
    ("director_reference_descriptions", "director_reference"),
    ("director_reference_images", "director_reference"),
    ("director_reference_information_extracted", "director_reference"),
    ("reference_strength_multiple", "ip_adapter"),
    ("reference_information_extracted_multiple", "ip_adapter"),
    ("reference_strength", "ip_adapter"),
    ("controlnet_model", "controlnet"),
    ("lora_unet_weights", "lora"),
    ("mask", "mask"),
    ("image", "init_image"),
)
_REQUESTS: Final = (("img2img", "img2img"), ("infill", "inpaint"), ("inpaint", "inpaint"))
_PLAIN_REQUEST = "PromptGenerateRequest"


def read(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """A record for each Comment of NovelAI; the other texts say with which model it was made."""
    named = {text.name: text.text for text in reversed(texts) if text.name in {"software", "source", "description"}}
    signed = named.get("software", "").startswith("NovelAI") or named.get("source", "").startswith("NovelAI")
    for text in texts:
        if text.name not in {"comment", "usercomment", "parameters", "imagedescription"}:
            continue
        if not text.text.lstrip().startswith("{"):
            continue
        found = looking.json(text.text)
        if found.problem:
            if signed and text.name == "comment":
                yield broken(text, READER, "novelai.comment", "NovelAI", found.problem)
            continue
        data = found.value
        if not isinstance(data, dict) or not isinstance(data.get("prompt"), str):
            continue
        if (signed and "steps" in data) or len(OWN_KEYS & data.keys()) > 1:
            yield _one(text, data, named.get("source", ""), looking)


def _one(text: Text, data: Mapping[str, Any], source: str, looking: Looking) -> Evidence:
    width, height = as_size(data.get("width")), as_size(data.get("height"))
    setup = Setup(
        software="NovelAI",
        version=quoted(source),
        prompt=_caption(data, "v4_prompt", "prompt"),
        negative=_caption(data, "v4_negative_prompt", "uc"),
        seed=as_text(data.get("seed")),
        sampler=as_text(data.get("sampler")),
        width=width,
        height=height,
        models=(ModelName(kind="checkpoint", name=quoted(source)),) if source else (),
    )
    whole = {"prompt", "steps", "seed"} <= data.keys() and width > 0 and fits(looking.view, width, height)
    return payload(text, READER, "novelai.comment", setup, whole=whole, cues=_cues(data))


def _caption(data: Mapping[str, Any], structured: str, plain: str) -> str | None:
    """The prompt with those of the persons in it, one a line."""
    said = data.get(plain)
    base = at_path(data, f"{structured}.caption.base_caption")
    parts = [said if isinstance(said, str) and said else base]
    persons = at_path(data, f"{structured}.caption.char_captions")
    if isinstance(persons, list):
        parts.extend(at_path(person, "char_caption") for person in persons[:_MAX_CAPTIONS])
    told = [part for part in parts if isinstance(part, str)]
    return "\n".join(dict.fromkeys(told)) if told else None


def _cues(data: Mapping[str, Any]) -> tuple[str, ...]:
    cues: list[str] = []
    request = data.get("request_type")
    if isinstance(request, str) and request != _PLAIN_REQUEST:
        cues.extend(word for sign, word in _REQUESTS if sign in request.casefold())
        if not cues:
            cues.append("load_image")  # another request than one of a prompt alone: something was given
    for part in (data, data.get("extra_passthrough_testing")):
        if isinstance(part, Mapping):
            cues.extend(cue for key, cue in _GIVEN if part.get(key) not in (None, False, "", [], {}, 0))
    return tuple(cues)
