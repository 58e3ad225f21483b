"""The real `rempart hash`, as a person or a program meets it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rempart.hashing import pdq

COMMAND = [str(Path(sys.executable).with_name("rempart"))]
FIELDS = ["path", "status", "pdq", "quality", "md5", "sha1", "sha256", "width", "height", "format", "frames"]
FIELDS += ["frames_read", "seconds", "normalised", "reason"]
# Root reads everything; without these two powers permissions count for it as for anybody.
WITHOUT_POWERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
needs_permissions = pytest.mark.skipif(
    bool(WITHOUT_POWERS) and not shutil.which("setpriv"), reason="running as root without setpriv to give powers up"
)

Draw = Callable[..., Image.Image]
Saved = Callable[..., bytes]
Result = subprocess.CompletedProcess[bytes]


def rempart(*arguments: str | bytes | Path, within: Sequence[str] = (), **environment: str) -> Result:
    """Run `rempart hash` to its end."""
    return subprocess.run(
        [*within, *COMMAND, "hash", *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


def rows(result: Result) -> list[dict[str, Any]]:
    """The NDJSON rows of a result."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def last_line(result: Result) -> str:
    """What was said last to the person."""
    return result.stderr.decode().splitlines()[-1]


@pytest.fixture
def picture(tmp_path: Path, lighthouse: Draw) -> Path:
    """A picture file."""
    path = tmp_path / "lighthouse.png"
    lighthouse().save(path)
    return path


def test_a_picture_gives_one_row_with_every_field(picture: Path, lighthouse: Draw) -> None:
    """In a pipe: NDJSON, fields in their order, exit 0."""
    result = rempart(picture)
    (row,) = rows(result)
    content = picture.read_bytes()
    expected = pdq(np.asarray(lighthouse()))
    assert result.returncode == 0
    assert list(row) == FIELDS
    assert row == {
        "path": str(picture),
        "status": "hashed",
        "pdq": expected.hex,
        "quality": 100,
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": 320,
        "height": 240,
        "format": "png",
        "frames": 1,
        "frames_read": 1,
        "seconds": None,
        "normalised": [],
        "reason": None,
    }
    assert last_line(result).startswith("hashed: given 1 · hashed 1 · ")


def test_every_form_says_the_same(picture: Path, tmp_path: Path) -> None:
    """JSON is a list, CSV has every field, the table is for eyes."""
    text = tmp_path / "note.jpg"
    text.write_text("Dear reader, this is not a picture.", encoding="utf-8")
    plain = rows(rempart(picture, text))
    assert json.loads(rempart("--format", "json", picture, text).stdout) == plain
    table = list(csv.DictReader(io.StringIO(rempart("--format", "csv", picture, text).stdout.decode())))
    assert list(table[0]) == FIELDS
    assert [row["pdq"] for row in table] == [plain[0]["pdq"], ""]
    assert [row["reason"] for row in table] == ["", "unknown_format"]
    shown = rempart("--format", "table", picture, text, COLUMNS="200").stdout.decode()
    assert "lighthouse.png" in shown
    assert plain[0]["pdq"][:16] in shown
    assert "unknown_format" in shown


def test_all_hashes_lists_the_variants_of_every_frame(picture: Path) -> None:
    """Eight ways to turn it, and the same eight enlarged, for it is small."""
    (row,) = rows(rempart("--all-hashes", picture))
    assert row["hashes"][0] == {"pdq": row["pdq"], "quality": 100, "variant": "full", "frame": 0}
    variants = [one["variant"] for one in row["hashes"]]
    assert len({name for name in variants if name.partition("+")[0] == "full"}) == 8
    assert len({name for name in variants if name.partition("+")[0] == "full-enlarged"}) == 8


