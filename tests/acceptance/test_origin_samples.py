"""Every sample of known origin: what is declared, who vouches, and what the samples were made to trap."""

from __future__ import annotations

import csv
import random
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from rempart.provenance.evidence import Declared, Evidence, PriorityEffect, Strength
from rempart.provenance.examine import examine_files
from rempart.provenance.report import ProvenanceReport
from rempart.provenance.sentences import LANGUAGES, _words

# What a row of the manifest calls an origin, and what may be declared of it. Unsigned claims of a capture are declared
# as one only where fields fit each other; AI with a cue of a starting point is an AI composite.
DECLARED = {
    "trainedAlgorithmicMedia": {Declared.AI_GENERATED, Declared.AI_COMPOSITE},
    "compositeWithTrainedAlgorithmicMedia": {Declared.AI_COMPOSITE},
    "compositeSynthetic": {Declared.AI_COMPOSITE},
    "digitalCapture": {Declared.CAPTURE, Declared.OTHER_DECLARED},
    "computationalCapture": {Declared.CAPTURE, Declared.OTHER_DECLARED},
    "compositeCapture": {Declared.CAPTURE, Declared.OTHER_DECLARED},
    "screenCapture": {Declared.SCREEN_CAPTURE},
    "unknown": {Declared.NONE, Declared.UNREADABLE},
}
UNSIGNED = {Strength.UNSIGNED_STRUCTURED, Strength.UNSIGNED_LABEL}
SUPPORT = {
    "embedded-unsigned": UNSIGNED,
    "embedded-unsigned + vendor signature broken": UNSIGNED,
    "pixel-embedded-unsigned": {*UNSIGNED, Strength.PIXEL_MARK},
    "none": {Strength.NONE},
    "hostile": {Strength.NONE},
    "remote-manifest-reference": {Strength.NONE},
    "cryptographic": {Strength.SIGNED_TRUSTED, Strength.SIGNED_INTACT},
    "cryptographic-intact-untrusted": {Strength.SIGNED_INTACT},
    "cryptographic-intact-untrusted(ingredient bad)": {Strength.SIGNED_INTACT},
    "cryptographic-broken": {Strength.SIGNED_BROKEN},
    "cryptographic-broken-binding": {Strength.SIGNED_BROKEN},
    "cryptographic-trusted(ITL)": {Strength.SIGNED_TRUSTED},
    "cryptographic-trusted(own CA)": {Strength.SIGNED_TRUSTED},
}
# A name of a camera alone, or of what is no camera, is what some of the camera files have.
CAMERA_NONE = {Declared.NONE, Declared.OTHER_DECLARED, Declared.CAPTURE}
# "No origin marker", says the manifest; yet it is an untouched photograph, and all fields of its camera fit each other.
PHOTOGRAPH = "other/c2pa-adobe-A.jpg"
LEAST_PROMPTS = 0.95


class Sample(NamedTuple):
    """A row of the manifest, and the report on its file."""

    row: dict[str, str]
    report: ProvenanceReport

    @property
    def path(self) -> str:
        """Its path in the folder."""
        return self.row["path"]


@pytest.fixture(scope="session")
def samples(data: Path) -> list[Sample]:
    """All samples, examined; the test root is trusted as an operator's own list."""
    folder = data / "provenance"
    if not (folder / "manifest.csv").exists():
        pytest.skip("the folder of test data holds no provenance/manifest.csv")
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    reports = examine_files([folder / row["path"] for row in rows], trust=[folder / "trust" / "own-root.pem"])
    return [Sample(row, report) for row, (_, report) in zip(rows, reports, strict=True)]


def test_what_is_declared_is_what_the_manifest_says(samples: list[Sample]) -> None:
    """Every row; a broken claim declares nothing."""
    wrong = {}
    for row, report in samples:
        expected = DECLARED.get(row["expected_origin"], {Declared.OTHER_DECLARED})
        if "broken" in row["expected_strength"] and "unsigned" not in row["expected_strength"]:
            expected = {Declared.NONE}
        if row["path"].startswith("camera/"):
            expected = expected | CAMERA_NONE if row["expected_origin"] == "unknown" else expected
        if row["path"] == PHOTOGRAPH:
            expected = {Declared.CAPTURE}
        if report.summary.declared not in expected:
            wrong[row["path"]] = (row["expected_origin"], report.summary.declared)
    assert not wrong


