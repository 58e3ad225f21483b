"""The texts of a file as detectors see them, JSON in them read within limits, and how a finding is written down."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from rempart.provenance.evidence import EXCERPT_CHARACTERS, Evidence, Location, Setup, Strength
from rempart.provenance.fields import Field, FileView, Limits

QUOTE_CHARACTERS: Final = 160
"""So much of a name that a file gives is quoted in a record."""

PROMPT_CHARACTERS: Final = 100_000
"""So much of a prompt is kept; nobody writes such a long one but to get past a reader."""

VERSION: Final = "1"
"""Of the detectors; goes up when one of them reads or claims something else than before."""

_MAX_CONTAINERS = 400_000
"""Lists and objects in one JSON text; each costs memory that its two characters do not show."""

_KEYWORDS = frozenset(
    (
        *("parameters", "prompt", "workflow", "extra_pnginfo", "parameters-json", "smproj", "generation_data"),
        *("invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata", "sd_metadata", "aigc"),
        *("comment", "description", "software", "source", "title", "usercomment", "fooocus_scheme"),
    )
)
"""Keywords of text chunks that writers of other formats put into one text: as keys of JSON or before a colon."""

_KEY = re.compile("|".join(f'"{word}"' for word in sorted(_KEYWORDS)), re.IGNORECASE)
_NOVELAI = frozenset({"comment", "description", "software", "source", "title"})
_PREFIX = re.compile(r"\s{0,8}([A-Za-z_-]{3,20}) {0,4}: {0,4}(?=\{)")
_PARTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


class Text(msgspec.Struct, frozen=True):
    """A text under the name that its writer gave it; more than one may come out of one field."""

    name: str
    """The keyword or tag in lower case, without the prefix of a name space."""
    text: str
    field: Field

    def __repr__(self) -> str:
        """The length alone: texts are an offender's."""
        return f"<Text of {len(self.text)} characters>"


class Json(msgspec.Struct, frozen=True):
    """What was read of a text as JSON; ``problem`` says in a word why nothing was: ``not_json too_deep too_large``."""

    value: object = None
    problem: str = ""

    def __repr__(self) -> str:
        """The problem alone: values are an offender's."""
        return f"<Json {self.problem or 'read'}>"


class Looking:
    """One look at one file: its texts, with each JSON text read once."""

    def __init__(self, view: FileView, limits: Limits) -> None:
        self.view = view
        self.limits = limits
        self._read: dict[str, Json] = {}
        self.texts = [text for field in view.fields for text in self._texts(field)]

    def json(self, text: str) -> Json:
        """Read a text as JSON, looking at its size and depth first; never fails."""
        found = self._read.get(text)
        if found is None:
            found = self._read[text] = read_json(text, self.limits)
        return found

    def json_object(self, text: str) -> dict[str, Any]:
        """The object that a text holds as JSON; an empty one if it holds something else."""
        value = self.json(text).value
        return value if isinstance(value, dict) else {}

    def _texts(self, field: Field) -> Iterator[Text]:
        """The texts of a field: what it says, or what was packed into it by a writer of another format."""
        if field.text is None:
            return
        said = _mended(field).strip("\0")
        name = field.name.rpartition(":")[2].casefold()
        prefix = _PREFIX.match(said)
        if prefix and prefix[1].casefold() in _KEYWORDS:
            yield Text(prefix[1].casefold(), said[prefix.end() :], field)
            return
        packed = list(self._packed(said, field)) if name not in {"prompt", "workflow"} else []
        if packed:
            yield from packed
        else:
            yield Text(name, said, field)

    def _packed(self, said: str, field: Field) -> Iterator[Text]:
        """The texts in a JSON object whose keys are keywords, as made when a PNG is written as another format."""
        if not said.lstrip("\ufeff \t\r\n").startswith("{") or not any(
            f'"{word}"' in said.casefold() for word in _KEYWORDS
        ):
            return
        known = {str(key).casefold(): value for key, value in self.json_object(said).items()}
        novelai = isinstance(known.get("comment"), str) and not _NOVELAI.isdisjoint(known.keys() - {"comment"})
        for key, value in known.items():
            if key not in _KEYWORDS:
                continue
            if isinstance(value, dict):
                text = json.dumps(value)
                self._read[text] = Json(value)
                yield Text(key, text, field)
            elif isinstance(value, str) and (
                value.lstrip().startswith("{") or key == "parameters" or (novelai and key in _NOVELAI)
            ):
                yield Text(key, value.strip("\0"), field)


def read_json(text: str, limits: Limits) -> Json:
    """Read a text as JSON after its size and depth were looked at; takes linear time and never fails."""
    if len(text) > limits.field_bytes:
        return Json(problem="too_large")
    opened = text.count("[") + text.count("{")
    if opened > _MAX_CONTAINERS:
        return Json(problem="too_large")
    if opened > limits.depth and _too_deep(text, limits.depth):
        return Json(problem="too_deep")
    try:
        # The standard parser, as generators use it: it takes NaN, and of two equal keys it takes the last.
        return Json(json.loads(text.lstrip("\ufeff")))
    except RecursionError:
        return Json(problem="too_deep")
    except ValueError:
        return Json(problem="not_json")


