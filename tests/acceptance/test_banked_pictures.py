from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

COPIES = 500


def rempart(*arguments: str | Path, data_home: Path) -> list[dict[str, Any]]:
    """The rows that a command prints; it may find something, but must not fail."""
    done = subprocess.run(
        [Path(sys.executable).with_name("rempart"), *arguments],
        env=os.environ | {"XDG_DATA_HOME": str(data_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def pictures(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pictures of the base corpus, unpacked."""
    folder = tmp_path_factory.mktemp("pictures")
    with tarfile.open(data / "images/base3250.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


class Banked(NamedTuple):
    """A data folder in which every picture is banked, and the entry of each, by its path."""

    data_home: Path
    entries: dict[str, int]


@pytest.fixture(scope="module")
def banked(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Banked:
    """All pictures in one bank."""
    folder = tmp_path_factory.mktemp("data")
    rempart("bank", "create", "ALL", data_home=folder)
    entries = {row["path"]: row["entry"] for row in rempart("bank", "add", "ALL", pictures, data_home=folder)}
    assert len(entries) == len(set(entries.values())) == 3250
    return Banked(folder, entries)


def make_copies(path: Path, folder: Path) -> None:
    """The copies that people make: smaller, in other formats, compressed hard."""
    folder.mkdir()
    picture = Image.open(path).convert("RGB")
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    half.save(folder / "half.jpg", quality=50)
    half.save(folder / "half.webp", quality=60)
    half.save(folder / "half.png", compress_level=1)
    picture.save(folder / "same.webp", quality=60)


def test_no_banked_picture_matches_the_entry_of_another(pictures: Path, banked: Banked) -> None:
    """Every one of the 3,250 finds itself, and only itself."""
    rows = rempart("match", pictures, data_home=banked.data_home)
    found = {row["path"]: {hit["entry"] for hit in row["matches"]} for row in rows}
    assert found == {path: {entry} for path, entry in banked.entries.items()}


def test_small_and_re_encoded_copies_of_500_pictures_are_all_found(
    pictures: Path, banked: Banked, tmp_path: Path
) -> None:
    """At half size as JPEG of quality 50, WebP of quality 60 and PNG, and whole as WebP: each as its own original."""
    originals = random.Random(500).sample(sorted(pictures.rglob("*.jpg")), COPIES)
    folders = [tmp_path / str(number) for number in range(COPIES)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        assert len(list(threads.map(make_copies, originals, folders))) == COPIES
    rows = rempart("match", tmp_path, data_home=banked.data_home)
    lost = []
    for row in rows:
        path = Path(row["path"])
        original = banked.entries[str(originals[int(path.parent.name)])]
        if {hit["entry"] for hit in row["matches"]} != {original}:
            lost.append(path.name)
    assert (len(rows), lost) == (4 * COPIES, [])
