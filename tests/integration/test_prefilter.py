"""The rough look at large JPEGs: what it calls clear says so, and is never what the exact way could not read."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rempart.errors import NothingToCompareError, Reason, UsageError
from rempart.hashing import Hashed, Unscannable, digest, hash_image, hash_images
from rempart.hashing.isolated import HashOptions, hash_content
from rempart.hashing.scaled import LEAST_QUALITY, approximate
from rempart.matching import Bank, Kind, Matcher, Outcome, Verdict, specimen
from rempart.matching.bank import DigestRows, PdqRows
from rempart.matching.prefilter import Prefilter
from rempart.media.outcome import Refused
from rempart.settings import MediaSettings

Draw = Callable[..., Image.Image]
Save = Callable[..., bytes]

LARGE = (1500, 1000)
SETTINGS = MediaSettings(workers=1)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def known(lighthouse: Draw) -> Image.Image:
    """A large picture, to be banked."""
    return lighthouse(LARGE, seed=1)


def bank_of(*files: bytes, name: str = "KNOWN", **options: object) -> Bank:
    """A bank with the hashes of these files."""
    hashed = [hash_content(file, SETTINGS, HashOptions()) for file in files]
    rows = [(one.hash.hex(), entry) for entry, item in enumerate(hashed, 1) for one in item.hashes]
    return Bank(name, pdq=PdqRows.of([value for value, _ in rows], [entry for _, entry in rows]), **options)  # type: ignore[arg-type]


def both(matcher: Matcher, files: Sequence[bytes]) -> list[tuple[Verdict, Verdict]]:
    """What the prefilter says of each file, and what the exact way says."""
    prefilter = Prefilter(matcher, settings=SETTINGS)
    rough = [verdict for _, verdict in prefilter.match_images(files)]
    items = hash_images(files, turned=matcher.wants_turned, settings=SETTINGS)
    return list(zip(rough, (matcher.match(item) for _, item in items), strict=True))


def test_far_pictures_are_clear_and_say_by_what(known: Image.Image, lighthouse: Draw, saved: Save) -> None:
    """The reason is there to be seen, with the age of the lists; the exact way needs none."""
    matcher = Matcher([bank_of(saved(known, "JPEG"))])
    strangers = [saved(lighthouse(LARGE, seed=seed), "JPEG") for seed in (2, 3)]
    for rough, exact in both(matcher, strangers):
        assert (rough.verdict, rough.reasons) == (Outcome.CLEAR, (Reason.PREFILTERED,))
        assert rough.lists_as_of == matcher.lists_as_of
        assert (exact.verdict, exact.reasons) == (Outcome.CLEAR, ())


def test_whatever_comes_near_gets_the_exact_verdict(known: Image.Image, saved: Save) -> None:
    """To the last bit of its distance."""
    matcher = Matcher([bank_of(saved(known, "JPEG"))])
    framed = Image.new("RGB", (1800, 1300), "white")
    framed.paste(known, (150, 150))
    copies = [
        saved(known, "JPEG", quality=30),
        saved(known.resize((2100, 1400)), "JPEG"),
        saved(known.convert("L"), "JPEG"),
        saved(known, "JPEG", progressive=True),
        saved(framed, "JPEG"),
    ]
    for rough, exact in both(matcher, copies):
        assert exact.verdict is Outcome.MATCH
        assert rough == exact


def test_turned_copies_are_found_where_the_bank_wants_them(known: Image.Image, saved: Save) -> None:
    """Also those that only their EXIF tag turns."""
    matcher = Matcher([bank_of(saved(known, "JPEG"), turned=True)])
    exif = Image.Exif()
    exif[0x0112] = 6
    tagged = saved(known.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    for rough, exact in both(matcher, [saved(known.transpose(Image.Transpose.ROTATE_270), "JPEG"), tagged]):
        assert exact.verdict is Outcome.MATCH
        assert rough == exact


def test_digests_and_the_specimen_are_found_all_the_same(known: Image.Image, lighthouse: Draw, saved: Save) -> None:
    """A picture of which only the digest is banked, and a large copy of the test item."""
    listed = saved(lighthouse(LARGE, seed=5), "JPEG")
    value = np.frombuffer(bytes.fromhex(digest(listed).md5), np.uint8).reshape(1, 16)
    exact_only = Bank("LISTED", digests={"md5": DigestRows(value, np.array([7]))})
    with Image.open(io.BytesIO(specimen.picture())) as image:
        probe = saved(image.convert("RGB").resize((1600, 1600 * image.height // image.width)), "JPEG")
    assert min(Image.open(io.BytesIO(probe)).size) >= 960
    (rough, exact), (rough_probe, exact_probe) = both(
        Matcher([bank_of(saved(known, "JPEG")), exact_only]), [listed, probe]
    )
    assert rough == exact
    assert exact.reasons == (Reason.EXACT_MATCH,)
    assert rough_probe == exact_probe
    assert exact_probe.specimen


def test_what_is_no_large_whole_plain_jpeg_goes_the_exact_way(
    known: Image.Image, lighthouse: Draw, saved: Save
) -> None:
    """Other formats, small ones, flat ones, cut and broken ones, and no pictures at all."""
    large = lighthouse(LARGE, seed=2)
    whole = saved(large, "JPEG")
    flat = Image.new("RGB", LARGE, "grey")
    flat.paste(lighthouse((150, 100)), (600, 400))
    files = [
        saved(large, "PNG", compress_level=1),
        saved(lighthouse((1400, 900)), "JPEG"),
        saved(large.convert("CMYK"), "JPEG"),
        saved(flat, "JPEG"),
        saved(Image.linear_gradient("L").resize(LARGE), "JPEG"),
        whole[: len(whole) // 2],
        whole[:-2],
        whole[:20_000] + bytes(400) + whole[20_400:],
        whole[:2] + b"stray bytes" + whole[2:],
        whole[:600],
        b"",
        b"no picture",
    ]
    verdicts = both(Matcher([bank_of(saved(known, "JPEG"))]), files)
    assert [rough for rough, _ in verdicts] == [exact for _, exact in verdicts]
    reasons = {reason for rough, _ in verdicts for reason in rough.reasons}
    assert reasons >= {Reason.LOW_QUALITY, Reason.TRUNCATED, Reason.EMPTY, Reason.UNKNOWN_FORMAT}
    assert Reason.PREFILTERED not in reasons


def test_nothing_is_clear_by_a_rough_look_once_a_list_is_stale(
    known: Image.Image, lighthouse: Draw, saved: Save
) -> None:
    """Nor below a bank's own floor of quality, which exact and rough hashes may come to lie on different sides of."""
    stranger = saved(lighthouse(LARGE, seed=2), "JPEG")
    old = bank_of(saved(known, "JPEG"), max_age_seconds=60, refreshed_at=NOW - timedelta(hours=1))
    matcher = Matcher([old], clock=lambda: NOW)
    ((_, verdict),) = Prefilter(matcher, settings=SETTINGS, clock=lambda: NOW).match_images([stranger])
    assert (verdict.verdict, verdict.reasons) == (Outcome.UNSCANNABLE, (Reason.STALE_LIST,))
    strict = Matcher([bank_of(saved(known, "JPEG"), quality_floor=95)])
    ((_, verdict),) = Prefilter(strict, settings=SETTINGS).match_images([stranger])
    assert Reason.PREFILTERED not in verdict.reasons