def object_end(text: str, most: int) -> int:
    """Where the object ends with which a text begins, by its brackets; 0 where it does not end or is too deep."""
    depth = 0
    for found in _PARTS.finditer(text):
        first = text[found.start()]
        if first in "[{":
            depth += 1
            if depth > most:
                return 0
        elif first in "]}":
            depth -= 1
            if depth <= 0:
                return found.end()
    return 0


def _too_deep(text: str, most: int) -> bool:
    depth = 0
    for found in _PARTS.finditer(text):
        first = text[found.start()]
        if first in "[{":
            depth += 1
            if depth > most:
                return True
        elif first in "]}":
            depth -= 1
    return False


def _mended(field: Field) -> str:
    """The text of a field; some writers put UTF-8 where PNG has Latin-1."""
    text = field.text or ""
    if field.container in {"png.tEXt", "png.zTXt"} and not text.isascii():
        try:
            return text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text
    return text


def finding(
    at: Text | Field,
    reader: str,
    kind: str,
    claim: str,
    strength: Strength,
    caveat: str,
    *,
    generator: str = "",
    cues: tuple[str, ...] = (),
    setup: Setup | None = None,
    excerpt: str | None = None,
    limits_hit: tuple[str, ...] = (),
) -> Evidence:
    """A record of something read from a field; the excerpt is the beginning of the text unless another is given."""
    field = at.field if isinstance(at, Text) else at
    said = excerpt if excerpt is not None else at.text
    if field.truncated:
        limits_hit += ("field_bytes",)
    if setup is not None:
        if max(len(setup.prompt or ""), len(setup.negative or "")) > PROMPT_CHARACTERS:
            limits_hit += ("prompt",)
        setup = msgspec.structs.replace(setup, prompt=_kept(setup.prompt), negative=_kept(setup.negative))
    return Evidence(
        kind=kind,
        claim=claim,
        strength=strength,
        caveat=caveat,
        location=Location(container=field.container, field=field.name, offset=field.offset, length=len(field.data)),
        generator=quoted(generator),
        sha256=hashlib.sha256(field.data).hexdigest(),
        excerpt=writable((said or "")[:EXCERPT_CHARACTERS]),
        reader=reader,
        reader_version=VERSION,
        limits_hit=limits_hit,
        cues=tuple(dict.fromkeys(cues)),
        setup=setup,
    )


def payload(at: Text, reader: str, kind: str, setup: Setup, *, whole: bool, cues: tuple[str, ...] = ()) -> Evidence:
    """A record of a generator's payload: structured where it is whole and fits itself, a label where it is not."""
    return finding(
        at,
        reader,
        kind,
        "generator_present",
        Strength.UNSIGNED_STRUCTURED if whole and not at.field.truncated else Strength.UNSIGNED_LABEL,
        "unsigned_payload" if whole and not at.field.truncated else "payload_broken",
        generator=f"{setup.software} {setup.version}".strip(),
        cues=cues,
        setup=setup,
    )


def broken(at: Text, reader: str, kind: str, software: str, problem: str) -> Evidence:
    """A record of a payload that cannot be read: a label, or nothing but a failure where a limit was met."""
    if problem in {"too_deep", "too_large"}:
        return finding(
            at, reader, "reader.failure", "none", Strength.NONE, "reader_failed", limits_hit=(f"json_{problem}",)
        )
    setup = Setup(software=software)
    return finding(
        at,
        reader,
        kind,
        "generator_present",
        Strength.UNSIGNED_LABEL,
        "payload_broken",
        generator=software,
        setup=setup,
    )


def fits(view: FileView, width: int, height: int) -> bool:
    """Whether a picture may have been drawn in a size: that size, one of the same shape, or a grid of such pictures."""
    if not (width > 0 and height > 0 and view.width > 0 and view.height > 0):
        return True
    if view.width % width == 0 and view.height % height == 0:
        return True
    return same_shape(view.width, view.height, width, height)


def same_shape(width: int, height: int, other_width: int, other_height: int, off: float = 0.015) -> bool:
    """Whether two sizes have the same ratio of width and height, but for rounding."""
    return abs(width * other_height - height * other_width) <= off * height * other_width


def at_path(value: object, path: str) -> object:
    """What stands at a path of keys with dots between them; None where there is nothing."""
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def as_text(value: object) -> str:
    """A string or number as text, bounded; anything else is empty."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(value) if isinstance(value, float) or abs(value) < 1 << 64 else ""


def as_size(value: object) -> int:
    """A width or height; 0 where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 6:  # noqa: PLR2004 -- digits of a size
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 20:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 20 else 0


_SIZE = re.compile(r"(\d{1,6})\s{0,2}[xX,*]\s{0,2}(\d{1,6})")


def size_in(value: object) -> tuple[int, int]:
    """The size that a text such as ``1024x768`` or ``(1024, 768)`` names; zeros where it names none."""
    found = _SIZE.search(value[:64]) if isinstance(value, str) else None
    return (as_size(found[1]), as_size(found[2])) if found else (0, 0)


def quoted(value: str) -> str:
    """A name that a file gives, cut to what a record may hold."""
    return writable(value.strip("\0 \r\n\t")[:QUOTE_CHARACTERS])


def writable(text: str) -> str:
    """A text that can be written as UTF-8: halves of characters, which JSON may name, are put together or replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _kept(prompt: str | None) -> str | None:
    return None if prompt is None else writable(prompt[:PROMPT_CHARACTERS])