def test_bad_files_are_listed_in_order_with_reasons_and_the_rest_goes_on(
    tmp_path: Path, picture: Path, saved: Saved, lighthouse: Draw
) -> None:
    """Every way in which a file can be no picture; exit 3, and the summary counts them all."""
    jpeg = saved(lighthouse(), "JPEG")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("Dear reader", encoding="utf-8")
    (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (tmp_path / "head.jpg").write_bytes(jpeg[:100])
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    names = ["missing.png", "empty.png", "text.jpg", "half.jpg", "head.jpg", "pipe.png", "loop.png"]
    result = rempart(*(tmp_path / name for name in names), picture)
    assert [(Path(row["path"]).name, row["status"], row["reason"]) for row in rows(result)] == [
        ("missing.png", "unscannable", "missing"),
        ("empty.png", "unscannable", "empty"),
        ("text.jpg", "unscannable", "unknown_format"),
        ("half.jpg", "partial", "truncated"),
        ("head.jpg", "unscannable", "truncated"),
        ("pipe.png", "unscannable", "not_a_file"),
        ("loop.png", "unscannable", "unreadable"),
        ("lighthouse.png", "hashed", None),
    ]
    assert result.returncode == 3
    assert last_line(result).startswith(
        "hashed: given 8 · hashed 1 · partial 1 · unscannable 6 "
        "(empty 1, missing 1, not_a_file 1, truncated 2, unknown_format 1, unreadable 1) · "
    )
    assert rows(result)[2]["sha256"] == hashlib.sha256(b"Dear reader").hexdigest()


def test_a_folder_means_its_regular_files_sorted_and_links_are_not_followed(tmp_path: Path, picture: Path) -> None:
    """What was passed over is said."""
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    for name in ("z.png", "a.png", "b/c.png", "B.png"):
        (folder / name).write_bytes(picture.read_bytes())
    (folder / "link.png").symlink_to(picture)
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    result = rempart(folder)
    names = [str(Path(row["path"]).relative_to(folder)) for row in rows(result)]
    assert names == ["B.png", "a.png", "z.png", "b/c.png"]
    assert result.returncode == 0
    assert "passed over in folders: 2 links, 1 pipes, sockets or devices" in result.stderr.decode()


@pytest.mark.parametrize("given", ["empty-folder", "missing.png"])
def test_nothing_to_read_is_wrong_use(tmp_path: Path, given: str) -> None:
    """Exit 2 and one line that says so."""
    (tmp_path / "empty-folder").mkdir()
    result = rempart(tmp_path / given)
    assert result.returncode == 2
    assert "no usable input" in last_line(result)


def test_names_that_are_not_utf8_are_shown_and_kept(tmp_path: Path, picture: Path) -> None:
    """Display text escapes the bad bytes; path_b64 has the very bytes."""
    name = os.fsencode(tmp_path) + b"/caf\xe9\n.png"
    Path(os.fsdecode(name)).write_bytes(picture.read_bytes())
    result = rempart(name)
    (row,) = rows(result)
    assert row["path"].endswith("/caf\\xe9\\x0a.png")
    assert base64.b64decode(row["path_b64"]) == name
    assert (row["status"], result.returncode) == ("hashed", 0)
    assert rempart("--format", "table", name).returncode == 0


@needs_permissions
def test_what_may_not_be_read_is_listed(tmp_path: Path, lighthouse: Draw) -> None:
    """A forbidden file, and a forbidden folder, stand in the result: nothing is skipped silently."""
    folder = tmp_path / "folder"
    (folder / "locked").mkdir(parents=True)
    for name in ("open.png", "secret.png", "locked/inner.png"):
        lighthouse().save(folder / name)
    (folder / "secret.png").chmod(0)
    (folder / "locked").chmod(0)
    try:
        result = rempart(folder, within=WITHOUT_POWERS)
    finally:
        (folder / "locked").chmod(0o755)
    told = {Path(row["path"]).name: (row["status"], row["reason"]) for row in rows(result)}
    assert told == {
        "open.png": ("hashed", None),
        "secret.png": ("unscannable", "unreadable"),
        "locked": ("unscannable", "unreadable"),
    }
    assert result.returncode == 3


@needs_permissions
def test_a_file_that_may_not_be_read_does_not_stop_the_others(tmp_path: Path, picture: Path) -> None:
    """Named on the command line, before one that may."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture.read_bytes())
    secret.chmod(0)
    result = rempart(secret, picture, within=WITHOUT_POWERS)
    assert [row["reason"] for row in rows(result)] == ["unreadable", None], result.stderr
    assert result.returncode == 3


@needs_permissions
def test_a_file_inside_a_forbidden_folder_is_unreadable(tmp_path: Path, lighthouse: Draw) -> None:
    """Named by its full path; the folder may be listed or not."""
    locked = tmp_path / "locked"
    locked.mkdir()
    lighthouse().save(locked / "inner.png")
    for mode in (0o000, 0o444):
        locked.chmod(mode)
        try:
            named, folder = (rempart(path, within=WITHOUT_POWERS) for path in (locked / "inner.png", locked))
        finally:
            locked.chmod(0o755)
        assert [row["reason"] for row in rows(named)] == ["unreadable"], named.stderr
        assert [row["reason"] for row in rows(folder)] == ["unreadable"], folder.stderr
        assert (named.returncode, folder.returncode) == (3, 3)


def test_a_name_that_no_file_can_have_is_missing(picture: Path) -> None:
    """Too long for the system; the rest goes on."""
    result = rempart("x" * 5000, picture)
    assert [row["reason"] for row in rows(result)] == ["missing", None]
    assert result.returncode == 3


def test_an_interrupted_run_prints_what_was_done(tmp_path: Path, saved: Saved, lighthouse: Draw) -> None:
    """Ctrl-C: exit 130, whole lines only."""
    content = saved(lighthouse((2400, 1800)), "PNG", compress_level=1)
    for number in range(400):
        (tmp_path / f"{number:03}.png").write_bytes(content)
    with subprocess.Popen(
        [*COMMAND, "hash", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"REMPART__MEDIA__WORKERS": "1"},
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # work has begun
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    done = [json.loads(line) for line in [first, *rest.splitlines()]]
    assert process.returncode == 130
    assert 0 < len(done) < 400
    assert all(row["status"] == "hashed" for row in done)
    assert "interrupted" in errors.decode()
    assert b"Traceback" not in errors


def test_a_bomb_is_refused_and_the_batch_goes_on(tmp_path: Path, picture: Path) -> None:
    """623 megapixels in two megabytes, and a header that says 60,000 x 60,000."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def png(side: int, body: bytes) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b"")

    packer = zlib.compressobj(1)
    side = 24_960
    row = bytes(1 + 3 * side)
    body = b"".join(packer.compress(row * 64) for _ in range(side // 64)) + packer.flush()
    (tmp_path / "bomb.png").write_bytes(png(side, body))
    (tmp_path / "header.png").write_bytes(png(60_000, b""))
    started = time.monotonic()
    result = rempart(tmp_path / "bomb.png", tmp_path / "header.png", picture)
    assert time.monotonic() - started < 10
    assert [(row["reason"], row["width"]) for row in rows(result)] == [
        ("too_many_pixels", side),
        ("too_many_pixels", 60_000),
        (None, 320),
    ]


def test_a_picture_that_needs_more_memory_than_allowed_still_has_its_digests(tmp_path: Path, picture: Path) -> None:
    """With the limit set by the environment; the next file is read as ever."""
    Image.new("1", (14_000, 14_000)).save(tmp_path / "large.png")
    large, good = rows(rempart(tmp_path / "large.png", picture, REMPART__MEDIA__MEMORY_BYTES=str(600 << 20)))
    assert large["reason"] == "out_of_memory"
    assert large["sha256"] == hashlib.sha256((tmp_path / "large.png").read_bytes()).hexdigest()
    assert good["status"] == "hashed"


def test_a_file_larger_than_the_limit_has_digests_only(picture: Path) -> None:
    """They can still be compared."""
    (row,) = rows(rempart(picture, REMPART__MEDIA__MAX_FILE_BYTES="100"))
    assert (row["reason"], row["pdq"]) == ("too_large", None)
    assert row["sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()


def test_a_heic_without_the_heif_extra_says_what_is_missing(tmp_path: Path) -> None:
    """As on an installation without it."""
    (tmp_path / "pi_heif.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    photo = tmp_path / "photo.heic"
    photo.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    result = rempart(photo, PYTHONPATH=str(tmp_path))
    (row,) = rows(result)
    assert (row["reason"], row["format"], result.returncode) == ("missing_extra", "heif", 3)


def test_a_reader_that_leaves_early_is_no_crash(tmp_path: Path, picture: Path) -> None:
    """`rempart hash … | head -1`."""
    for number in range(300):
        (tmp_path / f"{number}.png").symlink_to(picture)
    paths = [str(tmp_path / f"{number}.png") for number in range(300)]
    with subprocess.Popen([*COMMAND, "hash", *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert process.returncode == 130
    assert "internal error" not in errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
