"""Private packs: an operator's own words, sealed by a key or hashed so that they are not on the machine at all.

A sealed pack is an ordinary pack under AES-256-GCM (NIST SP 800-38D). A hashed pack has, in the place of each form,
HMAC-SHA256 (RFC 2104) of it under a key: it finds whole words and expressions, but no disguised ones, because nobody
can tell what the words are. Neither is ever logged, and no message or ``repr`` shows anything of one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from rempart.errors import PackError
from rempart.prompts.fold import Folded
from rempart.prompts.pack import UNSPACED, Pack, PackHeader, parse_pack, read_bytes
from rempart.prompts.tokens import Tokens
from rempart.prompts.verdict import ConceptHit
from rempart.settings import PrivatePacks

KEY_BYTES: Final = 32
"""Length of a key; the key file holds it in hexadecimal digits."""

_SEALED: Final = b"rempart sealed pack 1\n"
_HASHED: Final = b"rempart hashed pack 1\n"
_NONCE_BYTES = 12
_HASH_BYTES = hashlib.sha256().digest_size


class _HashedTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A term with hashes in the place of its forms."""

    id: str
    concept: str
    strength: float
    hashes: tuple[tuple[int, Annotated[bytes, Meta(min_length=_HASH_BYTES, max_length=_HASH_BYTES)]], ...]
    """Number of words and hash of each form."""


class _HashedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    header: PackHeader
    terms: tuple[_HashedTerm, ...]
    check: bytes
    """HMAC of the header and terms: a wrong key or a changed file stops the start."""


@dataclass(frozen=True, slots=True, repr=False)
class HashedPack:
    """A pack whose words are not known here."""

    header: PackHeader
    digest: str
    _key: bytes = field(compare=False)
    _entries: Mapping[bytes, tuple[str, str, float]]
    _lengths: tuple[int, ...]

    def __repr__(self) -> str:
        """The name only."""
        return f"<HashedPack {self.header.pack}>"

    def find(self, tokens: Tokens, folded: Folded) -> Iterator[ConceptHit]:
        """The hits of single words and of expressions, in linear time; each different one is hashed once."""
        words, spans = tokens.words, tokens.spans
        known: dict[str, tuple[str, str, float] | None] = {}
        for length in self._lengths:
            for first in range(len(words) - length + 1):
                last = first + length - 1
                form = " ".join(words[first : last + 1])
                if form not in known:
                    known[form] = self._entries.get(_hash(self._key, form))
                entry = known[form]
                if entry is not None and tokens.joined(first, last):
                    concept, term, strength = entry
                    start, end = folded.span(spans[first][0], spans[last][1])
                    yield ConceptHit(concept, term, start, end, "exact", strength, self.header.language)


def new_key(path: Path) -> None:
    """Write a new random key for private packs to a file that only its owner may read.

    Raises:
        PackError: the file is there already or cannot be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(KEY_BYTES).hex() + "\n")
    except OSError as error:
        raise PackError(f"{path}: cannot be written: {error.strerror}") from None


def seal_pack(pack: Path, key_file: Path) -> bytes:
    """The bytes of a sealed pack, made of an ordinary one.

    Raises:
        PackError: the pack or the key is broken.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 -- slow to import, seldom needed

    raw, key = read_bytes(pack), _read_key(key_file)
    parse_pack(raw, str(pack))
    nonce = os.urandom(_NONCE_BYTES)
    return _SEALED + nonce + AESGCM(key).encrypt(nonce, raw, _SEALED)


def hash_pack(pack: Path, key_file: Path) -> bytes:
    """The bytes of a hashed pack, made of an ordinary one; ids of terms stay as they are, so choose them blandly.

    Raises:
        PackError: the pack or the key is broken, or the language has no spaces, so that there are no words to hash.
    """
    read, key = parse_pack(read_bytes(pack), str(pack)), _read_key(key_file)
    if read.header.language in UNSPACED or any(term.exceptions or term.shared for term in read.terms):
        raise PackError(f"{pack}: a hashed pack has no exceptions, no shared forms and a language with spaces; seal it")
    terms = tuple(
        _HashedTerm(
            term.id,
            term.concept,
            term.strength,
            tuple(sorted((form.count(" ") + 1, _hash(key, form)) for form in term.forms)),
        )
        for term in read.terms
    )
    return _HASHED + msgspec.msgpack.encode(_HashedFile(read.header, terms, _check(key, read.header, terms)))


def read_private(private: PrivatePacks) -> tuple[tuple[Pack, ...], tuple[HashedPack, ...]]:
    """Read private packs: the sealed ones opened, and the hashed ones.

    Raises:
        PackError: a file or the key is missing or broken, or the key is not the one of the file.
    """
    key = _read_key(Path(private.key_file))
    opened: list[Pack] = []
    hashed: list[HashedPack] = []
    for name in private.files:
        raw = read_bytes(Path(name))
        if raw.startswith(_SEALED):
            opened.append(_unseal(raw, key, name))
        elif raw.startswith(_HASHED):
            hashed.append(_read_hashed(raw, key, name))
        else:
            raise PackError(f"{name}: is no private pack; make one of an ordinary pack by sealing or hashing it")
    return tuple(opened), tuple(hashed)


def _unseal(raw: bytes, key: bytes, name: str) -> Pack:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- slow to import, seldom needed
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 -- the same

    body = raw.removeprefix(_SEALED)
    try:
        content = AESGCM(key).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _SEALED)
    except (InvalidTag, ValueError):
        raise PackError(f"{name}: cannot be opened: the key is another one, or the file was changed") from None
    return parse_pack(content, name)


def _read_hashed(raw: bytes, key: bytes, name: str) -> HashedPack:
    try:
        file = msgspec.msgpack.decode(raw.removeprefix(_HASHED), type=_HashedFile)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PackError(f"{name}: the hashed pack is damaged; make it again") from None
    if not hmac.compare_digest(file.check, _check(key, file.header, file.terms)):
        raise PackError(f"{name}: cannot be used: the key is another one, or the file was changed")
    entries = {digest: (term.concept, term.id, term.strength) for term in file.terms for _, digest in term.hashes}
    lengths = tuple(sorted({words for term in file.terms for words, _ in term.hashes}, reverse=True))
    return HashedPack(file.header, hashlib.sha256(raw).hexdigest(), key, entries, lengths)


def _check(key: bytes, header: PackHeader, terms: tuple[_HashedTerm, ...]) -> bytes:
    return hmac.digest(key, b"check\n" + msgspec.msgpack.encode((header, terms)), "sha256")


def _hash(key: bytes, form: str) -> bytes:
    return hmac.digest(key, b"form\n" + form.encode("utf-8", "surrogatepass"), "sha256")


def _read_key(path: Path) -> bytes:
    text = read_bytes(path).strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise PackError(f"{path}: is no key: {2 * KEY_BYTES} hexadecimal digits are expected")
    return key
