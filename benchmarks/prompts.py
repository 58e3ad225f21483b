"""Prompt screening: over-blocking and time over corpora of innocent prompts, and time on hostile input.

Usage: REMPART_TEST_DATA=FOLDER python benchmarks/prompts.py

Reads every ``prompts/*.txt`` of the folder, a prompt a line. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from rempart.prompts import MAX_CHARACTERS, Answer, PromptScreener

P50_US, P99_US, HOSTILE_MS, LOAD_MS = 100, 1_000, 5, 200
ROUNDS = 5  # of each time the best counts: other processes only add

HOSTILE = {
    "nested alternations": "{a|",
    "nested choices": "[a|b|",
    "nested weights": "((a:1.2)",
    "brackets": "(",
    "combining marks": "\u0301",
    "marks on letters": "a\u0336\u0301",
    "zero-width": "\u200b",
    "zero-width in words": "a\u200b",
    "one long token": "a",
    "one long token, accented": "\u00e9",
    "all digits": "7",
    "numbers": "7,000,",
    "half-made ages": "age of ",
    "hits only": "wren ",
    "full-width": "\uff21",
    "conjoining Hangul": "\u1112\u1161\u11ab",
    "squared words": "\u3305",
    "one-sign honorifics": "\ufdfa",
}


def microseconds(screener: PromptScreener, prompt: str, rounds: int) -> float:
    """The best time of some rounds for one prompt."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter_ns()
        screener.screen(prompt)
        best = min(best, (time.perf_counter_ns() - start) / 1e3)
    return best


def measure_file(screener: PromptScreener, path: Path) -> bool:
    """Print one row for a corpus; true when its targets are met."""
    lines = path.read_text(encoding="utf-8").splitlines()
    answers = Counter(screener.screen(line).verdict for line in lines)
    times = sorted(microseconds(screener, line, 2) for line in lines)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    refuse, review = answers[Answer.REFUSE], answers[Answer.REVIEW]
    print(f"{path.stem:24} {len(lines):7} {refuse:7} {review:7} {p50:8.1f} {p99:8.1f} {times[-1]:8.1f}")
    return refuse == 0 and review <= 0.005 * len(lines) and p50 <= P50_US and p99 <= P99_US


def measure_hostile(screener: PromptScreener) -> bool:
    """Print the time of each hostile input; true when all are within the target."""
    met = True
    for name, piece in HOSTILE.items():
        prompt = (piece * MAX_CHARACTERS)[:MAX_CHARACTERS]
        spent = microseconds(screener, prompt, ROUNDS) / 1e3
        print(f"{name:28} {spent:8.2f} ms")
        met &= spent <= HOSTILE_MS
    return met


def measure_start() -> bool:
    """Print the time that a new process needs to import and load; true when the load is quick and numpy stays out."""
    code = (
        "import sys, time; a = time.perf_counter(); from rempart.prompts import PromptScreener; "
        "b = time.perf_counter(); PromptScreener(); c = time.perf_counter(); "
        "print((b - a) * 1e3, (c - b) * 1e3, 'numpy' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(ROUNDS)
    ]
    imported, loaded = (min(float(run[at]) for run in runs) for at in (0, 1))
    light = all(run[2] == "False" for run in runs)
    print(f"import {imported:.0f} ms, load of the packs {loaded:.1f} ms, numpy {'not ' if light else ''}imported")
    return loaded <= LOAD_MS and light


def main() -> int:
    """Run all, and say whether every target is met."""
    data = os.environ.get("REMPART_TEST_DATA")
    if not data:
        print("set REMPART_TEST_DATA to the folder that holds prompts/*.txt", file=sys.stderr)
        return 2
    met = [measure_start()]
    screener = PromptScreener()
    print(f"\n{'corpus':24} {'lines':>7} {'refuse':>7} {'review':>7} {'p50 us':>8} {'p99 us':>8} {'max us':>8}")
    met += [measure_file(screener, path) for path in sorted(Path(data, "prompts").glob("*.txt"))]
    print(f"\n{MAX_CHARACTERS} hostile characters")
    met.append(measure_hostile(screener))
    print("\nall targets met" if all(met) else "\na target is missed")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
