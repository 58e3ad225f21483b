"""Origin: the samples of known origin against their manifest, prompts, time for a file, and time for hostile files.

The samples are read from $REMPART_TEST_DATA/provenance. A row that comes out otherwise than the manifest says, a camera
file that is called AI, or a missed target is exit code 1. Prompts are compared and never printed.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from rempart.provenance.evidence import Declared, Strength
from rempart.provenance.examine import examine, examine_files
from rempart.provenance.examine_child import ExamineOptions, read
from rempart.provenance.report import ProvenanceReport
from rempart.provenance.walk import view_of
from rempart.settings import MediaSettings

FILE_MS, HOSTILE_SECONDS, PROMPTS_SHARE = 10, 1.0, 0.95
AI = {Declared.AI_GENERATED, Declared.AI_COMPOSITE}
CAPTURE = {Declared.CAPTURE, Declared.OTHER_DECLARED}
UNSIGNED = {Strength.UNSIGNED_STRUCTURED, Strength.UNSIGNED_LABEL, Strength.PIXEL_MARK}
DECLARED = {
    "trainedAlgorithmicMedia": AI,
    "compositeWithTrainedAlgorithmicMedia": {Declared.AI_COMPOSITE},
    "compositeSynthetic": {Declared.AI_COMPOSITE},
    "digitalCapture": CAPTURE,
    "computationalCapture": CAPTURE,
    "compositeCapture": CAPTURE,
    "screenCapture": {Declared.SCREEN_CAPTURE},
    "unknown": {Declared.NONE, Declared.UNREADABLE},
}

# "No origin marker", says the manifest; yet it is an untouched photograph, and all fields of its camera fit each other.
PHOTOGRAPH = "other/c2pa-adobe-A.jpg"

Row = dict[str, str]


def main() -> int:
    """Measure all; 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(
        description="Examine the samples of known origin, and compare with their manifest.",
        epilog="example: REMPART_TEST_DATA=../shared/data python benchmarks/origin.py",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the timing (default: %(default)s)")
    rounds = parser.parse_args().rounds
    data = os.environ.get("REMPART_TEST_DATA")
    if not data or not Path(data, "provenance", "manifest.csv").exists():
        print("set REMPART_TEST_DATA to the folder that holds provenance/manifest.csv", file=sys.stderr)
        return 2
    folder = Path(data, "provenance")
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    own = folder / "trust" / "own-root.pem"
    paths = [folder / row["path"] for row in rows]
    reports = [report for _, report in examine_files(paths, trust=[own] if own.exists() else [])]
    met = [truth(rows, reports), prompts(rows, reports), cameras(rows, reports)]
    met += [pace(paths, rounds), hostile(rows, paths)]
    print("\nall as it should be" if all(met) else "\nnot all is as it should be")
    return 0 if all(met) else 1


def truth(rows: list[Row], reports: list[ProvenanceReport]) -> bool:
    """Print how many rows come out as the manifest says, by what it says; name the others."""
    given: Counter[str] = Counter()
    right: Counter[str] = Counter()
    wrong = []
    for row, report in zip(rows, reports, strict=True):
        kind = f"{row['expected_origin']} / {row['expected_strength']}"
        given[kind] += 1
        if report.summary.declared in origins(row) and report.summary.support in supports(row):
            right[kind] += 1
        else:
            wrong.append(f"  {row['path']}: {kind} came out {report.summary.declared} / {report.summary.support}")
    for kind, count in given.most_common():
        print(f"{kind:80} {right[kind]:4} of {count}")
    print(f"{'all':80} {right.total():4} of {given.total()}", *wrong, sep="\n")
    return not wrong


def origins(row: Row) -> set[Declared]:
    """What may be declared of a row: a broken signature declares nothing, unless something unsigned does."""
    if row["path"] == PHOTOGRAPH:
        return {Declared.CAPTURE}
    if row["expected_strength"].startswith("cryptographic-broken"):
        return {Declared.NONE}
    return DECLARED.get(row["expected_origin"], {Declared.OTHER_DECLARED})


def supports(row: Row) -> set[Strength]:
    """Who may vouch for it."""
    strength = row["expected_strength"]
    if row["path"] == PHOTOGRAPH or "unsigned" in strength:
        return UNSIGNED
    if not strength.startswith("cryptographic"):
        return {Strength.NONE}
    if "broken" in strength:
        return {Strength.SIGNED_BROKEN}
    if "trusted(" in strength and "untrusted" not in strength:
        return {Strength.SIGNED_TRUSTED}
    return {Strength.SIGNED_INTACT} if "intact" in strength else {Strength.SIGNED_INTACT, Strength.SIGNED_TRUSTED}


def prompts(rows: list[Row], reports: list[ProvenanceReport]) -> bool:
    """Print how many of the stated prompts are read exactly, after whitespace is folded."""
    stated = [(row, report) for row, report in zip(rows, reports, strict=True) if row["expected_prompt"]]
    missed = [row["path"] for row, report in stated if not reads(row, report)]
    print(
        f"\nprompts: {len(stated) - len(missed)} of {len(stated)}", *(f"  missed: {path}" for path in missed), sep="\n"
    )
    return len(missed) <= (1 - PROMPTS_SHARE) * len(stated)


def reads(row: Row, report: ProvenanceReport) -> bool:
    """Whether any record's prompt begins as the row's, and not within a word: the manifest cuts some prompts short."""
    wanted = folded(row["expected_prompt"])
    told = (folded(one.setup.prompt or "") for one in report.evidence if one.setup is not None)
    return any(text.startswith(wanted) and not text[len(wanted) :][:1].isalnum() for text in told)


def folded(text: str) -> str:
    """A prompt with all white space alike; the manifest writes some line ends as a backslash and a letter."""
    return " ".join(text.replace("\\r", " ").replace("\\", " ").split())


def cameras(rows: list[Row], reports: list[ProvenanceReport]) -> bool:
    """Print what camera files are declared to be; none may be AI."""
    told = Counter(
        report.summary.declared
        for row, report in zip(rows, reports, strict=True)
        if row["path"].startswith(("camera/", "c2pa-camera/"))
    )
    print(f"\ncamera files: {', '.join(f'{name} {count}' for name, count in told.most_common())}")
    return not (AI | {Declared.CONFLICT}) & told.keys()


def pace(paths: list[Path], rounds: int) -> bool:
    """Print the time for a file on one core: the readers alone, and all of it in child processes."""
    contents = [path.read_bytes() for path in paths]
    options = ExamineOptions(pixels=False)
    alone = []
    for content in contents:
        spent = []
        for _ in range(rounds):
            started = time.perf_counter()
            list(read(view_of(content), options))
            spent.append(time.perf_counter() - started)
        alone.append(min(spent))
    print(f"\n{'one core, ms a file':44} {'median':>8} {'mean':>8} {'most':>8}")
    line("readers alone, in this process", alone)
    one = MediaSettings(workers=1)
    for name, pixels in (("examined in children, without pixels", False), ("examined in children", True)):
        whole = [seconds(path, one, rounds, pixels=pixels) for path in paths]
        line(name, whole)
        if not pixels:
            mean = statistics.mean(whole) * 1e3
    started = time.perf_counter()
    for _ in examine_files(paths, pixels=False):
        pass
    print(f"{len(paths)} files on all cores without pixels: {time.perf_counter() - started:.2f} s")
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) >> 10
    print(f"peak memory of this process or of a child that has ended: {peak} MiB")
    print(f"target: {FILE_MS} ms a file on average without pixels; measured {mean:.1f} ms")
    return mean <= FILE_MS


def seconds(path: Path, settings: MediaSettings, rounds: int, *, pixels: bool) -> float:
    """The least time that a file takes; the first look at any may start a child."""
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        examine(path, pixels=pixels, settings=settings)
        spent.append(time.perf_counter() - started)
    return min(spent)


def line(name: str, seconds: list[float]) -> None:
    """One line of times in milliseconds."""
    median, mean, most = (value * 1e3 for value in (statistics.median(seconds), statistics.mean(seconds), max(seconds)))
    print(f"{name:44} {median:8.2f} {mean:8.2f} {most:8.2f}")


def hostile(rows: list[Row], paths: list[Path]) -> bool:
    """Print the time for each hostile file, pixels and open marks included."""
    met = True
    print()
    for row, path in zip(rows, paths, strict=True):
        if row["expected_strength"] == "hostile" or "cyclic" in row["path"]:
            started = time.perf_counter()
            report = examine(path, marks=True)
            spent = time.perf_counter() - started
            print(f"hostile: {row['path']:40} {spent * 1e3:8.1f} ms  {report.summary.declared} {report.completeness}")
            met &= spent <= HOSTILE_SECONDS
    return met


if __name__ == "__main__":
    sys.exit(main())
