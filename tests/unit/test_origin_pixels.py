"""What generators leave in the pixels: hidden texts, NovelAI's signature, open marks."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image, PngImagePlugin

from rempart.provenance import dwtdct
from rempart.provenance.evidence import Binding, Chain, Evidence, Signature, Strength
from rempart.provenance.fields import Field, FileView, Limits
from rempart.provenance.pixels import NOVELAI_KEY, evidence, hidden_text, novelai_signature, worth_looking

Pixels = npt.NDArray[np.uint8]

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
PARAMETERS = (
    "a red lighthouse by the sea\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, "
    "Size: 96x64, Model hash: 0123456789, Model: shore, Version: v1.10.1"
)


@pytest.fixture(scope="module")
def picture(lighthouse: Callable[..., Image.Image]) -> Pixels:
    """The pixels of a picture with nothing hidden in them."""
    return np.asarray(lighthouse((96, 64), 7).convert("RGBA"))


def hiding(pixels: Pixels, payload: bytes, magic: bytes, length: int | None = None) -> Pixels:
    """The pixels with a payload in the alpha plane; ``length`` in bits is what it says of itself."""
    said = magic + (8 * len(payload) if length is None else length).to_bytes(4, "big") + payload
    bits = np.unpackbits(np.frombuffer(said, np.uint8))
    changed = pixels.copy()
    column = changed[:, :, 3].T.ravel().copy()
    column[: bits.size] = (column[: bits.size] & 0xFE) | bits
    changed[:, :, 3] = column.reshape(changed.shape[1], changed.shape[0]).T
    return changed


def saved(pixels: Pixels, format: str = "PNG", **texts: str) -> bytes:  # noqa: A002 -- Pillow's word
    """The file of these pixels, with texts where the format has them."""
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    options: dict[str, Any] = {"pnginfo": info} if format == "PNG" else {"lossless": True, "exact": True}
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


def view(pixels: Pixels, content: bytes, format: str = "png", *fields: Field) -> FileView:  # noqa: A002
    """What readers make of that file."""
    height, width, channels = pixels.shape
    return FileView(
        format=format,
        content=content,
        size=len(content),
        width=width,
        height=height,
        alpha=channels == 4,
        fields=fields,
    )


def looked(pixels: Pixels, format: str = "png", *fields: Field, **options: Any) -> list[Evidence]:  # noqa: A002, ANN401
    """The evidence in the pixels of a file that is made of them."""
    content = saved(pixels, format.upper())
    return evidence(content, view(pixels, content, format, *fields), **options)


def signed(pixels: Pixels, key: Ed25519PrivateKey = KEY, **changes: object) -> dict[str, Any]:
    """Parameters as NovelAI writes them, signed together with the pixels."""
    comment: dict[str, Any] = {
        "prompt": "a red lighthouse",
        "steps": 28,
        "scale": 5.0,
        "seed": 1,
        "uc": "",
        "w": 0.1 + 0.2,
    }
    comment |= {
        "v4_prompt": {"caption": {"base_caption": "un phare à l'aube"}},
        "request_type": "PromptGenerateRequest",
    }
    message = np.ascontiguousarray(pixels[:, :, :3]).tobytes() + json.dumps(comment).encode()
    return comment | {"signed_hash": base64.b64encode(key.sign(message)).decode()} | changes


def comment_field(comment: dict[str, Any]) -> Field:
    """Those parameters as a text of a PNG."""
    text = json.dumps(comment)
    return Field(container="png.tEXt", name="Comment", data=text.encode(), text=text)


def signature_in(found: list[Evidence]) -> Evidence:
    """The one record of a signature."""
    one, *others = [one for one in found if one.kind == "vendor.signature.novelai"]
    assert not others
    return one


@pytest.mark.parametrize("format_", ["png", "webp"])
@pytest.mark.parametrize(
    ("magic", "payload"),
    [(b"stealth_pnginfo", PARAMETERS.encode()), (b"stealth_pngcomp", gzip.compress(PARAMETERS.encode()))],
)
def test_hidden_parameters_are_read_as_if_they_stood_in_a_text(
    picture: Pixels, magic: bytes, payload: bytes, format_: str
) -> None:
    """Both ways of writing them, in both formats that keep an alpha plane."""
    found = looked(hiding(picture, payload, magic), format_)
    assert [(one.kind, one.location.container) for one in found] == [("sd.parameters", "stealth.alpha")]
    assert found[0].setup is not None
    assert found[0].setup.prompt == "a red lighthouse by the sea"


def test_hidden_text_of_no_known_kind_is_told_and_claims_nothing(picture: Pixels) -> None:
    """Somebody put something there, which is worth knowing."""
    (one,) = looked(hiding(picture, b"lighthouse keeper's log", b"stealth_pnginfo"))
    assert (one.kind, one.claim, one.strength) == ("stealth.alpha", "none", Strength.UNSIGNED_LABEL)
    assert "lighthouse" not in repr(one) + one.excerpt


def test_picture_with_nothing_hidden_says_nothing(picture: Pixels) -> None:
    """With or without an alpha plane."""
    assert looked(picture) == []
    assert looked(picture[:, :, :3]) == []
    assert hidden_text(picture[:1, :1, 3]) is None


@pytest.mark.parametrize(
    ("payload", "length"),
    [
        (gzip.compress(bytes(8 << 20)), None),
        (gzip.compress(PARAMETERS.encode())[:60], None),
        (b"no gzip at all", None),
        (b"", 2**32 - 1),
        (gzip.compress(PARAMETERS.encode()), 2**31),
    ],
)
def test_hidden_bomb_or_cut_text_is_cut_short_and_said_to_be(
    lighthouse: Callable[..., Image.Image], payload: bytes, length: int | None
) -> None:
    """It inflates no further than the limit of a field."""
    pixels = np.asarray(lighthouse((512, 256), 7).convert("RGBA"))
    bomb = hiding(pixels, payload, b"stealth_pngcomp", length)
    (one,) = looked(bomb, limits=Limits(field_bytes=1 << 20))
    assert (one.kind, one.limits_hit) == ("stealth.alpha", ("field_bytes",))
    assert one.location.length <= 1 << 20


def test_plain_text_longer_than_the_plane_is_cut_short(picture: Pixels) -> None:
    """The plane's own size bounds it."""
    (one,) = looked(hiding(picture, b"Steps: 1", b"stealth_pnginfo", 2**32 - 8))
    assert one.limits_hit == ("field_bytes",)


