"""Requests a second: `rempart serve` under wrk, beside a Flask and threatexchange stand-in, in one run on one machine.

Keys, limits and counting are on. Answers to a sample of the look-ups are compared with a search in this process, and
with the stand-in's.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rempart.lists import HashValue, compact_bank, create_bank, import_hashes
from rempart.matching.index import HashIndex
from rempart.people import Scope, create_key
from rempart.store import open_store
from rempart.store.tables import HashKind

BANK = "BENCH"
RADIUS = 31
HIT_SHARE = 0.05
QUERIES = 5_000
WORKERS = 2
LOOKUP = "/hma/m/lookup?signal_type=pdq&signal={}"
UPLOAD = "/hma/m/lookup"
PROMPT = "/v1/screen"
BOUNDARY = "a-boundary-of-this-benchmark"


class Load(NamedTuple):
    """One kind of request."""

    name: str
    script: str
    target: int | None


class Measured(NamedTuple):
    """What wrk says of a run."""

    rate: float
    p99_ms: float
    errors: int


def main() -> int:
    """Run it; 1 if answers disagree or requests failed."""
    parser = argparse.ArgumentParser(
        description="Measure requests a second of the service and of a stand-in for HMA.",
        epilog="example: python benchmarks/service.py --rows 100000 --seconds 3",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="banked hashes (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=8, help="of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each load (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="of wrk (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder to keep the bank in, and to find it again")
    parser.add_argument("--no-peer", action="store_true", help="leave the stand-in out")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 1
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (options.rows, 32), dtype=np.uint8)
    queries = asked(hashes, rng)
    with contextlib.ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scripts = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        secret = prepared(folder, hashes)
        loads = list(all_loads(queries, secret))
        print(f"{options.rows:,} hashes, {WORKERS} workers, {options.connections} connections")
        with served(folder) as (url, workers):
            agree = check(url, secret, hashes, queries)
            ours = [measured(load, url, scripts, options) for load in loads]
            size = sum(map(proportional_set, workers))
        snapshot = sum(file.stat().st_size for file in folder.rglob("*.snapshot"))
        theirs: list[list[Measured] | None] = [None] * len(loads)
        if not options.no_peer and all(map(importlib.util.find_spec, ("flask", "gunicorn"))):
            with peer(scripts, hashes) as url:
                agree &= check(url, "", hashes, queries)
                theirs = [None if load.name == "prompts" else measured(load, url, scripts, options) for load in loads]
    failed = report(loads, ours, theirs)
    limit = snapshot + WORKERS * 220 * 1_000_000
    print(f"memory of the workers: {size / 1e6:.0f} MB, snapshot {snapshot / 1e6:.0f} MB, limit {limit / 1e6:.0f} MB")
    print("all answers agree" if agree else "ANSWERS DISAGREE")
    return 0 if agree and not failed else 1


def asked(hashes: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Hashes to ask for: one in twenty lies within the radius of a banked one."""
    queries = rng.integers(0, 256, (QUERIES, 32), dtype=np.uint8)
    for row in range(0, QUERIES, round(1 / HIT_SHARE)):
        bits = np.unpackbits(hashes[rng.integers(0, len(hashes))])
        bits[rng.choice(256, rng.integers(0, RADIUS), replace=False)] ^= 1
        queries[row] = np.packbits(bits)
    return queries


def prepared(folder: Path, hashes: npt.NDArray[np.uint8]) -> str:
    """Bank the hashes unless that was done before, and make a key."""
    done = folder / "benchmark.rows"
    with open_store(folder) as store:
        if not done.exists():
            started = time.perf_counter()
            create_bank(store, BANK)
            import_hashes(store, BANK, (HashValue(HashKind.PDQ, value.tobytes()) for value in hashes))
            compact_bank(store, BANK)
            print(f"banked and compacted in {time.perf_counter() - started:.0f} s")
            done.write_text(str(len(hashes)), encoding="ascii")
        elif int(done.read_text(encoding="ascii")) != len(hashes):
            raise SystemExit(f"{folder} holds another number of hashes")
        scopes = [Scope.MATCH, Scope.SCREEN, Scope.DISTANCE]
        return create_key(store, f"bench-{random.getrandbits(32):x}", scopes)[1]