def test_who_vouches_is_what_the_manifest_says(samples: list[Sample]) -> None:
    """Every row; of files without a known origin, that nobody signs."""
    wrong = {}
    for row, report in samples:
        expected = SUPPORT[row["expected_strength"]]
        if row["path"].startswith("camera/") or row["path"] == PHOTOGRAPH:
            expected = expected | UNSIGNED
        if report.summary.support not in expected:
            wrong[row["path"]] = (row["expected_strength"], report.summary.support)
    assert not wrong


def test_no_camera_file_is_called_ai(samples: list[Sample]) -> None:
    """Not one, and none is in conflict with itself."""
    called = {
        sample.path: sample.report.summary.declared
        for sample in samples
        if sample.path.startswith(("camera/", "c2pa-camera/"))
    }
    assert len(called) > 50
    assert not {Declared.AI_GENERATED, Declared.AI_COMPOSITE, Declared.CONFLICT} & set(called.values())


def test_prompts_are_read_exactly(samples: list[Sample]) -> None:
    """After whitespace is folded, on at least 95% of the rows that state one. Nothing of them is shown here."""
    stated = [sample for sample in samples if sample.row["expected_prompt"]]
    right = [any(map(partial(begins, folded(row["expected_prompt"])), report.evidence)) for row, report in stated]
    missed = [sample.path for sample, good in zip(stated, right, strict=True) if not good]
    assert len(stated) > 40
    assert len(missed) <= (1 - LEAST_PROMPTS) * len(stated), missed


def begins(expected: str, one: Evidence) -> bool:
    """Whether a record's prompt begins so, and not within a word: the manifest leaves out what follows some letters."""
    told = folded(one.setup.prompt or "") if one.setup else ""
    return told.startswith(expected) and not told[len(expected) :][:1].isalnum()


def folded(text: str) -> str:
    """A prompt with all white space alike; the manifest writes some line ends as a backslash and a letter."""
    return " ".join(text.replace("\\r", " ").replace("\\", " ").split())


def test_a_loaded_picture_is_told_as_a_starting_point(samples: list[Sample]) -> None:
    """Wherever a graph loads one: it raises, and is not lost among other evidence."""
    loading = [sample for sample in samples if "load_image" in sample.report.cues]
    assert len(loading) > 3
    for sample in loading:
        assert sample.report.summary.real_basis, sample.path
        assert sample.report.summary.priority_effect is PriorityEffect.RAISE, sample.path


def test_hostile_samples_are_told_as_incomplete_or_empty_and_never_as_ai(samples: list[Sample]) -> None:
    """Bombs and broken files."""
    hostile = [sample for sample in samples if sample.row["expected_strength"] == "hostile"]
    assert len(hostile) > 2
    for sample in hostile:
        assert sample.report.summary.declared in {Declared.NONE, Declared.UNREADABLE}, sample.path
    assert any(not sample.report.summary.complete for sample in hostile)


def test_every_report_of_a_sample_can_be_said_in_both_languages(samples: list[Sample]) -> None:
    """Each caveat that a reader writes has its sentence, with all its facts."""
    known = set(_words().sentence)
    for sample in samples:
        assert {one.caveat for one in sample.report.evidence} <= known, sample.path
        for lang in LANGUAGES:
            text = sample.report.explain(lang)
            assert all(line.isprintable() for line in text.splitlines()), sample.path


def test_the_order_of_the_files_never_matters(data: Path, samples: list[Sample]) -> None:
    """Shuffled, each file has the report that it had before."""
    folder = data / "provenance"
    few = random.Random(5).sample(samples, 60)
    again = examine_files([folder / sample.path for sample in few], trust=[folder / "trust" / "own-root.pem"])
    for sample, (_, report) in zip(few, again, strict=True):
        assert report == sample.report, sample.path
