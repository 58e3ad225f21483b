"""What generators leave in the pixels themselves: texts in the alpha plane, NovelAI's signature, open marks.

For use inside a child process only, for it decodes a picture. Only formats that keep pixels exactly are looked at; a
copy that was scaled, cut or saved as JPEG holds none of this, which says nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from PIL import Image

from rempart.provenance import dwtdct
from rempart.provenance.detectors import detect
from rempart.provenance.detectors.texts import read_json
from rempart.provenance.evidence import (
    Binding,
    Chain,
    Evidence,
    Integrity,
    Location,
    Setup,
    Signature,
    SignedAt,
    Strength,
)
from rempart.provenance.fields import DEFAULT_LIMITS, Field, FileView, Limits

READER: Final = "pixels"
VERSION: Final = "1"
STEALTH: Final = "stealth.alpha"

NOVELAI_KEY: Final = base64.b64decode("Y2JcQAOhLwzwSDUJPNgL04nS0Tbqm7cSRc4xk0vRMic=")
"""The key that NovelAI publishes (MIT licence) to verify its pictures with: novelai-image-metadata, nai_sig.py."""

_EXACT: Final = frozenset(("png", "webp"))
_MARKED: Final = frozenset(("png", "webp", "bmp"))
_KEPT: Final = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_PNG_HEAD: Final = 8
_CHUNK_EDGE: Final = 12  # length, name and checksum
_COMPRESSED, _PLAIN = b"stealth_pngcomp", b"stealth_pnginfo"
_MAGIC_BYTES: Final = len(_PLAIN)
_HEAD_BITS: Final = 8 * (_MAGIC_BYTES + 4)
_GZIP: Final = 16 + zlib.MAX_WBITS
_SIGNED: Final = "signed_hash"
_COMMENTS: Final = ("Comment", "UserComment")
_WITH_ALPHA: Final = 4

Pixels: TypeAlias = npt.NDArray[np.uint8]


class Hidden(msgspec.Struct, frozen=True):
    """A text that was found in the alpha plane, and whether it is cut short."""

    content: bytes
    truncated: bool = False

    def __repr__(self) -> str:
        """The length alone: it holds prompts."""
        return f"<Hidden {len(self.content)} bytes>"


def worth_looking(view: FileView, *, marks: bool = False) -> bool:
    """Whether anything of this may be in a picture, by what its header and texts say: decoding takes time."""
    if marks and view.format in _MARKED:
        return True
    return view.format in _EXACT and (view.alpha or any(_SIGNED in one for one in _comments(view)))


def evidence(
    content: bytes,
    view: FileView,
    limits: Limits = DEFAULT_LIMITS,
    *,
    marks: bool = False,
    key: bytes = NOVELAI_KEY,
) -> list[Evidence]:
    """All that the pixels of a picture say of its origin.

    Args:
        content: the file.
        view: what was read of it without looking at its pixels.
        limits: how far to go.
        marks: whether to look for open marks too, which takes 20 ms a megapixel and finds little.
        key: the one that NovelAI's signature is held against.
    """
    if not worth_looking(view, marks=marks):
        return []
    if view.width * view.height > limits.pixels:
        return [_failed("too many pixels", "pixels")]
    try:
        pixels = _decoded(content, view, limits)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- decoders raise whatever they like; what they say may quote the file
        return [_failed("the picture cannot be decoded")]
    if pixels is None:
        return []
    found: list[Evidence] = []
    hidden = hidden_text(pixels[:, :, 3], limits) if pixels.shape[2] == _WITH_ALPHA and view.format in _EXACT else None
    if hidden is not None:
        found += _told(hidden, view, limits)
    if view.format in _EXACT:
        found += _signatures(pixels, view, hidden, limits, key)
    if marks:
        found += [_mark(name) for name in dwtdct.marks(pixels[:, :, :3])]
    return found


def hidden_text(alpha: Pixels, limits: Limits = DEFAULT_LIMITS) -> Hidden | None:
    """The text in the lowest bits of an alpha plane, read column by column; None where there is none.

    Args:
        alpha: uint8 of shape (height, width).
        limits: how long the text may be, before and after it is inflated.
    """
    head = _bits(alpha, 0, _HEAD_BITS)
    magic, length = head[:_MAGIC_BYTES], int.from_bytes(head[_MAGIC_BYTES:], "big")
    if magic not in (_COMPRESSED, _PLAIN):
        return None
    most = min(length, 8 * limits.field_bytes, alpha.size - _HEAD_BITS) // 8 * 8
    packed = _bits(alpha, _HEAD_BITS, most)
    truncated = most < length // 8 * 8
    if magic == _PLAIN:
        return Hidden(packed, truncated)
    inflater = zlib.decompressobj(_GZIP)
    try:
        content = inflater.decompress(packed, limits.field_bytes)
    except zlib.error:
        return Hidden(b"", truncated=True)
    return Hidden(content, truncated or bool(inflater.unconsumed_tail) or not inflater.eof)


def novelai_signature(pixels: Pixels, comment: dict[str, Any], key: bytes = NOVELAI_KEY) -> bool:
    """Whether NovelAI signed these very pixels together with these very parameters.

    Args:
        pixels: uint8 of shape (height, width, 3 or more); only red, green and blue are signed.
        comment: the parameters as read from JSON, with the signature; the order of its keys counts.
        key: the 32 bytes of the public key.
    """
    said = dict(comment)
    signature = said.pop(_SIGNED, None)
    try:
        signed = base64.b64decode(signature if isinstance(signature, str) else "", validate=True)
        message = np.ascontiguousarray(pixels[:, :, :3]).tobytes() + json.dumps(said).encode()
        Ed25519PublicKey.from_public_bytes(key).verify(signed, message)
    except (InvalidSignature, binascii.Error, ValueError, RecursionError):
        return False
    return True


def _decoded(content: bytes, view: FileView, limits: Limits) -> Pixels | None:
    """The pixels as they are stored, neither turned nor laid over anything; None where they are not in colour."""
    bare = _bare_png(content) if view.format == "png" else content
    with Image.open(io.BytesIO(bare), formats=((view.format or "").upper(),)) as image:
        if image.width * image.height > limits.pixels:
            raise ValueError("too many pixels")
        if image.mode not in ("RGB", "RGBA"):
            return None
        return np.asarray(image)


def _bare_png(content: bytes) -> bytes:
    """A PNG without its texts: Pillow would inflate them, and give up the picture for one that is too long."""
    kept = [content[:_PNG_HEAD]]
    at = _PNG_HEAD
    while at + _CHUNK_EDGE <= len(content):
        end = at + _CHUNK_EDGE + int.from_bytes(content[at : at + 4], "big")
        name = content[at + 4 : at + 8]
        if name in _KEPT:
            kept.append(content[at:end])
        if name == b"IEND":
            break
        at = end
    return b"".join(kept)


def _bits(alpha: Pixels, start: int, count: int) -> bytes:
    """So many of the lowest bits, from one place in the order of columns on, packed to bytes."""
    height = alpha.shape[0]
    first, last = start // height, -(-(start + count) // height)
    lowest = np.ascontiguousarray((alpha[:, first:last] & 1).T).ravel()
    begin = start - first * height
    return np.packbits(lowest[begin : begin + count]).tobytes()


def _told(hidden: Hidden, view: FileView, limits: Limits) -> list[Evidence]:
    """What the text in the alpha plane says, by whoever knows texts of that kind."""
    if hidden.truncated:
        return [_unknown(hidden, ("field_bytes",))]
    field = Field(
        container=STEALTH, name="parameters", data=hidden.content, text=hidden.content.decode("utf-8", "replace")
    )
    carrier = FileView(
        format=view.format,
        content=b"",
        size=view.size,
        width=view.width,
        height=view.height,
        alpha=True,
        fields=(field,),
    )
    return detect(carrier, limits) or [_unknown(hidden)]


def _unknown(hidden: Hidden, limits_hit: tuple[str, ...] = ()) -> Evidence:
    return Evidence(
        kind=STEALTH,
        claim="none",
        strength=Strength.UNSIGNED_LABEL,
        caveat="stealth_alpha",
        location=Location(container=STEALTH, length=len(hidden.content)),
        sha256=hashlib.sha256(hidden.content).hexdigest(),
        reader=READER,
        reader_version=VERSION,
        limits_hit=limits_hit,
    )


def _signatures(
    pixels: Pixels, view: FileView, hidden: Hidden | None, limits: Limits, key: bytes
) -> Iterator[Evidence]:
    """A record for each different set of parameters that holds a signature."""
    texts = [(text, "Comment") for text in _comments(view)]
    if hidden is not None and not hidden.truncated:
        texts.append((hidden.content.decode("utf-8", "replace"), STEALTH))
    seen: list[dict[str, Any]] = []
    for text, place in texts:
        comment = _comment_in(text, limits)
        if comment is None or comment in seen:
            continue
        seen.append(comment)
        yield _signed(place, text, key, valid=novelai_signature(pixels, comment, key))


def _comments(view: FileView) -> list[str]:
    return [field.text for field in view.named(*_COMMENTS) if field.text and _SIGNED in field.text]


def _comment_in(text: str, limits: Limits) -> dict[str, Any] | None:
    """The parameters that a text holds, themselves or as a text within; None where they hold no signature."""
    for _ in range(3):
        value = read_json(text, limits).value
        if not isinstance(value, dict):
            return None
        if _SIGNED in value:
            return value
        inner = value.get("Comment")
        if not isinstance(inner, str):
            return None
        text = inner
    return None


def _signed(place: str, text: str, key: bytes, *, valid: bool) -> Evidence:
    """The record of a signature. It is one over pixels and parameters: when it fails, nobody can say which changed."""
    return Evidence(
        kind="vendor.signature.novelai",
        claim="generator_present",
        strength=Strength.SIGNED_INTACT if valid else Strength.SIGNED_BROKEN,
        caveat="novelai_signature_valid" if valid else "novelai_signature_broken",
        location=Location(container=place, field=_SIGNED),
        generator="NovelAI",
        signer="NovelAI",
        integrity=Integrity(
            binding=Binding.MATCH if valid else Binding.MISMATCH,
            signature=Signature.VALID if valid else Signature.INVALID,
            chain=Chain.PINNED if valid else Chain.NONE,
            time=SignedAt.UNKNOWN,
            chain_name=f"novelai {hashlib.sha256(key).hexdigest()[:16]}",
        ),
        sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        reader=READER,
        reader_version=VERSION,
        setup=Setup(software="NovelAI"),
    )


def _mark(name: str) -> Evidence:
    return Evidence(
        kind="mark.dwtdct",
        claim="generator_present",
        strength=Strength.PIXEL_MARK,
        caveat="pixel_mark",
        location=Location(container="pixels", field="dwtDct"),
        generator=name,
        reader=READER,
        reader_version=VERSION,
    )


def _failed(why: str, *limits_hit: str) -> Evidence:
    return Evidence(
        kind="reader.failure",
        claim="none",
        strength=Strength.NONE,
        caveat="reader_failed",
        location=Location(container="pixels"),
        excerpt=why,
        reader=READER,
        reader_version=VERSION,
        limits_hit=limits_hit,
    )
