"""The pictures that benchmarks run on: the base corpus of the outside data."""

from __future__ import annotations

import os
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

SEED = 4


class Original(NamedTuple):
    """One picture of the corpus: where it stands in the archive, and its file content."""

    name: str
    content: bytes


def base_corpus() -> Path | None:
    """The archive of the corpus, if there is one."""
    folder = os.environ.get("REMPART_TEST_DATA", "")
    file = Path(folder, "images", "base3250.tar")
    return file if folder and file.is_file() else None


def read_originals(archive: Path, count: int | None = None) -> list[Original]:
    """Pictures of the archive in the order of their names.

    Args:
        archive: a tar file with one folder for each source.
        count: how many to draw at random, always the same ones, as evenly from the sources as these have pictures; all
            when not given.
    """
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar if member.isfile()}
        names = sorted(members) if count is None else _spread(sorted(members), count)
        return [Original(name, tar.extractfile(members[name]).read()) for name in names]


def _spread(names: list[str], count: int) -> list[str]:
    sources = defaultdict(list)
    for name in names:
        sources[name.partition("/")[0]].append(name)
    rng = np.random.default_rng(SEED)
    queues = [[own[at] for at in rng.permutation(len(own))] for _, own in sorted(sources.items())]
    drawn = []
    while len(drawn) < count and any(queues):
        drawn += [queue.pop() for queue in queues if queue]
    return sorted(drawn[:count])
