"""XMP packets: every value as a field with the usual name of its property (ISO 16684-1).

No difference is made between the many ways of writing the same: attribute or element, RDF or not. Of a list each item
is a value, of a structure each member under its own name.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

from rempart.provenance.readers.gathering import BrokenError, Gathering

_BETWEEN: Final = "\x0c"
"""Stands between the parts of a name that expat gives. XML allows it nowhere, so no name space can hold it."""

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_META: Final = "adobe:ns:meta/"
_SYNTAX: Final = frozenset((_RDF, _XML))
_SYNTAX_PREFIXES: Final = {"rdf": _RDF, "xml": _XML, "xmlns": _XML, "x": _META}
_RDF_VALUES: Final = frozenset(("resource", "value"))
_AFTER_ROOT: Final = "junk after document element"
_UNDECLARED: Final = "unbound prefix"
_WIDE: Final = frozenset((b"\xfe\xff", b"\xff\xfe", b"<\0", b"\0<"))
_WINDOW: Final = 4096
_START: Final = re.compile(rb"<\?xpacket begin|<x:xmpmeta|<rdf:RDF")

_USUAL: Final = {
    "adobe:ns:meta": "x",
    "cipa.jp/exif/1.0": "exifEX",
    "creativecommons.org/ns": "cc",
    "cv.iptc.org/newscodes/digitalsourcetype": "digitalsourcetype",
    "iptc.org/std/iptc4xmpcore/1.0/xmlns": "Iptc4xmpCore",
    "iptc.org/std/iptc4xmpext/2008-02-29": "Iptc4xmpExt",
    "ns.acdsee.com/iptc/1.0": "acdsee",
    "ns.adobe.com/camera-raw-settings/1.0": "crs",
    "ns.adobe.com/exif/1.0": "exif",
    "ns.adobe.com/exif/1.0/aux": "aux",
    "ns.adobe.com/hdr-gain-map/1.0": "hdrgm",
    "ns.adobe.com/lightroom/1.0": "lr",
    "ns.adobe.com/pdf/1.3": "pdf",
    "ns.adobe.com/photoshop/1.0": "photoshop",
    "ns.adobe.com/tiff/1.0": "tiff",
    "ns.adobe.com/xap/1.0": "xmp",
    "ns.adobe.com/xap/1.0/bj": "xmpBJ",
    "ns.adobe.com/xap/1.0/g/img": "xmpGImg",
    "ns.adobe.com/xap/1.0/mm": "xmpMM",
    "ns.adobe.com/xap/1.0/rights": "xmpRights",
    "ns.adobe.com/xap/1.0/stype/dimensions": "stDim",
    "ns.adobe.com/xap/1.0/stype/resourceevent": "stEvt",
    "ns.adobe.com/xap/1.0/stype/resourceref": "stRef",
    "ns.adobe.com/xap/1.0/t/pg": "xmpTPg",
    "ns.adobe.com/xmp/1.0/dynamicmedia": "xmpDM",
    "ns.adobe.com/xmp/identifier/qual/1.0": "xmpidq",
    "ns.adobe.com/xmp/note": "xmpNote",
    "ns.apple.com/faceinfo/1.0": "apple-fi",
    "ns.apple.com/hdrgainmap/1.0": "HDRGainMap",
    "ns.google.com/photos/1.0/camera": "GCamera",
    "ns.google.com/photos/1.0/container": "GContainer",
    "ns.google.com/photos/1.0/container/item": "GContainerItem",
    "ns.google.com/photos/1.0/creations": "GCreations",
    "ns.google.com/photos/1.0/depthmap": "GDepth",
    "ns.google.com/photos/1.0/image": "GImage",
    "ns.google.com/photos/1.0/panorama": "GPano",
    "ns.microsoft.com/photo/1.0": "MicrosoftPhoto",
    "ns.microsoft.com/photo/1.2": "MP",
    "ns.useplus.org/ldf/xmp/1.0": "plus",
    "purl.org/dc/elements/1.1": "dc",
    "purl.org/dc/terms": "dcterms",
    "www.metadataworkinggroup.com/schemas/regions": "mwg-rs",
    "www.tc260.org.cn/ns/aigc/1.0": "TC260",
}


def find(data: bytes) -> int:
    """Where a packet begins in bytes that may hold one; -1 where there is none."""
    found = _START.search(data)
    return found.start() if found else -1


def read(gathering: Gathering, packet: bytes, offset: int = -1) -> None:
    """Keep the values of a packet. ``offset`` is its place in the file, -1 where it was made from something else.

    Raises:
        BrokenError: it is not well-formed, or brings rules of its own; what stood before is kept.
        ExhaustedError: it has too many elements or values.
    """
    lead = len(packet) - len(packet.lstrip(b" \t\r\n"))
    is_wide = packet[lead : lead + 2] in _WIDE
    end = len(packet.rstrip(b"\0 \t\r\n"))
    if is_wide:
        end += (end - lead) & 1  # the last byte of a letter may be a zero
    packet, place = packet[lead:end], offset + lead if offset >= 0 else -1
    if not packet:
        raise BrokenError("empty packet")
    if not is_wide:
        try:
            packet.decode()
        except UnicodeDecodeError:  # expat would stop there; offsets are lost with the bytes that are replaced
            packet, place = packet.decode("utf-8", "replace").encode(), -1
    if not _Packet(gathering, packet, place, spaces=True).read():
        gathering.structure["xmp.undeclared"] = "prefix"
        _Packet(gathering, packet, place, spaces=False).read()


class _Packet:
    """One reading of a packet; ``spaces`` says whether prefixes stand for name spaces or only for themselves."""

    def __init__(self, gathering: Gathering, packet: bytes, offset: int, *, spaces: bool) -> None:
        self._gathering = gathering
        self._packet = packet
        self._offset = offset
        self._parser = expat.ParserCreate(namespace_separator=_BETWEEN if spaces else None)
        self._parser.namespace_prefixes = True
        self._parser.buffer_text = True
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.EntityDeclHandler = self._entity
        # For each open element: the property that its text is a value of, where it began, and its text so far.
        self._open: list[tuple[str, int, list[str]]] = []
        self._kept = False

    def read(self) -> bool:
        """Read it; False where it uses a prefix that it does not declare and nothing was kept before."""
        try:
            self._parser.Parse(self._packet, True)  # noqa: FBT003 -- the parameter has no name
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code)
            if why == _UNDECLARED and not self._kept:
                return False
            if why != _AFTER_ROOT:
                raise BrokenError("not well-formed") from None
        return True

    def _start(self, tag: str, attributes: list[str]) -> None:
        self._gathering.part(1 + len(attributes) // 2)
        if len(self._open) >= self._gathering.limits.depth:
            self._gathering.hit("depth")
            raise BrokenError("too deep")
        uri, name = _split(tag)
        at = self._parser.CurrentByteIndex
        enclosing = self._open[-1][0] if self._open else ""
        own = enclosing if uri in _SYNTAX or uri == _META else name
        for place in range(0, len(attributes), 2):
            self._attribute(attributes[place], attributes[place + 1], own, at)
        self._open.append((own, at, []))

    def _attribute(self, tag: str, value: str, own: str, at: int) -> None:
        uri, name = _split(tag)
        if uri == _RDF:
            if own and name.removeprefix("rdf:") in _RDF_VALUES:
                self._keep(own, value, at)
        elif uri not in _SYNTAX and ":" in name:
            self._keep(name, value, at)

    def _characters(self, text: str) -> None:
        if self._open:
            self._open[-1][2].append(text)

    def _end(self, _: str) -> None:
        name, at, pieces = self._open.pop()
        text = "".join(pieces)
        if name and text.strip():  # between the elements of a structure there is nothing but layout
            self._keep(name, text, at)

    def _keep(self, name: str, value: str, at: int) -> None:
        if not value:
            return
        data, most = value.encode(), self._gathering.most
        truncated = len(data) > most
        if truncated:
            self._gathering.cut()
            data = data[:most]
            value = data.decode("utf-8", "ignore")
        if not data:
            return
        found = self._packet.find(data, at, at + len(data) + _WINDOW) if self._offset >= 0 else -1
        offset = self._offset + found if found >= 0 else -1
        self._kept = True
        self._gathering.add("xmp", name, data, value, offset=offset, truncated=truncated)

    def _doctype(self, *_: object) -> None:
        raise BrokenError("has a document type")

    def _entity(self, *_: object) -> None:
        raise BrokenError("declares entities")


def _split(tag: str) -> tuple[str, str]:
    """The name space, and ``prefix:Name`` with the prefix that it usually has; the file's own for an unknown one."""
    parts = tag.split(_BETWEEN)
    if len(parts) == 1:
        return _SYNTAX_PREFIXES.get(tag.partition(":")[0], ""), tag
    uri, name, own = (*parts, "")[:3]
    prefix = _USUAL.get(_plain(uri), own)
    if uri == _RDF:
        prefix = "rdf"
    return uri, f"{prefix}:{name}"


def _plain(uri: str) -> str:
    """A name space without the differences that writers make by mistake: scheme, case, what stands at the end."""
    lowered = uri.lower()
    for scheme in ("https://", "http://"):
        lowered = lowered.removeprefix(scheme)
    return lowered.rstrip("/#")
