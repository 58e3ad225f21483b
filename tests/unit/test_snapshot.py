from __future__ import annotations

import os
import resource
import struct
import sys
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rempart.errors import SnapshotError
from rempart.matching import segment
from rempart.matching.index import HashIndex, Hit
from rempart.matching.snapshot import PAGE, Snapshot, written

HASHES = np.random.default_rng(4).integers(0, 256, (300, 32), dtype=np.uint8)


class Note(msgspec.Struct, frozen=True):
    """What the tests note in a snapshot."""

    text: str


def plain(path: Path) -> Path:
    """A snapshot of two small parts, one of them a table."""
    with written(path) as writer:
        writer.add("numbers", np.arange(2000, dtype=np.int64))
        writer.add("table", np.arange(600, dtype=np.uint32).reshape(-1, 3), table=True)
        writer.finish(Note("kept"))
    return path


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot of an index with buckets."""
    path = tmp_path_factory.mktemp("index") / "known.index"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "SMALL", -1)
        HashIndex.build(HASHES).save(path)
    return path


def resealed(content: bytearray) -> bytes:
    """The content with the digest of its first page made anew, as only somebody who means it would."""
    content[PAGE - 32 : PAGE] = sha256(content[: PAGE - 32]).digest()
    return bytes(content)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """Parts with type, shape and content, the writer's note, and the digest of everything."""
    snapshot = Snapshot(plain(tmp_path / "a.snapshot"))
    assert snapshot.arrays["numbers"].tolist() == list(range(2000))
    assert snapshot.arrays["table"].shape == (200, 3)
    assert snapshot.facts(Note) == Note("kept")
    snapshot.verify()
    for array in snapshot.arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_empty_parts_are_parts(tmp_path: Path) -> None:
    """A snapshot of nothing opens and holds nothing."""
    HashIndex.build([]).save(tmp_path / "a.index")
    index = HashIndex.open(tmp_path / "a.index")
    assert (len(index), index.query(HASHES[0])) == (0, [])
    index.add(HASHES[:1], [4])
    index.compact()
    assert HashIndex.open(tmp_path / "a.index").query(HASHES[0]) == [Hit(4, 0)]


def test_a_mapped_index_answers_like_one_in_memory(filed: Path) -> None:
    """Every hash finds itself, through the buckets of the file."""
    index = HashIndex.open(filed)
    index.verify()
    assert index._view.segment.buckets is not None
    assert index.query_many(HASHES, 31).ids.tolist() == list(range(300))


@pytest.mark.parametrize("part", [0.0, 0.00001, 0.0005, 0.5, 0.999999])
def test_a_truncated_snapshot_is_refused(filed: Path, tmp_path: Path, part: float) -> None:
    """Wherever it ends too early, opening says so and what to do."""
    content = filed.read_bytes()
    (tmp_path / "a.index").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(SnapshotError, match=r"damaged .* delete it and build it anew"):
        HashIndex.open(tmp_path / "a.index")


def test_bytes_after_the_end_are_refused(tmp_path: Path) -> None:
    """A file is as long as its header says."""
    path = plain(tmp_path / "a.snapshot")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SnapshotError, match="instead of"):
        Snapshot(path)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_found_by_opening_or_by_verifying(tmp_path: Path, place: float, bit: int) -> None:
    """The header and the tables when it is opened, the rest when it is verified."""
    content = bytearray(plain(tmp_path / "a.snapshot").read_bytes())
    at = int(place * len(content))
    content[at] ^= 1 << bit
    (tmp_path / "b.snapshot").write_bytes(content)
    table = range(5 * PAGE, len(content))  # 16,000 bytes of numbers fill the four pages before it
    if at < PAGE or at in table:
        with pytest.raises(SnapshotError):
            Snapshot(tmp_path / "b.snapshot")
    else:
        snapshot = Snapshot(tmp_path / "b.snapshot")
        with pytest.raises(SnapshotError, match="digest"):
            snapshot.verify()


