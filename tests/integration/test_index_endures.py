from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from rempart.errors import SnapshotError
from rempart.matching.index import HashIndex, Hit

MOMENTS = int(os.environ.get("REMPART_KILLS", "50"))

# One process that has everything loaded and begets workers, because starting Python takes longer than the work.
NURSERY = """
import os, sys, threading
from hashlib import sha256
import numpy as np
from rempart.matching import kernel, search, segment
from rempart.matching.index import HashIndex
segment.SMALL, search._EFFORT = -1, np.inf  # buckets, however few hashes

def say(word, number):
    os.write(1, f"{word} {number}\\n".encode())  # in one piece, whenever this process is killed

def work(path, first):
    index = HashIndex.open(path)
    def compact():
        while True:
            index.compact()
    threading.Thread(target=compact, daemon=True).start()
    say("begun", 0)
    while True:
        index.add([sha256(b"%d" % id_).digest() for id_ in range(first, first + 4)], range(first, first + 4))
        say("added", first)
        index.remove([first + 1])
        say("removed", first + 1)
        first += 4

for line in sys.stdin:
    path, first = line.rsplit(" ", 1)
    child = os.fork()
    if child == 0:
        work(path, int(first))
    say("worker", child)
    os.waitpid(child, 0)
    os.write(1, b"ended\\n")
"""


@pytest.fixture
def nursery() -> Iterator[subprocess.Popen[str]]:
    """The process that begets workers."""
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def lived(nursery: subprocess.Popen[str], path: Path, first: int, seconds: float) -> list[tuple[str, int]]:
    """What a worker said it had done when it was killed after some time."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{path} {first}\n")
    nursery.stdin.flush()
    said: list[tuple[str, int]] = []
    begun = False
    pid = 0
    while not (pid and begun):
        word, number = nursery.stdout.readline().split()
        if word == "worker":
            pid = int(number)
        elif word == "begun":
            begun = True
        else:
            said.append((word, int(number)))
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    while not (line := nursery.stdout.readline()).endswith("ended\n"):
        assert line, "the nursery itself has ended"
        word, number = line.split()
        said.append((word, int(number)))
    return said


@pytest.mark.timeout(600)
def test_a_kill_during_compaction_loses_nothing_that_was_acknowledged(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Fifty processes that add, remove and compact without pause die at random moments; each leaves all it said."""
    path = tmp_path / "known.index"
    HashIndex.build([sha256(b"0").digest()], [0]).save(path)
    chance = random.Random(20)
    there, gone = {0}, set[int]()
    first, generations = 4, set[int]()
    for _ in range(MOMENTS):
        for word, id_ in lived(nursery, path, first, chance.uniform(0, 0.25)):
            if word == "added":
                there.update((id_, id_ + 2, id_ + 3))
                first = max(first, id_ + 4)
            elif word == "removed":
                gone.add(id_)
        first += 4  # what was begun and not acknowledged may be there or not
        index = HashIndex.open(path)
        index.verify()
        found = index.query_many([sha256(b"%d" % id_).digest() for id_ in sorted(there | gone)], 0)
        assert set(found.ids.tolist()) == there
        generations.update(int(file.suffix.rpartition("-")[2]) for file in tmp_path.glob("*.journal-*"))
    assert len(generations) >= MOMENTS // 5, "too few compactions ended or were cut short to say anything"
    assert len(gone) >= MOMENTS // 5


def test_a_disk_that_fills_up_during_a_compaction_loses_nothing(tmp_path: Path) -> None:
    """The failed compaction says so; answers go on, and so do additions once there is room for them."""
    path = tmp_path / "known.index"
    HashIndex.build([sha256(b"%d" % id_).digest() for id_ in range(2000)]).save(path)
    code = """
import resource, signal, sys
from hashlib import sha256
from rempart.errors import SnapshotError
from rempart.matching.index import HashIndex, Hit
index = HashIndex.open(sys.argv[1])
index.add([sha256(b"new").digest()], [5000])
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
try:
    index.compact()
except SnapshotError as error:
    assert "unchanged" in str(error), error
else:
    sys.exit("nothing was refused")
assert index.query(sha256(b"new").digest()) == [Hit(5000, 0)]
index.add([sha256(b"newer").digest()], [5001])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
index.compact()
index.add([sha256(b"newest").digest()], [5002])
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=120)
    index = HashIndex.open(path)
    for id_, text in enumerate((b"new", b"newer", b"newest"), 5000):
        assert index.query(sha256(text).digest()) == [Hit(id_, 0)]
    assert len(index) == 2003


def test_a_journal_that_is_damaged_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    """What cannot be read is not passed over: the answers would be incomplete."""
    path = tmp_path / "known.index"
    HashIndex.build([sha256(b"0").digest()]).save(path)
    with_journal = HashIndex.open(path)
    for id_ in range(1, 4):
        with_journal.add([sha256(b"%d" % id_).digest()], [id_])
    with_journal.close()
    journal = next(tmp_path.glob("*.journal-*"))
    content = bytearray(journal.read_bytes())
    content[60] ^= 1
    journal.write_bytes(content)
    with pytest.raises(SnapshotError, match=r"journal .* is damaged"):
        HashIndex.open(path)
