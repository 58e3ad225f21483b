"""Fields of cameras count when several groups of them fit, and are never held against a file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rempart.provenance.camera import evidence
from rempart.provenance.evidence import Evidence, Strength
from rempart.provenance.fields import Field, FileView

NAME = {"Make": "Canon", "Model": "Canon EOS 80D"}
EXPOSURE = {"ExposureTime": "1/125", "FNumber": "28/10", "ISOSpeedRatings": "200"}
NOTE, SMALL = {"exif.makernote": "ifd"}, {"exif.thumbnail": "160x120"}


def looked(
    said: dict[str, str], structure: dict[str, str] | None = None, size: tuple[int, int] = (6000, 4000)
) -> Evidence | None:
    """The one record of a file with these fields."""
    fields = tuple(
        Field(
            container="exif.IFD0" if name in NAME else "exif.Exif", name=name, data=text.encode(), text=text, offset=40
        )
        for name, text in said.items()
    )
    view = FileView(
        format="jpeg", content=b"", size=1, width=size[0], height=size[1], fields=fields, structure=structure or {}
    )
    found = evidence(view)
    assert len(found) <= 1
    return found[0] if found else None


def strength(*arguments: object) -> Strength | None:
    """How strong that record is."""
    found = looked(*arguments)  # type: ignore[arg-type]
    return found and found.strength


def test_name_exposure_and_makers_block_or_small_picture_are_a_whole_set() -> None:
    """The record says which groups count, and quotes the camera's name once."""
    for third in (NOTE, SMALL, NOTE | SMALL):
        one = looked(NAME | EXPOSURE, third)
        assert one is not None
        assert (one.kind, one.claim) == ("exif.camera", "capture_fields_present")
        assert (one.strength, one.caveat) == (Strength.UNSIGNED_STRUCTURED, "camera_fields")
        assert one.generator == "Canon EOS 80D"
        assert one.excerpt.startswith("make_model exposure")
        assert (one.location.field, one.location.offset) == ("Make", 40)


def test_fewer_groups_are_a_label_and_without_a_name_they_are_nothing() -> None:
    """Whichever they are."""
    assert strength(NAME | EXPOSURE) is Strength.UNSIGNED_LABEL
    assert strength(NAME, NOTE | SMALL) is Strength.UNSIGNED_LABEL
    assert strength(NAME) is Strength.UNSIGNED_LABEL
    assert strength(EXPOSURE, NOTE | SMALL) is None
    assert strength({}, SMALL) is None
    assert strength({}) is None
    assert strength({"Make": "Canon"}) is None


@pytest.mark.parametrize(
    "said",
    [
        {"Make": 'workflow:{"nodes": []}', "Model": 'prompt:{"3": {"class_type": "KSampler"}}'},
        {"Make": "workflow: 1", "Model": "prompt: 2"},
        {"Make": "Ideogram AI"},
        {"Make": "Ideogram AI", "Model": "Ideogram 3.0"},
        {"Make": "x" * 65, "Model": "y" * 65},
        {"Make": "", "Model": "\0\0"},
        {"Make": "Canon\nSteps: 20", "Model": "a\nb"},
    ],
)
def test_what_generators_write_into_a_makers_name_is_no_camera(said: dict[str, str]) -> None:
    """Nor is what is no name at all."""
    assert strength(said) is None


def test_makers_block_counts_only_under_its_makers_name() -> None:
    """A block of another maker, or of nobody, counts for nothing, and costs nothing that is there."""
    nikon = {"Make": "NIKON CORPORATION", "Model": "NIKON D70"} | EXPOSURE
    assert strength(nikon, {"exif.makernote": "Nikon"}) is Strength.UNSIGNED_STRUCTURED
    assert strength(nikon, {"exif.makernote": "Sony"}) is Strength.UNSIGNED_LABEL
    assert strength(nikon, {"exif.makernote": "unknown"}) is Strength.UNSIGNED_LABEL
    assert strength(nikon, {"exif.makernote": "Sony"} | SMALL) is Strength.UNSIGNED_STRUCTURED
    sold_as = {"Make": "RICOH IMAGING COMPANY, LTD.", "Model": "PENTAX K-3"} | EXPOSURE
    assert strength(sold_as, {"exif.makernote": "Pentax"}) is Strength.UNSIGNED_STRUCTURED


@pytest.mark.parametrize(
    ("thumbnail", "size", "fits"),
    [
        ("160x107", (6000, 4000), True),
        ("107x160", (6000, 4000), True),
        ("160x120", (6000, 4000), True),
        ("256x171", (4000, 6000), True),
        ("160x90", (6000, 4000), False),
        ("100x100", (6000, 4000), False),
        ("0x0", (6000, 4000), False),
        ("160x107", (0, 0), False),
        ("x", (6000, 4000), False),
        ("-160x107", (6000, 4000), False),
        ("", (6000, 4000), False),
    ],
)
def test_small_picture_counts_when_it_has_the_shape_of_the_large_one(
    thumbnail: str,
    size: tuple[int, int],
    fits: bool,  # noqa: FBT001 -- what the row expects
) -> None:
    """Or the size that the standard asks for."""
    wanted = Strength.UNSIGNED_STRUCTURED if fits else Strength.UNSIGNED_LABEL
    assert strength(NAME | EXPOSURE, {"exif.thumbnail": thumbnail}, size) is wanted


@pytest.mark.parametrize("nonsense", ["", "0", "-1/125", "1/0", "nan", "light", "9" * 5000, "1/125/2"])
def test_exposure_counts_only_with_numbers_that_can_be_measured(nonsense: str) -> None:
    """Two of the three are enough."""
    measured = {"ExposureTime": "1/125", "FNumber": nonsense, "ISOSpeedRatings": nonsense}
    assert strength(NAME | measured, NOTE) is Strength.UNSIGNED_LABEL
    assert strength(NAME | measured | {"ISOSpeedRatings": "200 200"}, NOTE) is Strength.UNSIGNED_STRUCTURED


def test_samples_of_cameras_have_fields_of_cameras_and_generators_have_none(data: Path) -> None:
    """At least 46 of 52 as a whole set; nothing that a generator made has any."""
    folder = data / "provenance"
    if not folder.is_dir():
        pytest.skip("the data folder holds no samples of origin")
    from rempart.provenance.walk import view_of  # noqa: PLC0415 -- only here

    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {row["path"]: evidence(view_of((folder / row["path"]).read_bytes())) for row in rows}
    cameras = [
        found[row["path"]]
        for row in rows
        if row["path"].startswith("camera/") and row["expected_origin"] == "digitalCapture"
    ]
    assert all(cameras)
    assert sum(one.strength is Strength.UNSIGNED_STRUCTURED for (one,) in cameras) >= 46
    made = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
    assert [row["path"] for row in rows if row["expected_origin"] in made and found[row["path"]]] == []
