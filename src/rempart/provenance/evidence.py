"""What is found in a file, one record a finding, and the words that a report may use.

Records are frozen and say where they were read, by which reader, and who vouches for what they claim. A report is made
of them alone; nothing in it lowers a priority, because there is no word for that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

EXCERPT_CHARACTERS: Final = 240
"""So much of a field's text is kept in a record; its digest stands for all of it."""


class Strength(StrEnum):
    """Who vouches for a claim, strongest first."""

    SIGNED_TRUSTED = "signed_trusted"
    """Binding and signature hold, and the signer's chain is on a named list."""
    SIGNED_INTACT = "signed_intact"
    """Binding and signature hold; the chain is on no list, has expired, or the key is pinned by us."""
    SIGNED_BROKEN = "signed_broken"
    """A signed claim can be read, but the file or the claim was changed since."""
    UNSIGNED_STRUCTURED = "unsigned_structured"
    """A whole payload that fits itself; anyone can write it."""
    UNSIGNED_LABEL = "unsigned_label"
    """A single tag or label; anyone can write it."""
    PIXEL_MARK = "pixel_mark"
    """An exact code of an open scheme in the pixels; anyone can stamp it."""
    NONE = "none"


class Declared(StrEnum):
    """What all evidence together declares."""

    AI_GENERATED = "ai_generated"
    AI_COMPOSITE = "ai_composite"
    CAPTURE = "capture"
    SCREEN_CAPTURE = "screen_capture"
    OTHER_DECLARED = "other_declared"
    CONFLICT = "conflict"
    NONE = "none"
    UNREADABLE = "unreadable"


class PriorityEffect(StrEnum):
    """What origin may do to the order of work. There is no third value."""

    NONE = "none"
    RAISE = "raise"


class Binding(StrEnum):
    """Whether a signed claim is about these very bytes."""

    MATCH = "match"
    MISMATCH = "mismatch"
    ABSENT = "absent"
    NOT_CHECKED = "not_checked"


class Signature(StrEnum):
    """Whether a claim is as it was signed."""

    VALID = "valid"
    INVALID = "invalid"
    NONE = "none"
    NOT_CHECKED = "not_checked"


class Chain(StrEnum):
    """Who vouches for the signer."""

    OFFICIAL = "official"
    INTERIM = "interim"
    """The list that was frozen on 2026-01-01."""
    PRIVATE = "private"
    PINNED = "pinned"
    """A key that this version knows, such as NovelAI's."""
    UNTRUSTED = "untrusted"
    PUBLIC_TEST_KEY = "public_test_key"
    NONE = "none"


class SignedAt(StrEnum):
    """How the time of signing stands to the signer's certificate."""

    IN_VALIDITY = "in_validity"
    EXPIRED_TRUSTED_STAMP = "expired_trusted_ts"
    EXPIRED_NO_STAMP = "expired_no_ts"
    UNKNOWN = "unknown"


class Integrity(msgspec.Struct, frozen=True, kw_only=True):
    """A signed claim taken apart: four questions that must not be answered as one."""

    binding: Binding = Binding.NOT_CHECKED
    signature: Signature = Signature.NONE
    chain: Chain = Chain.NONE
    time: SignedAt = SignedAt.UNKNOWN
    chain_name: str = ""
    """Of a private list or pinned key."""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was read: the container, the field in it, and its bytes in the file; offset -1 where it is unknown."""

    container: str
    field: str = ""
    offset: int = -1
    length: int = 0


class ModelName(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a payload names: a ``checkpoint lora embedding controlnet adapter``, or ``other``."""

    kind: str
    name: str
    hash: str = ""


class Setup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a generator was set up, as its payload tells; what triage groups series by. Its texts are an offender's.

    ``repr`` of a record never shows prompts or names; only :meth:`ProvenanceReport.redacted` may leave the process by
    default.
    """

    software: str = ""
    version: str = ""
    prompt: str | None = None
    negative: str | None = None
    seed: str = ""
    sampler: str = ""
    width: int = 0
    height: int = 0
    models: tuple[ModelName, ...] = ()
    files: tuple[str, ...] = ()
    """Names of files that the generator read, such as a starting picture."""

    def __repr__(self) -> str:
        return f"<Setup {self.software or 'unknown'}>"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Attributes:
        kind: what was found, such as ``sd.parameters``, ``comfy.graph``, ``iptc.dst``, ``tc260.label``,
            ``c2pa.manifest``, ``c2pa.ingredient``, ``vendor.signature.novelai``, ``exif.camera``, ``exif.generator``,
            ``stealth.alpha``, ``mark.dwtdct``, ``host.marker``, ``reader.failure``.
        claim: an IPTC term as written, ``generator_present``, ``capture_fields_present`` or ``none``.
        caveat: name of the fixed sentence that a person is shown; see :mod:`rempart.provenance.sentences`.
        generator: quoted, bounded; who is said to have made it.
        signer: quoted, bounded; who is said to have signed it.
        sha256: of the bytes that it was read from.
        excerpt: the beginning of its text, as it stands there; to be escaped by whoever shows it.
        reader: who read it, and the reader's version.
        limits_hit: which limits cut it short.
        cues: what says that a real picture may have been the starting point, or that a person was aimed at; closed
            words such as ``load_image``, ``img2img``, ``inpaint``, ``mask``, ``controlnet``, ``face_swap``,
            ``ip_adapter``, ``lora``, ``init_image``, ``director_reference``.
    """

    kind: str
    claim: str
    strength: Strength
    caveat: str
    location: Location
    generator: str = ""
    signer: str = ""
    integrity: Integrity | None = None
    sha256: str = ""
    excerpt: str = ""
    reader: str = ""
    reader_version: str = ""
    limits_hit: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    setup: Setup | None = None

    def __repr__(self) -> str:
        return f"<Evidence {self.kind} {self.claim} {self.strength}>"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What all evidence together says, by the rules of :mod:`rempart.provenance.combine`.

    Attributes:
        by: the signer, or ``unsigned``; empty where nothing is declared.
        because: places in the report's evidence that decided.
        real_basis: whether anything says that a real picture may have been the starting point.
    """

    declared: Declared
    support: Strength
    by: str = ""
    because: tuple[int, ...] = ()
    priority_effect: PriorityEffect = PriorityEffect.NONE
    real_basis: bool = False
    complete: bool = True
    suggests_generative_ai: bool = False
    """Whether a named person may be asked to confirm NCMEC's field of that name."""