@pytest.mark.parametrize("channels", [3, 4])
def test_signature_over_pixels_and_parameters_is_verified(picture: Pixels, channels: int) -> None:
    """Floats, nested objects and letters beyond ASCII are written back as they were signed."""
    pixels = picture[:, :, :channels]
    one = signature_in(looked(pixels, "png", comment_field(signed(pixels)), key=PUBLIC))
    assert (one.strength, one.claim, one.caveat) == (
        Strength.SIGNED_INTACT,
        "generator_present",
        "novelai_signature_valid",
    )
    assert one.integrity is not None
    assert (one.integrity.binding, one.integrity.signature) == (Binding.MATCH, Signature.VALID)
    assert one.integrity.chain is Chain.PINNED
    assert one.integrity.chain_name.startswith("novelai ")


@pytest.mark.parametrize("format_", ["png", "webp"])
def test_signature_in_the_alpha_plane_survives_the_loss_of_all_texts(picture: Pixels, format_: str) -> None:
    """As it does where a platform drops chunks and keeps pixels."""
    wrapped = json.dumps({"Software": "NovelAI", "Comment": json.dumps(signed(picture))})
    pixels = hiding(picture, gzip.compress(wrapped.encode()), b"stealth_pngcomp")
    assert signature_in(looked(pixels, format_, key=PUBLIC)).strength is Strength.SIGNED_INTACT


def test_same_parameters_in_text_and_plane_count_once(picture: Pixels) -> None:
    """They are one statement."""
    comment = signed(picture)
    pixels = hiding(picture, gzip.compress(json.dumps({"Comment": json.dumps(comment)}).encode()), b"stealth_pngcomp")
    assert signature_in(looked(pixels, "png", comment_field(comment), key=PUBLIC)).location.container == "Comment"


