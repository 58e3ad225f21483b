"""Targets of the room lists: hash lists as text, which are untrusted and confidential."""

from __future__ import annotations

import io
from typing import Final

from fuzz.target import Target, text_of
from rempart.errors import HashFileError, InvalidHashError
from rempart.lists import HashFile, HashValue, parse_hash
from rempart.lists.hashfile import LISTED_KINDS

_TOLD: Final = 12
"""So many characters of a list in a message would tell something of it."""


class _Halting(io.BytesIO):
    """A stream that gives as much as it likes, as a pipe does."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most 61 bytes."""
        return super().read(min(61, size) if size and size > 0 else 61)


def hash_file(data: bytes) -> None:
    """A list is understood or refused; every line is counted; no message quotes one."""
    strict, lenient = HashFile(io.BytesIO(data)), HashFile(io.BytesIO(data), skip_bad=True)
    taken, refusal = _read(strict)
    kept, _ = _read(lenient)
    for one in kept:
        assert len(one.value) == one.kind.length
        assert parse_hash(f"{one.kind}:{one.value.hex()}") == one
    if refusal is None:
        assert (taken, strict.bad) == (kept, 0)
    assert strict.lines <= data.count(b"\n") + 1
    _is_silent(f"{refusal} {lenient.faults}", data)
    if b"\0" not in data and not data.startswith((b"\xff", b"\xfe", b"\xef")):
        assert _read(HashFile(_Halting(data), skip_bad=True))[0] == kept


def one_hash(data: bytes) -> None:
    """One hash is read, or refused without being quoted, whatever kind it shall be of."""
    text = text_of(data)
    for kind in (None, *LISTED_KINDS):
        try:
            found = parse_hash(text, kind)
        except InvalidHashError as error:
            _is_silent(str(error), data)
            continue
        assert found.value.hex() in text.lower()


def _read(reader: HashFile) -> tuple[list[HashValue], str | None]:
    found: list[HashValue] = []
    try:
        found.extend(reader)
    except HashFileError as error:
        return found, str(error)
    return found, None


def _is_silent(message: str, data: bytes) -> None:
    """Whether a message has no run of digits from the list; its own words and small numbers are no secret."""
    text = data.decode("latin-1").lower()
    folded = message.lower()
    for at in range(len(folded) - _TOLD + 1):
        part = folded[at : at + _TOLD]
        assert not (part.isalnum() and part in text and any(map(str.isdigit, part))), "a message quotes the list"


def _seeds() -> list[bytes]:
    md5, sha1, pdq = ("9e107d9d372bb6826bd81d3542a419d6", "2f" * 20, "0f" * 32)
    lines = [md5, sha1, pdq, f"sha256: {'d7' * 32}", f"PDQ:{pdq}", "# a remark", "", f"  {md5.upper()}\t", f"{md5},x"]
    plain = "\n".join(lines).encode()
    windows = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")
    return [plain, windows, plain.decode().encode("utf-16"), b"\0", md5.encode()]


_WORDS = (b"pdq:", b"md5:", b"sha1:", b"sha256:", b"#", b"\r\n", b"\n", b"\xef\xbb\xbf", b"0f" * 16, b"0f" * 20)

TARGETS: Final = {
    "hash_file": Target(hash_file, _seeds, _WORDS),
    "hash": Target(one_hash, lambda: b"\n".join(_seeds()).split(b"\n"), _WORDS, longest=256),
}
