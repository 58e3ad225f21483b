"""IPTC-IIM records in the resource blocks of Photoshop (IIM 4.2; Adobe's Photoshop File Formats Specification)."""

from __future__ import annotations

from typing import Final

from rempart.provenance.readers.gathering import BrokenError, Gathering
from rempart.provenance.readers.texts import loose

SIGNATURE: Final = b"Photoshop 3.0\0"

_RESOURCES: Final = frozenset((b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa"))
_IIM: Final = 0x0404
_TAG: Final = 0x1C
_TAG_HEAD: Final = 5
_EXTENDED: Final = 0x8000
_ENVELOPE, _APPLICATION = 1, 2
_CHARACTER_SET: Final = 90
_UTF8: Final = b"\x1b%G"
_BINARY: Final = frozenset(((2, 0), (1, 0)))

_NAMES: Final = {
    5: "ObjectName",
    7: "EditStatus",
    15: "Category",
    20: "SupplementalCategories",
    22: "FixtureIdentifier",
    25: "Keywords",
    40: "SpecialInstructions",
    55: "DateCreated",
    60: "TimeCreated",
    62: "DigitalCreationDate",
    63: "DigitalCreationTime",
    65: "OriginatingProgram",
    70: "ProgramVersion",
    80: "By-line",
    85: "By-lineTitle",
    90: "City",
    92: "Sub-location",
    95: "Province-State",
    100: "CountryCode",
    101: "Country",
    103: "OriginalTransmissionReference",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "CopyrightNotice",
    118: "Contact",
    120: "Caption-Abstract",
    122: "Writer-Editor",
}


def resources(gathering: Gathering, blocks: bytes, offset: int = -1) -> None:
    """Read the IIM records among Photoshop's resource blocks. ``offset`` is the place of the blocks in the file.

    Raises:
        BrokenError: a block reaches beyond the end.
    """
    at = 0
    while blocks[at : at + 4] in _RESOURCES:
        gathering.part()
        number = int.from_bytes(blocks[at + 4 : at + 6], "big")
        named = at + 6 + ((blocks[at + 6] + 2) & ~1 if at + 6 < len(blocks) else 2)  # a padded Pascal string
        start = named + 4
        size = int.from_bytes(blocks[named:start], "big")
        if start + size > len(blocks):
            raise BrokenError("block reaches beyond the end")
        if number == _IIM:
            records(gathering, blocks[start : start + size], offset + start if offset >= 0 else -1)
        at = start + size + (size & 1)


def records(gathering: Gathering, data: bytes, offset: int = -1) -> None:
    """Keep the data sets of a stream of IIM records.

    Raises:
        BrokenError: a data set reaches beyond the end.
    """
    is_utf8 = False
    at = 0
    while data[at : at + 1] == bytes([_TAG]):
        gathering.part()
        if at + _TAG_HEAD > len(data):
            raise BrokenError("data set reaches beyond the end")
        record, number = data[at + 1], data[at + 2]
        size, start = int.from_bytes(data[at + 3 : at + _TAG_HEAD], "big"), at + _TAG_HEAD
        if size & _EXTENDED:  # the size of the size
            wide = min(size & ~_EXTENDED, 4)
            size, start = int.from_bytes(data[start : start + wide], "big"), start + wide
        if start + size > len(data):
            raise BrokenError("data set reaches beyond the end")
        value = data[start : start + size]
        if (record, number) == (_ENVELOPE, _CHARACTER_SET):
            is_utf8 = value == _UTF8
        elif size and (record, number) not in _BINARY:
            name = _NAMES.get(number, f"2:{number}") if record == _APPLICATION else f"{record}:{number}"
            text = value.decode("utf-8", "replace") if is_utf8 else loose(value)
            gathering.add("iptc", name, value, text, offset=offset + start if offset >= 0 else -1)
        at = start + size
