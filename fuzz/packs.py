"""Targets for the files that the prompt screen starts from: packs, private packs, rules and their conditions."""

from __future__ import annotations

import hmac
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from fuzz.target import Target, file_of, text_of
from rempart.errors import PackError
from rempart.prompts.condition_parser import parse
from rempart.prompts.conditions import AGE, Evidence, Mark
from rempart.prompts.fold import fold
from rempart.prompts.pack import SHIPPED, PackHeader, Term, parse_pack
from rempart.prompts.private import _HASHED, _check, _HashedFile, hash_pack, read_private, seal_pack
from rempart.prompts.rules import FLOOR, Rules
from rempart.prompts.tokens import tokenize
from rempart.settings import PrivatePacks

_KEY: Final = bytes(range(32))
_CANARY: Final = SHIPPED / "canary" / "minor.jsonl"
_TOLD: Final = 10

_FIELD_NAMES: Final = ("exceptions", *PackHeader.__struct_encode_fields__, *Term.__struct_encode_fields__)
_EVIDENCE: Final = Evidence(
    tuple(
        Mark(concept, at, at // 3, value=float(at), strength=0.5 + at / 20, negative=at == 5)  # noqa: PLR2004
        for at, concept in enumerate((AGE, "a.b", "c.d", "a.b", "a.e", "c.d", AGE, "minor.explicit"))
    ),
    frozenset({"turned"}),
)


def condition(data: bytes) -> None:
    """A condition is parsed or refused; a parsed one gives marks of the evidence, or says that it holds without."""
    try:
        parsed = parse(text_of(data), "here")
    except PackError:
        return
    for evidence in (_EVIDENCE, Evidence(())):
        found = parsed(evidence)
        assert all(mark in evidence.marks or not mark.concept for mark in found)


def pack(data: bytes) -> None:
    """A pack is read or refused without quoting it; one that is read is the same pack when written out again."""
    try:
        read = parse_pack(data, "here")
    except PackError as error:
        _is_silent(str(error), data)
        return
    written = b"\n".join(map(msgspec.json.encode, (read.header, *read.terms)))
    assert parse_pack(written, "there") == read
    assert repr(read) == f"<Pack {read.header.pack}: {len(read.terms)} terms, {read.forms} forms>"


def overlay(data: bytes) -> None:
    """Rules are read or refused; the floor stands whatever the file says."""
    try:
        rules = Rules([file_of("overlay", data)])
    except PackError:
        return
    assert rules.rules[0] == FLOOR
    rules.fired(_EVIDENCE)


def private_pack(data: bytes) -> None:
    """A private pack is opened or refused without quoting it; also one that an operator's own tool made and signed."""
    for content in (data, _signed(data)):
        settings = PrivatePacks(files=(str(file_of("private", content)),), key_file=str(_key_file()))
        try:
            opened, hashed = read_private(settings)
        except PackError as error:
            _is_silent(str(error), content)
            continue
        assert len(opened) + len(hashed) == 1
        text = fold("a yak, and two sea lions by the sea")
        for one in hashed:
            assert repr(one) == f"<HashedPack {one.header.pack}>"
            for hit in one.find(tokenize(text.text), text):
                assert 0 <= hit.start < hit.end <= len(text.text)


def _signed(data: bytes) -> bytes:
    """A hashed pack with the check that fits; other content as it is."""
    try:
        file = msgspec.msgpack.decode(data.removeprefix(_HASHED), type=_HashedFile)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data
    signed = msgspec.structs.replace(file, check=_check(_KEY, file.header, file.terms))
    assert hmac.compare_digest(signed.check, _check(_KEY, signed.header, signed.terms))
    return _HASHED + msgspec.msgpack.encode(signed)


def _is_silent(message: str, data: bytes) -> None:
    """Whether a message quotes no letters of the file, but for the names that the format itself has."""
    text = data.decode("latin-1")
    for name in _FIELD_NAMES:
        message = message.replace(name, " ")
    for at in range(len(message) - _TOLD + 1):
        part = message[at : at + _TOLD]
        assert not (part.isalpha() and part in text), "a message quotes the pack"


@cache
def _key_file() -> Path:
    return file_of("key", _KEY.hex().encode())


def _packs() -> list[bytes]:
    content = _CANARY.read_bytes()
    lines = content.splitlines()
    extra = (
        b'{"id":"x","class":"minor.explicit","forms":["gull","terns 2"],"strength":0.5,"also":["y"],'
        b'"exceptions":["gull wing"],"shared":{"gull":["de"]},"note":"n","source":"s"}'
    )
    header = lines[0].replace(b'"en"', b'"ja"')
    return [content, b"\n".join((lines[0], extra)), b"\xef\xbb\xbf" + b"\r\n".join(lines[:3]), header]


def _private() -> list[bytes]:
    small = file_of("small", b"\n".join(_CANARY.read_bytes().splitlines()[:5]))
    return [seal_pack(small, _key_file()), hash_pack(small, _key_file())]


def _conditions() -> list[bytes]:
    texts = (
        FLOOR.when,
        "(a.b and c.d) within 12 tokens or not age >= 18",
        "(a.b[strength >= 0.85] and c.*[any]) within segment",
        "count(a.b or c.d[negative, field = prompt, view = exact]) > 2 and obfuscation = 1",
        "((a.b and (c.d and not a.e))) within prompt",
    )
    return [text.encode() for text in texts]


def _overlays() -> list[bytes]:
    rules = b'version = "1"\n[[rule]]\nid = "x"\nverdict = "review"\nwhen = "a.b and c.d"\ntext = "t"\n'
    return [rules, rules + b'[[lower]]\nrule = "nudity"\nto = "review"\n', b'version = "1"\nrule = [{}, [[]]]\n']


_WORDS = (
    *(b" and ", b" or ", b"not ", b"within ", b"tokens", b"segment", b"prompt", b"age", b"count(", b"obfuscation"),
    *(b"[negative]", b"[any]", b"strength", b"field", b"view", b">=", b"<=", b"a.b", b"c.*", b"0.5", b"99999999999999"),
)
_FIELDS = (
    *(b'"id"', b'"class"', b'"forms"', b'"strength"', b'"also"', b'"exceptions"', b'"shared"', b'"pack"', b'"concept"'),
    *(b'"language"', b'"version"', b'"licence"', b'"minor.explicit"', b"\\ud800", b"\\u00e9", b"\r\n", b"\n", b"1e999"),
)
_TOML = (b"[[rule]]", b"[[lower]]", b"version", b"verdict", b"when", b'"""', b"'''", b"[", b"{", b"1979-05-27", b"nan")

TARGETS: Final = {
    "condition": Target(condition, _conditions, _WORDS, longest=1024),
    "pack": Target(pack, _packs, _FIELDS),
    "overlay": Target(overlay, _overlays, (*_TOML, *_WORDS), longest=2048),
    "private": Target(private_pack, _private, _FIELDS),
}
