from __future__ import annotations

import hashlib
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import HashFileError, InvalidHashError
from rempart.lists import HashFile, HashValue, parse_hash
from rempart.lists.hashfile import BLOCK_BYTES, LISTED_KINDS
from rempart.store.tables import HashKind

MD5, SHA1, SHA256 = ("9e107d9d372bb6826bd81d3542a419d6", "2f" * 20, "d7" * 32)
PDQ = "0f" * 32

values = st.sampled_from(LISTED_KINDS).flatmap(
    lambda kind: st.builds(HashValue, st.just(kind), st.binary(min_size=kind.length, max_size=kind.length).filter(any))
)


@st.composite
def written(draw: st.DrawFn) -> tuple[list[HashValue], bytes]:
    """Hashes, and a file that holds them in some of the ways in which such files are written."""
    hashes = draw(st.lists(values, min_size=1, max_size=20))
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    lines = []
    for each in hashes:
        digits = each.value.hex()
        prefixed = each.kind is HashKind.SHA256 or draw(st.booleans())
        text = f"{each.kind}:{draw(st.sampled_from(['', ' ']))}{digits}" if prefixed else digits
        text = draw(st.sampled_from([str.lower, str.upper]))(text)
        blank = st.sampled_from(["", " ", "\t", "  \t"])
        lines.append(f"{draw(blank)}{text}{draw(blank)}".encode())
        lines.extend(draw(st.lists(st.sampled_from([b"", b"  ", b"# a remark, 2026", b"\t#"]), max_size=2)))
    content = end.join(lines) + draw(st.sampled_from([b"", end]))
    return hashes, draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + content


@given(written())
def test_a_list_is_read_however_it_is_written(case: tuple[list[HashValue], bytes]) -> None:
    """Case, blanks, line ends, prefixes, remarks and a byte order mark change nothing."""
    hashes, content = case
    assert hashes == list(HashFile(io.BytesIO(content)))


@given(st.lists(st.text(alphabet="0123456789abcdefABCXYZ :,;#\t\r\x0b\u00e9\u2028", max_size=70), max_size=30))
def test_every_line_is_taken_or_counted_as_bad_or_says_nothing(lines: list[str]) -> None:
    """Whatever stands in a file, no line vanishes, and a refusal quotes none."""
    content = "\n".join(lines).encode()
    silent = sum(not line.strip() or line.strip().startswith(b"#") for line in content.split(b"\n"))
    reader = HashFile(io.BytesIO(content), skip_bad=True)
    try:
        taken = len(list(reader))
    except HashFileError:
        taken = 0
    assert taken + reader.bad == len(content.split(b"\n")) - silent
    if reader.bad:
        with pytest.raises(HashFileError) as caught:
            list(HashFile(io.BytesIO(content)))
        assert str(reader.bad) in str(caught.value)


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_read_or_refused(content: bytes) -> None:
    """No input is a crash."""
    try:
        assert all(len(each.value) == each.kind.length for each in HashFile(io.BytesIO(content)))
    except HashFileError as error:
        assert "\n" not in str(error)  # noqa: PT017 -- both outcomes are right, each has its own check


def test_lines_that_cross_the_border_of_a_block_stay_whole() -> None:
    """More than two blocks of lines, none of which divides a block."""
    digests = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2 * BLOCK_BYTES // 65 + 100)]
    counted: list[int] = []
    reader = HashFile(io.BytesIO("\n".join(digests).encode()), kind=HashKind.SHA256, progress=counted.append)
    assert digests == [each.value.hex() for each in reader]
    assert sum(counted) == 65 * len(digests) - 1


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (MD5, None, HashKind.MD5),
        (SHA1, None, HashKind.SHA1),
        (SHA256, None, HashKind.PDQ),
        (SHA256, HashKind.SHA256, HashKind.SHA256),
        (f"sha256:{SHA256}", None, HashKind.SHA256),
        (f"SHA256: {SHA256.upper()}", HashKind.MD5, HashKind.SHA256),
        (f"pdq:{PDQ}", HashKind.SHA256, HashKind.PDQ),
    ],
)
def test_the_prefix_decides_then_what_is_asked_for_then_the_length(
    text: str, kind: HashKind | None, expected: HashKind
) -> None:
    """Of a single hash as of a line in a list."""
    assert expected is parse_hash(text, kind).kind
    assert [parse_hash(text, kind)] == list(HashFile(io.BytesIO(text.encode()), kind=kind))


