"""Fields that cameras write, and whether they fit each other.

A maker's name alone is worth nothing, for anyone can write it and generators do. What counts is that several groups of
fields are there and fit: the name, the exposure, the maker's own block, the small picture. All of it can be copied from
another file, so that at best it is "as a camera would write it, unsigned". What is missing or does not fit is never
held against a file: it only counts for nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from rempart.provenance.evidence import Evidence, Location, Strength
from rempart.provenance.fields import Field, FileView

READER: Final = "camera"
VERSION: Final = "1"

_NAME_CHARACTERS: Final = 64
# What a maker or model is not called: graphs and JSON of generators, and generators.
_NO_NAME: Final = re.compile(
    r"[{}\[\]\"\n\r]|^\s*(?:workflow|prompt)\s*:"
    r"|\b(?:ai|openai|dall|comfyui|invokeai|novelai|midjourney|ideogram|firefly|imagen|gemini|grok|flux)\b|diffusion",
    re.IGNORECASE,
)
_MAKE: Final = ("exif.IFD0", "bmff.")
_MAKES: Final = ("Make", "com.apple.quicktime.make", "©mak")
_MODELS: Final = ("Model", "com.apple.quicktime.model", "©mod")
# How long, how wide, how sensitive: each in the words of either edition of Exif.
_EXPOSURE: Final = (
    ("ExposureTime", "ShutterSpeedValue"),
    ("FNumber", "ApertureValue"),
    ("ISOSpeedRatings", "PhotographicSensitivity", "ISOSpeed", "StandardOutputSensitivity", "RecommendedExposureIndex"),
)
_LEAST_EXPOSURE: Final = 2
# Makers that sold or sell cameras under other names than the one that their block begins with.
_ALSO: Final = {
    "olympus": ("olympus", "om digital", "epson", "agfa", "sanyo"),
    "om system": ("om digital", "olympus"),
    "pentax": ("pentax", "asahi", "ricoh", "samsung"),
    "minolta": ("minolta", "konica", "sony"),
    "leica": ("leica", "panasonic"),
    "panasonic": ("panasonic", "leica"),
    "kodak": ("kodak",),
    "ge": ("general", "ge"),
    "ricoh": ("ricoh", "pentax", "caplio"),
    "nikon": ("nikon", "kodak"),
}
_STANDARD_THUMBNAIL: Final = frozenset(("160x120", "120x160"))
_SAME_SHAPE: Final = 0.06

MAKE_MODEL, EXPOSURE, MAKER_NOTE, THUMBNAIL = "make_model", "exposure", "maker_note", "thumbnail"


def evidence(view: FileView) -> list[Evidence]:
    """One record of the camera's fields in a file; none where they name no camera, for nobody could follow that up.

    It is ``unsigned_structured`` when the maker's name, the exposure, and the maker's block or the small picture are
    there and fit; else ``unsigned_label``. The excerpt lists the groups that count.
    """
    make, model = _name(view, _MAKES), _name(view, _MODELS)
    found = list(_groups(view, make, model))
    if model is None:
        return []
    whole = EXPOSURE in found and (MAKER_NOTE in found or THUMBNAIL in found)
    first = make or model
    return [
        Evidence(
            kind="exif.camera",
            claim="capture_fields_present",
            strength=Strength.UNSIGNED_STRUCTURED if whole else Strength.UNSIGNED_LABEL,
            caveat="camera_fields" if whole else "camera_fields_few",
            location=Location(container=first.container, field=first.name, offset=first.offset, length=len(first.data)),
            generator=_called(make, model),
            sha256=hashlib.sha256(first.data).hexdigest(),
            excerpt=" ".join(found),
            reader=READER,
            reader_version=VERSION,
        )
    ]


def _groups(view: FileView, make: Field | None, model: Field | None) -> Iterator[str]:
    """The groups of fields that are there and fit."""
    if model is not None:
        yield MAKE_MODEL
    if sum(_measured(view, names) for names in _EXPOSURE) >= _LEAST_EXPOSURE:
        yield EXPOSURE
    if make is not None and _fits_maker(view.structure.get("exif.makernote", ""), _said(make)):
        yield MAKER_NOTE
    if _fits_picture(view.structure.get("exif.thumbnail", ""), view):
        yield THUMBNAIL


def _name(view: FileView, names: tuple[str, ...]) -> Field | None:
    """The field of a maker or model, where it says what may be a name."""
    for field in view.named(*names):
        said = _said(field)
        if field.container.startswith(_MAKE) and 0 < len(said) <= _NAME_CHARACTERS and not _NO_NAME.search(said):
            return field
    return None


def _said(field: Field) -> str:
    return (field.text or "").partition("\0")[0].strip()


def _called(make: Field | None, model: Field) -> str:
    """Maker and model, the maker not twice."""
    maker, name = _said(make) if make else "", _said(model)
    return name if name.casefold().startswith(maker.casefold()) else f"{maker} {name}".strip()


def _measured(view: FileView, names: tuple[str, ...]) -> bool:
    """Whether one of these fields holds a number that a measurement can have."""
    return any(_positive(field.text or "") for field in view.named(*names, container="exif."))


def _positive(text: str) -> bool:
    first = text.partition(" ")[0]
    try:
        return len(first) <= _NAME_CHARACTERS and Fraction(first) > 0
    except (ValueError, ZeroDivisionError):
        return False


def _fits_maker(block: str, make: str) -> bool:
    """Whether a maker's block is one that this maker writes; many write a plain directory, which names nobody."""
    known = block.casefold()
    if known in ("", "unknown"):
        return False
    return known == "ifd" or any(one in make.casefold() for one in _ALSO.get(known, (known,)))


def _fits_picture(thumbnail: str, view: FileView) -> bool:
    """Whether the small picture has the shape of the large one, or the standard's size, upright or not."""
    width, _, height = thumbnail.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        return False
    if thumbnail in _STANDARD_THUMBNAIL:
        return True
    small, large = _shape(int(width), int(height)), _shape(view.width, view.height)
    return small > 0 and abs(small - large) <= _SAME_SHAPE * large


def _shape(width: int, height: int) -> float:
    """The longer side by the shorter."""
    return max(width, height) / min(width, height) if min(width, height) > 0 else 0.0
