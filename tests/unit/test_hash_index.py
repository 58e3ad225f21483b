from __future__ import annotations

import os
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rempart.errors import InvalidHashError, UsageError
from rempart.matching import compiled as compiled_module
from rempart.matching import search, segment
from rempart.matching.index import HashIndex, Hit
from rempart.matching.permutation import bit_order, shuffle

Table = npt.NDArray[np.uint8]

RADII = [0, 1, 14, 15, 16, 17, 24, 30, 31, 32, 33, 48, 63]
ORDER = bit_order()
KINDS = ("random", "near", "identical", "crowded")


def brute_force(hashes: Table, query: Table, radius: int, ids: list[int] | None = None) -> list[Hit]:
    """The definition: compare bit by bit with every hash that is not all zero."""
    nearest: dict[int, int] = {}
    distances = (np.unpackbits(hashes, axis=1) != np.unpackbits(query)).sum(axis=1)
    for row, distance in enumerate(distances.tolist()):
        number = row if ids is None else ids[row]
        if hashes[row].any() and distance <= min(radius, nearest.get(number, radius)):
            nearest[number] = distance
    return sorted((Hit(*pair) for pair in nearest.items()), key=lambda hit: (hit.distance, hit.id))


def flipped(value: Table, places: npt.ArrayLike) -> Table:
    """The hash with the bits at these places changed."""
    bits = np.unpackbits(value)
    bits[np.asarray(places, dtype=np.intp)] ^= 1
    return np.packbits(bits)


def noisy(value: Table, rng: np.random.Generator, most: int) -> Table:
    """The hash with up to ``most`` of its bits changed."""
    return flipped(value, rng.choice(256, rng.integers(0, most + 1), replace=False))


def sample(kind: str, rows: int, rng: np.random.Generator) -> Table:
    """Hashes of one kind: nothing in common, copies at all distances, the same few, or sharing whole chunks."""
    table = rng.integers(0, 256, (rows, 32), dtype=np.uint8)
    if kind == "random" or not rows:
        return table
    centres = table[:3].copy()
    for row in range(rows):
        centre = centres[rng.integers(len(centres))]
        if kind == "near":
            table[row] = noisy(centre, rng, 70)
        elif kind == "identical":
            table[row] = centre
        elif rng.random() < 0.8:
            shared = np.concatenate([ORDER[16 * c : 16 * c + 16] for c in rng.choice(16, rng.integers(1, 9))])
            bits = np.unpackbits(table[row])
            bits[shared] = np.unpackbits(centre)[shared]
            table[row] = np.packbits(bits)
    return table


def build(hashes: object, ids: object = None, *, compiled: bool) -> HashIndex:
    """Build with the one or the other search, whatever the number of hashes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "SMALL", -1 if compiled else sys.maxsize)
        return HashIndex.build(hashes, ids)


@pytest.fixture(autouse=True, scope="module")
def the_way_through_the_buckets_is_taken() -> Iterator[None]:
    """For so few hashes, comparing with all would nearly always be quicker, and the buckets would go untested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_EFFORT", np.inf)
        yield


both = pytest.mark.parametrize("compiled", [False, True], ids=["numpy", "compiled"])


@pytest.fixture(scope="module")
def crowd() -> Table:
    """Two thousand hashes of every kind."""
    rng = np.random.default_rng(20)
    return np.concatenate([sample(kind, 500, rng) for kind in KINDS])


@both
@pytest.mark.parametrize("radius", RADII)
def test_finds_what_comparing_with_every_hash_finds(crowd: Table, radius: int, *, compiled: bool) -> None:
    """At every radius the answer is that of brute force: ids, distances and order."""
    rng = np.random.default_rng(radius)
    index = build(crowd, compiled=compiled)
    chosen = crowd[rng.choice(len(crowd), 40)]
    queries = np.concatenate([chosen[:5], [noisy(value, rng, 66) for value in chosen]])
    hits = index.query_many(queries, radius)
    for number, query in enumerate(queries):
        at = slice(hits.offsets[number], hits.offsets[number + 1])
        found = [Hit(*pair) for pair in zip(hits.ids[at].tolist(), hits.distances[at].tolist(), strict=True)]
        assert found == brute_force(crowd, query, radius)
        assert index.query(query, radius) == found


