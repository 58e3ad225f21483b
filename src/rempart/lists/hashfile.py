"""Hash lists as text: one hash on a line, read as a stream.

A list is untrusted and confidential. It is either wholly understood or refused, and what is said about a bad line is
its number and what is wrong with it, never what stands on it.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec

from rempart.errors import HashFileError, InvalidHashError
from rempart.store.tables import HashKind

BLOCK_BYTES = 1 << 20
NAMED_BAD_LINES = 10

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
# Frames of videos mean something only together, so that no list brings them one by one.
LISTED_KINDS = tuple(kind for kind in HashKind if kind is not HashKind.VPDQ)

_PREFIXES = {kind.value.encode(): kind for kind in LISTED_KINDS}
_BY_DIGITS = {32: HashKind.MD5, 40: HashKind.SHA1, 64: HashKind.PDQ}
_ZERO_PDQ = bytes(HashKind.PDQ.length)


class HashValue(msgspec.Struct, frozen=True):
    """One hash: its kind and its bytes.

    Attributes:
        quality: 0..100 of a PDQ or VPDQ; None where it is not known.
        variant: which form of the picture or frame it is of.
        at_ms: of a VPDQ, when its frame is shown, in milliseconds from the start.
    """

    kind: HashKind
    value: bytes
    quality: int | None = None
    variant: str | None = None
    at_ms: int | None = None


def parse_hash(text: str, kind: HashKind | None = None) -> HashValue:
    """Read one hash in hexadecimal digits of either case, such as ``sha256:9f86…`` or 64 digits of PDQ.

    Args:
        text: the digits; a prefix ``pdq: md5: sha1: sha256:`` decides the kind.
        kind: the kind of a hash without prefix; None goes by the number of digits (32 MD5, 40 SHA-1, 64 PDQ).

    Raises:
        InvalidHashError: it is not a hash, or the all-zero PDQ hash; the message does not quote it.
    """
    return _parse(text.encode("ascii", "replace").strip(), kind)


def is_balanced(pdq: bytes) -> bool:
    """Whether half of the bits are one, as in PDQ hashes, whose bits say which of 256 coefficients exceed their median.

    Ties make rare exceptions; of digests 5 in 100 look like this.
    """
    return int.from_bytes(pdq, "big").bit_count() == 4 * len(pdq)


class HashFile:
    """The hashes of a list, in the order of its lines; iterate over it once, then read its counts.

    Blank lines and lines that start with ``#`` are passed over. Blanks around a hash, CRLF, a UTF-8 byte order mark and
    a last line without an end are accepted.

    Attributes:
        lines: lines read.
        bad: lines that hold something other than one hash.
        first_bad: number and fault of the first few of them.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        kind: HashKind | None = None,
        skip_bad: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Make a reader.

        Args:
            stream: the list, opened for binary reading.
            kind: the kind of hashes without prefix; None goes by the number of digits.
            skip_bad: pass over bad lines and count them, where otherwise one bad line refuses the whole list.
            progress: called with the number of bytes of each block read.
        """
        self.lines = 0
        self.bad = 0
        self.first_bad: list[tuple[int, str]] = []
        self._stream = stream
        self._kind = kind
        self._skip_bad = skip_bad
        self._progress = progress
        self._assumed_pdq = 0
        self._balanced_pdq = 0

    @property
    def looks_like_sha256(self) -> bool:
        """Whether values of 64 digits were taken as PDQ though in most of them not half of the bits are one."""
        return self._kind is None and self._balanced_pdq * 2 < self._assumed_pdq

    def __iter__(self) -> Iterator[HashValue]:
        """Read the list.

        After a bad line nothing more is given, only counted: whoever stores hashes must do so in one transaction.

        Raises:
            HashFileError: the list is not plain text, has bad lines and they are not to be skipped, or holds no hash.
        """
        found = 0
        for line in self._stripped_lines():
            self.lines += 1
            if not line or line.startswith(b"#"):
                continue
            try:
                value = _parse(line, self._kind)
            except InvalidHashError as error:
                self.bad += 1
                if len(self.first_bad) < NAMED_BAD_LINES:
                    self.first_bad.append((self.lines, str(error)))
                continue
            if self.bad and not self._skip_bad:
                continue
            found += 1
            if value.kind is HashKind.PDQ and b":" not in line:
                self._assumed_pdq += 1
                self._balanced_pdq += is_balanced(value.value)
            yield value
        if self.bad and not self._skip_bad:
            raise HashFileError(
                f"{self.faults}, so nothing was imported. Mend the list, or leave such lines out with --skip-bad"
            )
        if not found:
            raise HashFileError("the list holds no hash; nothing was imported")

    @property
    def faults(self) -> str:
        """The number of bad lines, and what is wrong with the first few; never what stands on them."""
        named = "; ".join(f"line {number}: {problem}" for number, problem in self.first_bad)
        more = f"; and {self.bad - len(self.first_bad)} more" if self.bad > len(self.first_bad) else ""
        return f"{self.bad} bad line{'' if self.bad == 1 else 's'} ({named}{more})"

    def _stripped_lines(self) -> Iterator[bytes]:
        rest = b""
        first = True
        while block := self._stream.read(BLOCK_BYTES):
            if self._progress:
                self._progress(len(block))
            if first:
                block = _checked_start(block)
                first = False
            parts = (rest + block).split(b"\n")
            rest = parts.pop()
            for part in parts:
                yield part.strip()
            if len(rest) > BLOCK_BYTES:
                raise HashFileError(f"line {self.lines + 1} is longer than a megabyte: this is not a list of hashes")
        if rest:
            yield rest.strip()


def _checked_start(block: bytes) -> bytes:
    if block.startswith(_UTF16_BOMS) or b"\0" in block:
        raise HashFileError(
            "the list is not plain text: it is binary, compressed or UTF-16; save it as UTF-8 text, one hash a line"
        )
    return block.removeprefix(_UTF8_BOM)


def _parse(line: bytes, kind: HashKind | None) -> HashValue:
    prefix, colon, digits = line.rpartition(b":")
    if colon:
        kind = _PREFIXES.get(prefix.strip().lower())
        digits = digits.lstrip()
        if kind is None:
            raise InvalidHashError("the prefix is none of pdq: md5: sha1: sha256:")
    elif kind is None:
        kind = _BY_DIGITS.get(len(digits))
    if kind is HashKind.VPDQ:
        raise InvalidHashError("a frame of a video, which means nothing alone; bank the video itself")
    if len(digits.split()) > 1 or b"," in digits or b";" in digits:
        raise InvalidHashError("more than one value")
    if kind is None:
        raise InvalidHashError(f"{len(digits)} characters, where a hash has 32 (MD5), 40 (SHA-1) or 64 (PDQ, SHA-256)")
    if len(digits) != 2 * kind.length:
        raise InvalidHashError(f"{len(digits)} characters, where {kind} has {2 * kind.length}")
    try:
        value = binascii.unhexlify(digits)
    except binascii.Error:
        raise InvalidHashError("characters that are not hexadecimal digits") from None
    if value == _ZERO_PDQ and kind is HashKind.PDQ:
        raise InvalidHashError("the all-zero PDQ hash, which every blank picture has")
    return HashValue(kind, value)