@given(junk=st.binary(max_size=2 * PAGE), sealed=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_header_holds_it_is_read_or_refused(tmp_path: Path, junk: bytes, *, sealed: bool) -> None:
    """Even one whose digest is right: nothing but a snapshot error ever comes of it."""
    content = bytearray(plain(tmp_path / "a.snapshot").read_bytes())
    content[16 : 16 + len(junk)] = junk
    (tmp_path / "b.snapshot").write_bytes(resealed(content) if sealed else content)
    try:
        Snapshot(tmp_path / "b.snapshot").verify()
    except SnapshotError:
        return
    assert content[PAGE:] == (tmp_path / "a.snapshot").read_bytes()[PAGE:]


FRONTS = {
    "not a snapshot": (0, b"notours!", "is not a snapshot of rempart"),
    "a future version": (8, struct.pack("=I", 2), "has format 2, and this rempart reads format 1"),
    "the other byte order": (12, struct.pack("=I", 0x04030201), "other byte order; build it here anew"),
    "no byte order": (12, struct.pack("=I", 7), "byte order mark is wrong"),
    "a header longer than its page": (16, struct.pack("=I", 1 << 30), "header does not fit"),
}


@pytest.mark.parametrize(("at", "value", "message"), FRONTS.values(), ids=FRONTS.keys())
def test_a_front_that_cannot_be_is_explained(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    """Each in one line that says what to do."""
    content = bytearray(plain(tmp_path / "a.snapshot").read_bytes())
    content[at : at + len(value)] = value
    (tmp_path / "a.snapshot").write_bytes(resealed(content))
    with pytest.raises(SnapshotError, match=message) as caught:
        Snapshot(tmp_path / "a.snapshot")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_snapshots_are_refused(tmp_path: Path) -> None:
    """None, a folder, a pipe that nobody writes to, a picture, and the snapshot of something else."""
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff" + bytes(9000))
    os.mkfifo(tmp_path / "pipe")
    plain(tmp_path / "other")
    for name in ("none", ".", "pipe", "picture", "other"):
        with pytest.raises(SnapshotError):
            HashIndex.open(tmp_path / name)


def test_an_entry_that_names_no_row_ends_all_answers(filed: Path, tmp_path: Path) -> None:
    """A violation found by the kernel is an error, not a missing hit; and it stays one."""
    path = tmp_path / "a.index"
    content = bytearray(filed.read_bytes())
    entries = 16 * len(HASHES) * 16
    row_numbers = np.frombuffer(content, np.uint32, entries // 4, len(content) - entries)[2::4]
    row_numbers[:] = 0xFFFFFFF0
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rempart.matching.search._EFFORT", np.inf)
        index = HashIndex.open(path)
        for _ in range(2):
            with pytest.raises(SnapshotError, match="names a row that it does not hold"):
                index.query(HASHES[0])
        with pytest.raises(SnapshotError):
            index.query_many(HASHES, 0)


def test_a_negative_id_ends_all_answers(tmp_path: Path) -> None:
    """Ids come out of the file too."""
    HashIndex.build(HASHES).save(tmp_path / "a.index")
    content = bytearray((tmp_path / "a.index").read_bytes())
    content[-8 * len(HASHES) :] = b"\xff" * (8 * len(HASHES))
    (tmp_path / "a.index").write_bytes(content)
    index = HashIndex.open(tmp_path / "a.index")
    with pytest.raises(SnapshotError):
        index.query(HASHES[0])


def test_a_snapshot_that_is_found_bad_by_verifying_answers_no_more(filed: Path, tmp_path: Path) -> None:
    """Until a good one is taken up."""
    path = tmp_path / "a.index"
    content = bytearray(filed.read_bytes())
    content[PAGE] ^= 1
    path.write_bytes(content)
    index = HashIndex.open(path)
    with pytest.raises(SnapshotError, match="content"):
        index.verify()
    with pytest.raises(SnapshotError, match="content"):
        index.query(HASHES[5])
    with pytest.raises(SnapshotError, match="content"):
        index.compact()
    path.unlink()
    path.write_bytes(filed.read_bytes())
    index.refresh()
    assert index.query(HASHES[5]) == [Hit(5, 0)]


def test_a_full_disk_leaves_the_last_snapshot_and_no_litter(tmp_path: Path) -> None:
    """A real limit on file sizes, in a process of its own: the error is plain and the old file whole."""
    path = tmp_path / "a.index"
    HashIndex.build(HASHES).save(path)
    before = path.read_bytes()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
            HashIndex.build(HASHES[:200]).save(path)
        except SnapshotError as error:
            code = 0 if "unchanged" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.index", "a.index.lock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error says which file and why."""
    tmp_path.chmod(0o500)
    with pytest.raises(SnapshotError, match="cannot be written: Permission denied"):
        HashIndex.build(HASHES).save(tmp_path / "a.index")


def test_two_writers_of_one_snapshot_do_not_meet(tmp_path: Path) -> None:
    """The second is refused; the first finishes."""
    with written(tmp_path / "a.snapshot") as writer:
        writer.add("numbers", np.arange(5))
        with pytest.raises(SnapshotError, match="another process is writing"), written(tmp_path / "a.snapshot"):
            pass
        writer.finish(Note("first"))
    assert Snapshot(tmp_path / "a.snapshot").facts(Note).text == "first"


def test_whoever_has_mapped_the_old_file_keeps_it(tmp_path: Path) -> None:
    """A snapshot is replaced by name, never in place."""
    old = Snapshot(plain(tmp_path / "a.snapshot"))
    with written(tmp_path / "a.snapshot") as writer:
        writer.add("numbers", np.zeros(3, np.int64))
        writer.finish(Note("new"))
    old.verify()
    assert old.arrays["numbers"][-1] == 1999
    assert Snapshot(tmp_path / "a.snapshot").arrays["numbers"].tolist() == [0, 0, 0]


def test_what_does_not_read_back_as_written_never_gets_the_name(tmp_path: Path) -> None:
    """The disk that keeps something else is found out before the old file is given up."""
    path = plain(tmp_path / "a.snapshot")
    before = path.read_bytes()
    with pytest.raises(SnapshotError, match="damaged"):
        write_spoilt(path)
    assert path.read_bytes() == before


def write_spoilt(path: Path) -> None:
    """Write a snapshot of which one bit is not kept."""
    with written(path) as writer:
        writer.add("numbers", np.arange(5000))
        writer.finish(Note("spoilt"))
        unfinished = path.with_name(path.name + ".new")
        content = bytearray(unfinished.read_bytes())
        content[2 * PAGE] ^= 4
        unfinished.write_bytes(content)


def test_a_map_of_any_size_opens_in_milliseconds_and_needs_no_memory_of_its_own(tmp_path: Path) -> None:
    """A hundred megabytes, of which opening touches the header and the tables."""
    path = tmp_path / "a.snapshot"
    with written(path) as writer:
        writer.begin("words", "uint64", (4,))
        block = np.zeros((1 << 17, 4), np.uint64)
        for _ in range(25):
            writer.write(block)
        writer.finish(Note("large"))
    before = resident()
    snapshot = Snapshot(path)
    assert len(snapshot) > 100 << 20
    assert resident() - before < 10 << 20
    assert sys.getsizeof(snapshot.arrays["words"]) < 1000


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
