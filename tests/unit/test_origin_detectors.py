"""Detectors over real files: each sample of a front end, a service or a label says what is known of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings

from fuzz.strategies import mutated
from fuzz.target import check, find
from rempart.provenance.detectors import TABLE, detect
from rempart.provenance.evidence import Evidence, Strength
from rempart.provenance.walk import view_of

MADE = {"generator_present", "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"}
WORDS = {"possible-ai": "possibly_generated", "suspected-ai": "suspected_generated"}
"""What the list of samples says -> the word for it in a record."""

UNSIGNED = {Strength.UNSIGNED_LABEL, Strength.UNSIGNED_STRUCTURED}
PROMPTS_RIGHT = 0.95


@pytest.fixture(scope="module")
def rows(data: Path) -> list[tuple[dict[str, str], list[Evidence]]]:
    """Each row of the list of samples with what the detectors find in its file."""
    folder = data / "provenance"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: it holds the samples")
    with (folder / "manifest.csv").open(encoding="utf-8", errors="replace", newline="") as manifest:
        listed = list(csv.DictReader(manifest))
    return [(row, detect(view_of((folder / row["path"]).read_bytes()))) for row in listed]


def in_text(row: dict[str, str]) -> bool:
    """Whether the file's texts say where it comes from, as far as the list of samples tells."""
    return row["expected_strength"].startswith("embedded-unsigned") and not row["path"].startswith("camera/")


def folded(text: str) -> str:
    """A prompt with all white space alike; the list of samples writes some line ends as a backslash and a letter."""
    return " ".join(text.replace("\\r", " ").replace("\\", " ").split())


def test_every_sample_says_what_is_known_of_it(rows: list[tuple[dict[str, str], list[Evidence]]]) -> None:
    """Generators are found, labels are told in their own words, and a picture of an editor is none of a generator."""
    wrong = []
    for row, records in rows:
        expected = row["expected_origin"]
        claims = {one.claim for one in records if one.strength in UNSIGNED}
        if in_text(row) and expected == "trainedAlgorithmicMedia":
            good = bool(claims & MADE)
        elif in_text(row):
            good = claims == {WORDS.get(expected, expected)}
        else:
            good = not claims & MADE or "c2pa-ai" in row["path"]
        if not good:
            wrong.append((row["path"], sorted(claims)))
    assert not wrong
    assert sum(in_text(row) for row, _ in rows) >= 50


def test_no_camera_is_called_a_generator(rows: list[tuple[dict[str, str], list[Evidence]]]) -> None:
    """Nothing at all is said of what made the pictures of cameras."""
    cameras = [
        (row["path"], [one.kind for one in records]) for row, records in rows if row["path"].startswith("camera/")
    ]
    assert [path for path, kinds in cameras if kinds] == []
    assert len(cameras) >= 50


def test_prompts_are_as_they_were_written(rows: list[tuple[dict[str, str], list[Evidence]]]) -> None:
    """From its beginning; the list of samples leaves out letters that are not ASCII and what follows them."""
    right, wrong = 0, []
    for row, records in rows:
        if not (row["expected_prompt"] and in_text(row)):
            continue
        expected = folded(row["expected_prompt"])
        told = [folded(one.setup.prompt) for one in records if one.setup and one.setup.prompt]
        # What follows in the file is no letter, so that a prompt that was cut in a word does not count.
        if any(text.startswith(expected) and not text[len(expected) :][:1].isalnum() for text in told):
            right += 1
        else:
            wrong.append(row["path"])
    assert right >= PROMPTS_RIGHT * (right + len(wrong)), wrong
    assert right >= 40


def test_hostile_samples_claim_nothing(rows: list[tuple[dict[str, str], list[Evidence]]]) -> None:
    """Bombs give no record, or one that says that a reader gave up; a ring of nodes is a label."""
    for row, records in rows:
        if row["expected_strength"] == "hostile":
            assert all(one.claim == "none" for one in records), row["path"]
        if "cyclic" in row["path"]:
            assert [one.strength for one in records] == [Strength.UNSIGNED_LABEL]


def test_records_are_bounded_and_say_where_they_were_read(
    rows: list[tuple[dict[str, str], list[Evidence]]],
) -> None:
    """Digest, excerpt, reader and place."""
    for row, records in rows:
        for one in records:
            assert len(one.sha256) == 64, row["path"]
            assert len(one.excerpt) <= 240
            assert len(one.generator) <= 160
            assert one.reader
            assert one.reader_version
            assert one.location.container


def test_the_order_of_files_changes_nothing(data: Path) -> None:
    """The same file says the same whatever was looked at before it."""
    folder = data / "provenance"
    names = sorted(path for path in folder.glob("*/*") if path.parent.name in {"comfyui", "a1111", "other"})[:60]
    first = [detect(view_of(path.read_bytes())) for path in names]
    second = [detect(view_of(path.read_bytes())) for path in reversed(names)]
    assert first == second[::-1]


def test_each_row_of_the_table_has_a_name_of_its_own() -> None:
    """Failures are told by it."""
    names = [row.detector for row in TABLE]
    assert len(set(names)) == len(names)


@given(mutated(list(find("provenance.detect").seeds()), find("provenance.detect").words))
@settings(deadline=None)
def test_no_text_makes_a_detector_fail(fields: bytes) -> None:
    """Nor a record that is larger than it may be, or another one when the file is looked at again."""
    check(find("provenance.detect"), fields)


def test_the_texts_to_begin_from_are_all_told() -> None:
    """Else nothing is tried on the detectors that overlook theirs."""
    for seed in find("provenance.detect").seeds():
        check(find("provenance.detect"), seed)