def test_allowing_banks_are_heard(known: Image.Image, saved: Save) -> None:
    """The exact way cancels what they allow, and says so."""
    file = saved(known, "JPEG")
    copy = saved(known, "JPEG", quality=40)
    matcher = Matcher([bank_of(copy), bank_of(file, name="ALLOWED", kind=Kind.ALLOWING)])
    ((rough, exact),) = both(matcher, [file])
    assert rough == exact
    assert rough.matches


def test_a_margin_that_cannot_be_searched_is_refused(known: Image.Image, saved: Save) -> None:
    """And so is a prefilter that has nothing to compare with, or that only allows."""
    matcher = Matcher([bank_of(saved(known, "JPEG"))])
    for margin in (-1, 33):
        with pytest.raises(UsageError, match="margin"):
            Prefilter(matcher, margin=margin, settings=SETTINGS)
    assert Prefilter(matcher, margin=32, settings=SETTINGS)
    with pytest.raises(NothingToCompareError):
        Prefilter(Matcher([bank_of(saved(known, "JPEG"), kind=Kind.ALLOWING)]), settings=SETTINGS)


def test_what_is_unscannable_can_be_done_otherwise(known: Image.Image, saved: Save) -> None:
    """As with hash_images: so videos find their way."""
    file = saved(known, "JPEG")
    item = hash_image(file, settings=SETTINGS)
    assert isinstance(item, Hashed)

    def otherwise(source: bytes, outcome: Unscannable) -> Hashed | Unscannable:
        return item if source == b"a video" else outcome

    results = Prefilter(Matcher([bank_of(file)]), settings=SETTINGS).match_images(
        [b"other", b"a video"], otherwise=otherwise
    )
    assert [verdict.verdict for _, verdict in results] == [Outcome.UNSCANNABLE, Outcome.MATCH]


@pytest.fixture(scope="module")
def jpegs(lighthouse: Draw, saved: Save) -> list[bytes]:
    """Just large enough; baseline, progressive, with restart markers."""
    image = lighthouse((1080, 960), seed=3)
    return [saved(image, "JPEG", quality=60), saved(image, "JPEG", progressive=True, quality=40)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_rough_look_never_passes_what_the_exact_way_cannot_read_whole(
    jpegs: list[bytes], data: st.DataObject
) -> None:
    """Bytes changed, cut out and put in anywhere: the rough look gives up, or the exact hashes say nothing is wrong."""
    content = bytearray(jpegs[data.draw(st.integers(0, 1))])
    where = st.one_of(st.integers(0, 700), st.integers(0, 1 << 20))
    for at, count, new in data.draw(st.lists(st.tuples(where, st.integers(0, 4), st.binary(max_size=4)), max_size=3)):
        start = at % len(content)
        content[start : start + count] = new
    rough = approximate(bytes(content), SETTINGS, with_turned=False)
    if rough is None:
        return
    try:
        exact = hash_content(bytes(content), SETTINGS, HashOptions())
    except Refused:
        exact = None
    assert exact is not None
    assert exact.reason is None
    assert exact.quality >= LEAST_QUALITY - 20
    assert (exact.width, exact.height, exact.md5) == (rough.width, rough.height, rough.md5)