def test_one_value_of_one_pixel_breaks_the_signature(picture: Pixels) -> None:
    """So does a parameter, another key, and a signature that is none."""
    comment = signed(picture)
    assert novelai_signature(picture, comment, PUBLIC)
    changed = picture.copy()
    changed[10, 10, 1] ^= 1
    assert not novelai_signature(changed, comment, PUBLIC)
    assert not novelai_signature(picture, comment | {"seed": 2}, PUBLIC)
    assert not novelai_signature(picture, comment)
    assert not novelai_signature(np.ascontiguousarray(picture[:, ::-1]), comment, PUBLIC)
    for nonsense in ("", "AAAA", "no base64!", 7, None, "é" * 88):
        assert not novelai_signature(picture, comment | {"signed_hash": nonsense}, PUBLIC)
    one = signature_in(looked(changed, "png", comment_field(comment), key=PUBLIC))
    assert (one.strength, one.caveat) == (Strength.SIGNED_BROKEN, "novelai_signature_broken")


def test_key_is_the_one_that_novelai_publishes() -> None:
    """As in their own program, so that a slip of the pen does not turn all signatures invalid."""
    assert base64.b64encode(NOVELAI_KEY) == b"Y2JcQAOhLwzwSDUJPNgL04nS0Tbqm7cSRc4xk0vRMic="


def test_parameters_nested_too_deep_are_not_read(picture: Pixels) -> None:
    """The signature of such a text is not looked at."""
    text = '{"signed_hash": ' + 20_000 * "[" + 20_000 * "]" + "}"
    assert looked(picture, "png", Field(container="png.tEXt", name="Comment", data=b"", text=text), key=PUBLIC) == []


def test_picture_beyond_the_limit_is_not_decoded(picture: Pixels) -> None:
    """Whether its header tells the truth or not."""
    content = saved(picture)
    large = FileView(format="png", content=content, size=len(content), width=60_000, height=60_000, alpha=True)
    small = FileView(format="png", content=content, size=len(content), width=1, height=1, alpha=True)
    for one in (evidence(content, large)[0], evidence(content, small, Limits(pixels=1000))[0]):
        assert one.kind == "reader.failure"


def test_broken_picture_is_a_failure_and_tells_nothing_of_the_file(picture: Pixels) -> None:
    """What a decoder says of it may quote it."""
    content = saved(picture)
    for broken in (content[:60], content[:33], b"", content.replace(b"IDAT", b"JDAT")):
        (one,) = evidence(broken, view(picture, broken))
        assert (one.kind, one.excerpt) == ("reader.failure", "the picture cannot be decoded")


def test_text_too_long_for_the_decoder_does_not_hide_the_pixels(picture: Pixels) -> None:
    """Pillow gives up a picture over one such text."""
    pixels = hiding(picture, PARAMETERS.encode(), b"stealth_pnginfo")
    info = PngImagePlugin.PngInfo()
    info.add_text("noise", "x" * (3 << 20), zip=True)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", pnginfo=info)
    assert evidence(out.getvalue(), view(pixels, out.getvalue()))[0].kind == "sd.parameters"


def test_only_what_may_hold_something_is_decoded(picture: Pixels) -> None:
    """A JPEG never is, for it keeps no exact pixels."""
    content = saved(picture)
    assert worth_looking(view(picture, content))
    assert not worth_looking(view(picture[:, :, :3], content))
    assert worth_looking(view(picture[:, :, :3], content, "png", comment_field({"signed_hash": ""})))
    assert worth_looking(view(picture[:, :, :3], content), marks=True)
    assert not worth_looking(view(picture, content, "jpeg"), marks=True)


# Open marks.


