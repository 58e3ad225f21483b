"""Standard labels: IPTC's digital source type, and the AI fields of IPTC's 2025.1 standard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rempart.provenance.detectors.texts import Looking, Text, finding, quoted
from rempart.provenance.evidence import Evidence, Setup, Strength

READER: Final = "iptc"

TERMS: Final = (
    *("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic", "composite"),
    *("algorithmicMedia", "virtualRecording", "digitalCapture", "computationalCapture", "compositeCapture"),
    *("negativeFilm", "positiveFilm", "print", "screenCapture", "digitalCreation", "humanEdits"),
    *("algorithmicallyEnhanced", "dataDrivenMedia"),
    *("digitalArt", "minorHumanEdits", "softwareImage"),  # retired
    *("empty", "trainedAlgorithmicData"),  # C2PA's own
)
"""The terms, as they are spelt."""

_SPELLINGS: Final = {term.casefold(): term for term in TERMS} | {
    "compositedwithtrainedalgorithmicmedia": "compositeWithTrainedAlgorithmicMedia",
    "compositewithtrainedalgorithmicmedia": "compositeWithTrainedAlgorithmicMedia",
}
_LAST = re.compile(r"[^/#:\s]+\Z")
_SEPARATORS = " /#\r\n\t\0"

SOURCE_TYPE: Final = frozenset({"digitalsourcetype", "digitalsourcefiletype"})
AI_FIELDS: Final = frozenset({"aisystemused", "aisystemversionused", "aipromptinformation", "aipromptwritername"})


def read_source_type(texts: list[Text], _looking: Looking) -> Iterator[Evidence]:
    """A record for each digital source type: its term, in the usual spelling where it is a known one."""
    seen: set[str] = set()
    for text in texts:
        term = _term(text.text)
        if not term or term in seen:
            continue
        seen.add(term)
        known = term in _SPELLINGS.values()
        caveat = "iptc_term" if known else "iptc_unknown_term"
        yield finding(text, READER, "iptc.dst", term, Strength.UNSIGNED_LABEL, caveat)


def _term(said: str) -> str:
    """The term in a URI, a short form such as ``digsrctype:…``, or alone; as given where it is unknown."""
    found = _LAST.search(said.strip(_SEPARATORS)[-400:])
    if found is None:
        return ""
    return _SPELLINGS.get(found[0].casefold(), quoted(found[0]))


def read_ai_fields(texts: list[Text], _looking: Looking) -> Iterator[Evidence]:
    """One record of the AI fields together: which system, its version, and what it was asked for."""
    said = {text.name: text for text in reversed(texts) if text.text.strip()}
    if not said:
        return
    system, version, prompt = (
        said[name].text if name in said else ""
        for name in ("aisystemused", "aisystemversionused", "aipromptinformation")
    )
    at = next(said[name] for name in sorted(AI_FIELDS) if name in said)
    setup = Setup(software=quoted(system), version=quoted(version), prompt=prompt or None)
    yield finding(
        at,
        READER,
        "iptc.ai_fields",
        "generator_present",
        Strength.UNSIGNED_LABEL,
        "unsigned_label",
        generator=f"{setup.software} {setup.version}".strip(),
        setup=setup,
    )