@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(0, 300),
    radius=st.one_of(st.integers(0, 63), st.sampled_from(RADII)),
    seed=st.integers(0, 2**32),
    zeros=st.integers(0, 2),
    repeated=st.booleans(),
    compiled=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_index_answers_as_brute_force_does(
    kind: str, rows: int, radius: int, seed: int, zeros: int, *, repeated: bool, compiled: bool
) -> None:
    """For hashes of any kind, with zero hashes among them and ids that stand at several."""
    rng = np.random.default_rng(seed)
    hashes = np.concatenate([sample(kind, rows, rng), np.zeros((zeros, 32), np.uint8)])
    rng.shuffle(hashes)
    ids = rng.integers(0, 1 + len(hashes) // 3, len(hashes)).tolist() if repeated else None
    index = build(hashes, ids, compiled=compiled)
    assert (len(index), index.dropped) == (rows, zeros)
    queries = [noisy(value, rng, radius + 3) for value in hashes[:4]] or [rng.integers(0, 256, 32, dtype=np.uint8)]
    for query in queries:
        assert index.query(query, radius) == brute_force(hashes, query, radius, ids)


@pytest.mark.parametrize("radius", range(32))
def test_no_way_to_spread_the_difference_over_the_chunks_escapes(radius: int) -> None:
    """Hashes that are within reach in one chunk only, and just out of reach in all others, are found."""
    rng = np.random.default_rng(radius)
    query = rng.integers(0, 256, 32, dtype=np.uint8)
    hidden = []
    for only in range(min(16, radius + 1)):
        places: list[int] = []
        for chunk in range(16):
            flips = (radius - chunk) // 16 + (chunk != only)
            places += [ORDER[16 * chunk + bit] for bit in rng.choice(16, flips, replace=False)]
        hidden.append(flipped(query, places))
    others = rng.integers(0, 256, (500, 32), dtype=np.uint8)
    index = build(np.concatenate([hidden, others]), compiled=True)
    assert index.query(query, radius) == [Hit(row, radius) for row in range(len(hidden))]


@pytest.mark.parametrize("radius", [0, 15, 20, 31, 40])
def test_the_compiled_search_reports_every_row_once(crowd: Table, radius: int) -> None:
    """A row that several chunks find is written down once, before ids are looked at."""
    index = build(crowd, compiled=True)
    queries = np.concatenate([crowd[::40], np.random.default_rng(3).integers(0, 256, (20, 32), dtype=np.uint8)])
    owners, rows, distances = search._search_buckets(index._view, shuffle(queries), radius)[:3]
    bits = np.unpackbits(crowd, axis=1)
    assert sorted(zip(owners.tolist(), rows.tolist(), distances.tolist(), strict=True)) == [
        (number, row, distance)
        for number, query in enumerate(np.unpackbits(queries, axis=1))
        for row, distance in enumerate((bits != query).sum(axis=1).tolist())
        if distance <= radius
    ]


def test_crowded_buckets_cost_no_more_than_reading_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the way through a query's buckets costs more than the index has rows, the rows are read, and it says so."""
    monkeypatch.setattr(search, "_EFFORT", 1.0)
    rng = np.random.default_rng(5)
    same = np.tile(rng.integers(0, 256, 32, dtype=np.uint8), (15_000, 1))
    index = build(np.concatenate([same, rng.integers(0, 256, (15_000, 32), dtype=np.uint8)]), compiled=True)
    crowded, lone = (index.query_many([same[0]]), index.query_many([index_row(index, 29_999)]))
    assert crowded.ids.tolist() == list(range(15_000))
    assert lone.ids.tolist() == [29_999]
    assert (crowded.scanned, lone.scanned) == (1, 0)


def index_row(index: HashIndex, row: int) -> Table:
    """A hash that was put into an index."""
    words = index._view.segment.words[row : row + 1].view(np.uint8)
    bits = np.empty(256, np.uint8)
    bits[ORDER] = np.unpackbits(words)
    return np.packbits(bits)


@both
def test_no_result_is_ever_cut_short(*, compiled: bool) -> None:
    """Thousands of hits of one query come out complete and in order."""
    value = bytes(range(32))
    index = build([value] * 5000, range(4999, -1, -1), compiled=compiled)
    assert index.query(value) == [Hit(row, 0) for row in range(5000)]
    assert index.query_many([value, value], 31).offsets.tolist() == [0, 5000, 10000]


@both
def test_an_empty_index_finds_nothing(*, compiled: bool) -> None:
    """An index of nothing, and one of zero hashes only, answer every query with no hits."""
    for hashes in ([], np.empty((0, 32), np.uint8), np.zeros((3, 32), np.uint8)):
        index = build(hashes, compiled=compiled)
        assert len(index) == 0
        assert index.query("ab" * 32, 63) == []
        assert index.query_many(["ab" * 32] * 2).offsets.tolist() == [0, 0, 0]
    assert index.dropped == 3


@both
def test_no_queries_give_no_hits(*, compiled: bool) -> None:
    """An empty batch is answered by empty arrays of the promised types."""
    hits = build(["ab" * 32], compiled=compiled).query_many([])
    assert (hits.offsets.tolist(), hits.ids.tolist(), hits.distances.tolist()) == ([0], [], [])
    assert (hits.offsets.dtype, hits.ids.dtype, hits.distances.dtype) == (np.int64, np.int64, np.uint8)


@both
def test_the_zero_hash_is_no_entry_but_may_be_asked_for(*, compiled: bool) -> None:
    """It is never indexed; as a query it finds what lies near it, as any other."""
    near = (1).to_bytes(32, "big")
    index = build([bytes(32), near, bytes(32)], [5, 6, 7], compiled=compiled)
    assert (len(index), index.dropped) == (1, 2)
    assert index.query(bytes(32)) == [Hit(6, 1)]


@both
def test_an_id_at_several_hashes_is_found_once_at_the_nearest(*, compiled: bool) -> None:
    """Each id comes once, with the smallest of its distances; equal distances come by id."""
    base = np.arange(32, dtype=np.uint8)
    rows = [flipped(base, range(count)) for count in (9, 4, 30, 4, 31, 32)]
    index = build(np.stack(rows), [8, 8, 8, 2, 2**63 - 1, 1], compiled=compiled)
    assert index.query(base) == [Hit(2, 4), Hit(8, 4), Hit(2**63 - 1, 31)]
    assert index.query(base, 32)[-1] == Hit(1, 32)
    assert index.query(base, 3) == []


@both
def test_every_form_of_a_hash_says_the_same(*, compiled: bool) -> None:
    """Hexadecimal text in either case, bytes, an array, or an object with a hash."""
    raw = bytes(range(100, 132))
    forms: list[object] = [raw.hex(), raw.hex().upper(), raw, np.frombuffer(raw, np.uint8), SimpleNamespace(hash=raw)]
    index = build(forms, compiled=compiled)
    for form in forms:
        assert index.query(form, 0) == [Hit(row, 0) for row in range(5)]
        assert index.query(form, np.int64(0)) == index.query(form, 0)


def test_the_index_keeps_its_answers_when_the_given_arrays_change() -> None:
    """Hashes and ids are copied."""
    hashes, ids = np.full((1, 32), 7, np.uint8), np.array([3], np.int64)
    index = HashIndex.build(hashes, ids)
    hashes[:], ids[:] = 0, 4
    assert index.query(bytes([7] * 32)) == [Hit(3, 0)]


GOOD = "5c" * 32
BAD_HASHES = {
    "one of a list, too short": ([GOOD, GOOD[1:]], "row 1 of the hashes: a hash has 64 hexadecimal digits, not 63"),
    "not hexadecimal": (["g" * 64], "row 0 of the hashes: a hash consists of hexadecimal digits"),
    "white space": ([" " + GOOD[:62] + " "], "row 0 of the hashes: a hash consists of hexadecimal digits"),
    "other digits": (["\u0663" * 64], "row 0 of the hashes: a hash consists of hexadecimal digits"),
    "31 bytes": ([b"x" * 31], "row 0 of the hashes: a hash has 32 bytes, not 31"),
    "a number": ([GOOD, GOOD, 5], "row 2 of the hashes: a hash is 64 hexadecimal digits, 32 bytes or a uint8 array"),
    "a row of another type": ([np.zeros(32, np.int8)], "row 0 of the hashes: a hash as an array is uint8 of shape"),
    "one text": (GOOD, "one hash where a list of hashes is expected"),
    "one hash in bytes": (b"x" * 32, "one hash where a list of hashes is expected"),
    "too narrow": (np.zeros((3, 31), np.uint8), r"uint8 of shape \(n, 32\), not uint8 of 3x31"),
    "one-dimensional": (np.zeros(32, np.uint8), r"uint8 of shape \(n, 32\), not uint8 of 32"),
    "another type": (np.zeros((3, 32), np.int64), r"uint8 of shape \(n, 32\), not int64 of 3x32"),
}


@pytest.mark.parametrize(("hashes", "message"), BAD_HASHES.values(), ids=BAD_HASHES.keys())
def test_bad_hashes_are_refused_by_row_and_never_quoted(hashes: object, message: str) -> None:
    """One line says what is wrong and where; it holds nothing of the hash."""
    with pytest.raises(InvalidHashError, match=message) as caught:
        HashIndex.build(hashes)
    with pytest.raises(InvalidHashError, match=message):
        HashIndex.build([GOOD]).query_many(hashes)
    assert "\n" not in str(caught.value)
    assert GOOD[:8] not in str(caught.value)


@pytest.mark.parametrize("value", [GOOD[:-1], "zz" * 32, b"", np.zeros((1, 32), np.uint8), None, 7])
def test_a_bad_query_is_refused(value: object) -> None:
    """A query has the same forms as an entry."""
    with pytest.raises(InvalidHashError, match="a hash "):
        HashIndex.build([GOOD]).query(value)


BAD_IDS = {
    "negative": ([0, -1], r"row 1 of the ids is not a whole number from 0"),
    "too large": (np.array([0, 2**63], np.uint64), r"row 1 of the ids is not a whole number from 0"),
    "larger than any machine number": ([0, 2**70], "ids are whole numbers from 0"),
    "fractions": ([0.0, 1.0], "ids are whole numbers from 0"),
    "truth values": ([True, False], "ids are whole numbers from 0"),
    "texts": (["0", "1"], "ids are whole numbers from 0"),
    "too few": ([0], "one id for each of the 2 hashes; the shape of the ids is 1"),
    "a table": ([[0, 1]], "one id for each of the 2 hashes; the shape of the ids is 1x2"),
    "one number": (3, "one id for each of the 2 hashes; the shape of the ids is a single number"),
    "ragged": ([[0], [1, 2]], "not a plain list"),
}


@pytest.mark.parametrize(("ids", "message"), BAD_IDS.values(), ids=BAD_IDS.keys())
def test_bad_ids_are_refused(ids: object, message: str) -> None:
    """Ids are one whole number for each hash, 0 or more."""
    with pytest.raises(InvalidHashError, match=message):
        HashIndex.build([GOOD, GOOD], ids)


@pytest.mark.parametrize("radius", [-1, 64, 1000, 3.0, "31", None])
def test_a_radius_out_of_range_is_refused(radius: object) -> None:
    """The radius is a whole number from 0 to 63."""
    index = HashIndex.build([GOOD])
    for ask in (lambda: index.query(GOOD, radius), lambda: index.query_many([GOOD], radius)):
        with pytest.raises(UsageError, match="the radius is not a whole number from 0 to 63"):
            ask()


def test_more_rows_than_row_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row numbers have 32 bits in the buckets; what goes beyond must not wrap around."""
    monkeypatch.setattr(segment, "MAX_ROWS", 2)
    assert len(HashIndex.build([GOOD] * 2)) == 2
    with pytest.raises(UsageError, match="at most 2 hashes"):
        HashIndex.build([GOOD] * 3)


def test_the_order_of_bits_is_what_it_always_was() -> None:
    """A saved index stays readable only as long as the shuffle is the same."""
    assert sorted(ORDER) == list(range(256))
    assert sha256(bytes(ORDER)).hexdigest() == "0c0be55f021d381c0bc0617a1970695cf2136ab86162d9adea96ccbac2d6f597"


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_shuffling_keeps_distances(first: bytes, second: bytes) -> None:
    """The shuffled forms of two hashes differ in as many bits as the hashes."""
    words = shuffle(np.frombuffer(first + second, np.uint8).reshape(2, 32))
    expected = (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_count()
    assert np.bitwise_count(words[0] ^ words[1]).sum() == expected


def test_threads_may_share_an_index(crowd: Table) -> None:
    """Queries at the same time give the answers of queries one after the other."""
    index = build(crowd, compiled=True)
    queries = list(crowd[::20])
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(index.query, queries)) == [index.query(query) for query in queries]


def test_a_small_index_never_loads_numba() -> None:
    """Loading it takes longer than a few thousand queries of a small index."""
    code = (
        "import sys; from rempart.matching.index import HashIndex; "
        "assert HashIndex.build(['ab' * 32]).query('ab' * 32); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@both
def test_real_hashes_have_the_neighbours_they_are_known_to_have(*, compiled: bool) -> None:
    """A hundred real hashes and their 250 neighbours within 31 bits."""
    folder = os.environ.get("REMPART_TEST_DATA")
    if not folder:
        pytest.skip("REMPART_TEST_DATA does not name the folder of test data")
    hashes, queries = (Path(folder, "pdq", name).read_text().split() for name in ("haystack.txt", "needles.txt"))
    index = build(hashes, compiled=compiled)
    assert sorted(np.diff(index.query_many(queries).offsets).tolist()) == [2] * 50 + [3] * 50
    table = np.array([list(bytes.fromhex(value)) for value in hashes], np.uint8)
    for query in queries[::4]:
        asked = np.frombuffer(bytes.fromhex(query), np.uint8)
        for radius in RADII:
            assert index.query(query, radius) == brute_force(table, asked, radius)


@pytest.mark.parametrize("radius", [0, 15, 31, 63])
def test_faiss_finds_the_same(crowd: Table, radius: int) -> None:
    """Another implementation, which reads all rows, agrees on every pair and distance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its generated wrappers, on newer Pythons
        faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed; it comes with the `bench` extra")
    peer = faiss.IndexBinaryFlat(256)
    peer.add(crowd)
    queries = crowd[::7]
    limits, distances, rows = peer.range_search(queries, radius + 1)  # its bound is strict
    order = np.lexsort((rows, distances, np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))))
    hits = build(crowd, compiled=True).query_many(queries, radius)
    assert hits.offsets.tolist() == limits.tolist()
    assert hits.ids.tolist() == rows[order].tolist()
    assert hits.distances.tolist() == distances[order].tolist()


def doubled(number: int) -> int:
    """What the tests below compile."""
    return number * 2


def test_compiled_code_is_kept_in_a_private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is a folder of mode 0700; a damaged file in it is no obstacle; other users of numba notice nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = numba.config.CACHE_DIR
    assert compiled_module.compiled(doubled, numba.int64)(21) == 42
    folder = tmp_path / "rempart" / "numba"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    for file in files:
        file.write_bytes(b"not a pickle")
    assert compiled_module.compiled(doubled, numba.int64)(22) == 44
    assert place == numba.config.CACHE_DIR


@pytest.mark.parametrize("flaw", ["others may read it", "it is a link", "it is a file"])
def test_a_cache_folder_that_is_not_private_is_not_used(
    flaw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is loaded from there is executed, so it must be the user's own folder and nobody else's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "rempart" / "numba"
    folder.parent.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if flaw == "others may read it":
        folder.mkdir()
        folder.chmod(0o750)
    elif flaw == "it is a link":
        folder.symlink_to(elsewhere)
    else:
        folder.touch()
    assert compiled_module.cache_folder() is None
    assert compiled_module.compiled(doubled, numba.int64)(21) == 42
    assert not [file for file in tmp_path.rglob("*") if file.suffix in {".nbi", ".nbc"}]