def stamped(pixels: Pixels, code: bytes) -> Pixels:
    """The pixels with a mark in them, as the published scheme writes it."""
    rgb = pixels[:, :, :3].astype(np.float64)
    luma = rgb @ [0.299, 0.587, 0.114]
    blue, red = (rgb[:, :, 2] - luma) * 0.492 + 128, (rgb[:, :, 0] - luma) * 0.877 + 128
    low = (blue[0::2, 0::2] + blue[0::2, 1::2] + blue[1::2, 0::2] + blue[1::2, 1::2]) / 2
    rows, columns = low.shape[0] // 4, low.shape[1] // 4
    blocks = low[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).transpose(0, 2, 1, 3).reshape(-1, 16).copy()
    bits = np.resize(np.unpackbits(np.frombuffer(code, np.uint8)), rows * columns)
    place = np.abs(blocks[:, 1:]).argmax(axis=1) + 1
    rank = np.arange(rows * columns)
    blocks[rank, place] = (blocks[rank, place] // 36 + 0.25 + 0.5 * bits) * 36
    changed = low.copy()
    changed[: rows * 4, : columns * 4] = (
        blocks.reshape(rows, columns, 4, 4).transpose(0, 2, 1, 3).reshape(rows * 4, columns * 4)
    )
    blue += np.kron((changed - low) / 2, np.ones((2, 2)))
    out = np.empty_like(rgb)
    out[:, :, 0] = luma + (red - 128) / 0.877
    out[:, :, 2] = luma + (blue - 128) / 0.492
    out[:, :, 1] = (luma - 0.299 * out[:, :, 0] - 0.114 * out[:, :, 2]) / 0.587
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def carrier() -> Pixels:
    """A grey sea, in which a mark lasts: in other pictures the scheme loses it while it is written."""
    rows, columns = np.mgrid[0:320, 0:400]
    waves = 120 + rows / 20 + 12 * np.sin(rows / 9.0 + columns / 23.0)
    return np.stack([waves - 1, waves, waves + 3], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("mark", dwtdct.MARKS, ids=lambda mark: mark.name)
def test_mark_is_found_and_no_other(carrier: Pixels, mark: dwtdct.Mark) -> None:
    """Each by its own code."""
    pixels = stamped(carrier, mark.code)
    assert dwtdct.marks(pixels) == [mark.name]
    content = saved(pixels)
    (one,) = evidence(content, view(pixels, content), marks=True)
    assert (one.kind, one.strength, one.generator) == ("mark.dwtdct", Strength.PIXEL_MARK, mark.name)
    assert evidence(content, view(pixels, content)) == []


def test_unmarked_pictures_and_other_codes_hold_none_of_them(
    carrier: Pixels, lighthouse: Callable[..., Image.Image]
) -> None:
    """Neither do flat pictures, noise, and pictures too small for the scheme."""
    assert dwtdct.marks(carrier) == []
    assert dwtdct.marks(stamped(carrier, b"Lighthouse")) == []
    assert dwtdct.marks(np.full((300, 300, 3), 200, np.uint8)) == []
    assert dwtdct.marks(np.zeros((300, 300, 3), np.uint8)) == []
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    assert dwtdct.marks(noise) == []
    assert dwtdct.marks(stamped(carrier, dwtdct.MARKS[0].code)[:200, :200]) == []
    for seed in range(12):
        assert dwtdct.marks(np.asarray(lighthouse((400, 300), seed).convert("RGB"))) == []


def test_mark_is_lost_by_jpeg_which_is_why_only_exact_formats_are_looked_at(carrier: Pixels) -> None:
    """So that no mark being found says nothing."""
    out = io.BytesIO()
    Image.fromarray(stamped(carrier, dwtdct.MARKS[0].code)).save(out, "JPEG", quality=80)
    assert dwtdct.marks(np.asarray(Image.open(out))) == []


# The samples.


@pytest.fixture(scope="module")
def samples(data: Path) -> Path:
    """The folder of samples of origin."""
    folder = data / "provenance"
    if not folder.is_dir():
        pytest.skip("the data folder holds no samples of origin")
    return folder


def looked_at(path: Path) -> list[Evidence]:
    """What the pixels of a sample say, through the real readers."""
    from rempart.provenance.walk import view_of  # noqa: PLC0415 -- only here

    content = path.read_bytes()
    return evidence(content, view_of(content), marks=True)


def test_sample_whose_pixels_were_made_neutral_has_a_broken_signature(samples: Path) -> None:
    """Its texts are as they were."""
    assert (
        signature_in(looked_at(samples / "novelai" / "enslo_png_novelai-curated.png")).strength
        is Strength.SIGNED_BROKEN
    )


def test_samples_without_a_hidden_text_or_mark_say_nothing(samples: Path) -> None:
    """All lossless ones but those whose table says so."""
    hiding_something = {"stealth-a1111-raw.png", "bomb-stealth-64MiB.png", "enslo_png_novelai-curated.png"}
    told = {
        path.name
        for path in sorted(samples.rglob("*"))
        if path.suffix in {".png", ".webp"}
        for one in looked_at(path)
        if one.kind != "reader.failure"
    }
    assert told == hiding_something