BAD = {
    MD5[:-1]: "31 characters, where a hash has",
    f"sha1:{MD5}": "32 characters, where sha1 has 40",
    f"crc:{MD5}": "prefix",
    f"a:b:{MD5}": "prefix",
    MD5[:-1] + "g": "not hexadecimal",
    "é" * 32: "not hexadecimal",
    f"{MD5} {MD5}": "more than one value",
    f"{MD5},evil": "more than one value",
    MD5[:15] + " " + MD5[16:]: "more than one value",
    "0" * 64: "all-zero",
}


@pytest.mark.parametrize(("line", "problem"), BAD.items())
def test_a_bad_line_is_named_by_its_number_and_fault_and_never_quoted(line: str, problem: str) -> None:
    """The content of a list is confidential, errors end up in logs."""
    with pytest.raises(HashFileError) as caught:
        list(HashFile(io.BytesIO(f"{MD5}\n\n{line}\n{MD5}".encode("latin-1"))))
    message = str(caught.value)
    assert "1 bad line (line 3: " in message
    assert problem in message
    assert line[:12] not in message
    reader = HashFile(io.BytesIO(f"{MD5}\n\n{line}\n{MD5}".encode("latin-1")), skip_bad=True)
    assert [each.value.hex() for each in reader] == [MD5, MD5]
    assert (reader.bad, reader.lines) == (1, 4)


def test_a_single_bad_hash_is_refused_without_being_quoted() -> None:
    """The same faults, for hashes given as arguments."""
    for line, problem in BAD.items():
        with pytest.raises(InvalidHashError) as caught:
            parse_hash(line)
        assert problem in str(caught.value)
        assert line[:12] not in str(caught.value)
    with pytest.raises(InvalidHashError):
        parse_hash("\ud800" * 32)


def test_frames_of_videos_are_not_taken_one_by_one() -> None:
    """An entry of one frame would be a video that every video with this frame holds whole."""
    for text, kind in ((f"vpdq:{PDQ}", None), (PDQ, HashKind.VPDQ)):
        with pytest.raises(InvalidHashError, match=r"the prefix is none of|bank the video itself"):
            parse_hash(text, kind)
        with pytest.raises(HashFileError, match="1 bad line"):
            list(HashFile(io.BytesIO(text.encode()), kind=kind))


def test_of_many_bad_lines_ten_are_named_and_all_are_counted() -> None:
    """A list of the wrong sort is not worth a million lines of complaint."""
    with pytest.raises(HashFileError, match=r"^37 bad lines \(line 1: .*line 10: [^;]*; and 27 more\)") as caught:
        list(HashFile(io.BytesIO(b"nonsense\n" * 37)))
    assert "line 11" not in str(caught.value)


def test_after_a_bad_line_nothing_more_is_given() -> None:
    """What follows would be undone anyway."""
    given: list[HashValue] = []
    with pytest.raises(HashFileError):
        given.extend(HashFile(io.BytesIO(f"x\n{MD5}\n{MD5}".encode())))
    assert not given


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f"{MD5}\n".encode("utf-16"), "UTF-16"),
        (f"{MD5}\n".encode("utf-16-be"), "UTF-16"),
        (b"\x1f\x8b\x08\x00" + os.urandom(64), "compressed"),
        (b"", "holds no hash"),
        (b"\n# nothing\n", "holds no hash"),
        (b"nonsense", "holds no hash"),
        (b"a" * (2 * BLOCK_BYTES + 2), "longer than a megabyte"),
    ],
)
def test_what_is_no_list_is_refused_even_when_bad_lines_are_skipped(content: bytes, problem: str) -> None:
    """An empty or binary file is a failed download, not a list without entries."""
    with pytest.raises(HashFileError, match=problem):
        list(HashFile(io.BytesIO(content), skip_bad=True))


def test_a_list_of_sha256_taken_as_pdq_is_noticed() -> None:
    """By the bits: of random values few have 128 ones, of PDQ hashes nearly all."""
    digests = "\n".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(200)).encode()
    for content, kind, expected in [
        (digests, None, True),
        (digests, HashKind.PDQ, False),
        (digests, HashKind.SHA256, False),
        (digests.replace(b"\n", b"\npdq:").replace(digests[:65], b""), None, False),
        (f"{PDQ}\n".encode() * 200 + digests, None, False),
        (MD5.encode(), None, False),
    ]:
        reader = HashFile(io.BytesIO(content), kind=kind)
        assert list(reader)
        assert reader.looks_like_sha256 is expected