def all_loads(queries: npt.NDArray[np.uint8], secret: str) -> Iterator[Load]:
    """What is asked, as scripts for wrk."""
    head = f"wrk.headers['Authorization'] = 'Bearer {secret}'\n"
    paths = ",".join(f"'{LOOKUP.format(value.tobytes().hex())}'" for value in queries)
    yield Load(
        "hash look-ups",
        f"{head}local paths = {{{paths}}}\nlocal at = 0\n"
        "function init() math.randomseed(os.time()) at = math.random(#paths) end\n"
        "function request() at = at % #paths + 1 return wrk.format('GET', paths[at]) end\n",
        4_000,
    )
    picture = Path(os.environ.get("REMPART_TEST_DATA", ""), "pdq", "bridge-mods", "aaa-orig.jpg")
    if picture.is_file():
        yield Load(
            "picture look-ups",
            f"{head}local file = io.open('{picture}', 'rb')\nlocal content = file:read('*a')\nfile:close()\n"
            f"wrk.headers['Content-Type'] = 'multipart/form-data; boundary={BOUNDARY}'\n"
            f'wrk.body = \'--{BOUNDARY}\\r\\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\\r\\n'
            f"Content-Type: image/jpeg\\r\\n\\r\\n' .. content .. '\\r\\n--{BOUNDARY}--\\r\\n'\n"
            f"wrk.method = 'POST'\nwrk.path = '{UPLOAD}'\n",
            100,
        )
    else:
        print("picture look-ups are left out: REMPART_TEST_DATA names no folder with pdq/bridge-mods/aaa-orig.jpg")
    words = ["lighthouse", "storm", "cliff", "oil painting", "dramatic", "clouds", "boat", "harbour", "gulls", "fog"]
    chosen = random.Random(1)  # noqa: S311 -- draws test data
    prompts = ",".join(f"'{' '.join(chosen.choices(words, k=12))}'" for _ in range(500))
    yield Load(
        "prompts",
        f"{head}wrk.headers['Content-Type'] = 'application/json'\nlocal prompts = {{{prompts}}}\nlocal at = 0\n"
        "function request() at = at % #prompts + 1 return wrk.format('POST', "
        f"'{PROMPT}', nil, '{{\"prompt\":\"' .. prompts[at] .. '\"}}') end\n",
        3_000,
    )


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """The service: where it answers, and its workers."""
    command = [Path(sys.executable).with_name("rempart"), "serve", "--port", "0", "--workers", str(WORKERS)]
    environ = os.environ | {"REMPART__DATA_DIR": str(folder)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 -- as asked for above
            url = process.stdout.readline().split()[-1]
            text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
            yield url, list(map(int, text.split()))
        finally:
            process.terminate()


@contextlib.contextmanager
def peer(folder: Path, hashes: npt.NDArray[np.uint8]) -> Iterator[str]:
    """The stand-in, under gunicorn with as many processes of one thread each, which share the index."""
    np.save(folder / "hashes.npy", hashes)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(WORKERS), "--timeout", "600"]
    environ = os.environ | {"STANDIN_HASHES": str(folder / "hashes.npy"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "--log-level", "error", "standin:app"],
        cwd=Path(__file__).parent,
        env=environ,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(1200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.5)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)


def check(url: str, secret: str, hashes: npt.NDArray[np.uint8], queries: npt.NDArray[np.uint8]) -> bool:
    """Whether the answers to some look-ups are what a search in this process finds."""
    sample = queries[:200]
    hits = HashIndex.build(hashes, np.arange(1, len(hashes) + 1)).query_many(sample, RADIUS)
    for row, value in enumerate(sample):
        first, last = hits.offsets[row], hits.offsets[row + 1]
        expected = sorted(zip(hits.ids[first:last].tolist(), hits.distances[first:last].tolist(), strict=True))
        request = urllib.request.Request(url + LOOKUP.format(value.tobytes().hex()))  # noqa: S310 -- our own server
        request.add_header("Authorization", f"Bearer {secret}")
        with urllib.request.urlopen(request) as answer:  # noqa: S310 -- as above
            found = json.load(answer).get(BANK, [])
        if sorted((one["bank_content_id"], int(float(one["distance"]))) for one in found) != expected:
            return False
    return True


def measured(load: Load, url: str, scripts: Path, options: argparse.Namespace) -> list[Measured]:
    """Full load, then about half of it."""
    script = scripts / "load.lua"
    script.write_text(load.script, encoding="utf-8")
    wrk(script, url, options, 2)  # to warm up
    full = [wrk(script, url, options, options.seconds) for _ in range(options.rounds)]
    rate = statistics.median(one.rate for one in full)
    # Each connection waits between its requests as long as makes half the rate of all of them: not always as long, for
    # then all connections would keep in step, and what is measured would be how long a queue of them takes.
    pause = 1000 * options.connections / max(rate / 2, 1)
    wait = f"function delay() return math.random(0, {2 * pause:.0f}) end"
    script.write_text(f"{load.script}\n{wait}\n", encoding="utf-8")
    half = [wrk(script, url, options, options.seconds) for _ in range(options.rounds)]
    return [
        Measured(
            statistics.median(one.rate for one in runs),
            statistics.median(one.p99_ms for one in runs),
            sum(one.errors for one in runs),
        )
        for runs in (full, half)
    ]


def wrk(script: Path, url: str, options: argparse.Namespace, seconds: int) -> Measured:
    """One run."""
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{seconds}", "--timeout", "30", "--latency", "-s"]
    said = subprocess.run([*command, str(script), url], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    return Measured(
        float(rate[1]) if rate else 0.0,
        float(latency[1]) * scale[latency[2]] if latency else float("inf"),
        (int(failed[1]) if failed else 0) + (sum(map(int, broken.groups())) if broken else 0),
    )


def report(loads: list[Load], ours: list[list[Measured]], theirs: list[list[Measured] | None]) -> bool:
    """Print the table; whether any request failed."""
    print(f"{'':20}{'requests/s':>12}{'target':>9}{'p99 at half':>14}{'stand-in':>11}{'ratio':>8}")
    failed = False
    for load, (full, half), other in zip(loads, ours, theirs, strict=True):
        line = f"{load.name:20}{full.rate:12,.0f}{load.target:9,}{half.p99_ms:11.1f} ms"
        if other is not None:
            line += f"{other[0].rate:11,.0f}{full.rate / max(other[0].rate, 0.1):8.1f}"
        if full.errors + half.errors:
            failed = True
            line += f"   {full.errors + half.errors} FAILED"
        print(line)
    return failed


def proportional_set(pid: int) -> int:
    """Bytes of memory of a process, what it shares counted in parts."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    sys.exit(main())
