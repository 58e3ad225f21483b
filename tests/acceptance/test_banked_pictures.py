from __future__ import annotations

import json
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

COPIES = 500


def rempart(*arguments: str | Path, data_home: Path) -> list[dict[str, Any]]:
    """The rows that a command prints; it may find something, but must not fail."""
    done = subprocess.run(
        [Path(sys.executable).with_name("rempart"), *arguments],
        env={"XDG_DATA_HOME": str(data_home), "HOME": str(data_home)},
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


@pytest.fixture(scope="module")
def data_home(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which every picture is banked."""
    folder = tmp_path_factory.mktemp("data")
    rempart("bank", "create", "ALL", data_home=folder)
    added = rempart("bank", "add", "ALL", pictures, data_home=folder)
    assert len(added) == len({row["entry"] for row in added}) == 3250
    return folder


def copies_of(path: Path, folder: Path) -> Iterator[Path]:
    """The copies that people make: smaller, in other formats, compressed hard."""
    picture = Image.open(path).convert("RGB")
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    for one, name, options in (
        (half, "half.jpg", {"quality": 50}),
        (half, "half.webp", {"quality": 60}),
        (half, "half.png", {}),
        (picture, "same.webp", {"quality": 60}),
    ):
        one.save(folder / name, **options)
        yield folder / name


def test_no_banked_picture_matches_the_entry_of_another(pictures: Path, data_home: Path) -> None:
    """Every one of the 3,250 finds itself, and only itself."""
    rows = rempart("match", pictures, data_home=data_home)
    assert len(rows) == 3250
    strangers = [row["path"] for row in rows if len({hit["entry"] for hit in row["matches"]}) != 1]
    assert strangers == []


def test_small_and_re_encoded_copies_of_500_pictures_are_all_found(
    pictures: Path, data_home: Path, tmp_path: Path
) -> None:
    """At half size as JPEG of quality 50, WebP of quality 60 and PNG, and whole as WebP: each as its own original."""
    originals = random.Random(500).sample(sorted(pictures.rglob("*.jpg")), COPIES)
    for number, path in enumerate(originals):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert len(list(copies_of(path, folder))) == 4
    entry_of = {row["path"]: row["matches"][0]["entry"] for row in rempart("match", *originals, data_home=data_home)}
    rows = rempart("match", tmp_path, data_home=data_home)
    lost = []
    for row in rows:
        path = Path(row["path"])
        original = entry_of[str(originals[int(path.parent.name)])]
        if {hit["entry"] for hit in row["matches"]} != {original}:
            lost.append(path.name)
    assert (len(rows), lost) == (4 * COPIES, [])
