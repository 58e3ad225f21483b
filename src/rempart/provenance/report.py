"""The report on one file: what was found, what it declares together, whether all could be read, and by what."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import msgspec

from rempart.errors import Reason
from rempart.provenance.combine import FAILURE
from rempart.provenance.evidence import Declared, Evidence, ModelName, PriorityEffect, Setup, Summary
from rempart.provenance.sentences import Language, by_words, sentence, sentence_of, shown, support_words

SCHEMA: Final = 1
"""Version of what :meth:`ProvenanceReport.to_dict` gives. Fields may be added to it, never renamed."""

OWN_READERS: Final = frozenset(("walk", "c2pa"))
"""Readers whose failures are told in words of our own, so that these may be shown."""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The file itself; its name is no part of a report.

    Attributes:
        sha256: of all its bytes; empty where they could not be read.
        size: in bytes.
        format: by its first bytes, None where they are of no format known here.
        format_mismatch: whether the ending of its name announces another format.
        width: as its header says, 0 where that was not found. ``height`` likewise.
    """

    sha256: str = ""
    size: int = 0
    format: str | None = None
    format_mismatch: bool = False
    width: int = 0
    height: int = 0


class ListUsed(msgspec.Struct, frozen=True, kw_only=True):
    """A trust list that signers were looked up in."""

    name: str
    kind: str
    dated: str
    sha256: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the file was examined with: a later version, or a later list, may say something else."""

    rempart: str
    c2pa: str = ""
    """Version of c2pa-python; empty where it is not installed."""
    prompt_packs: str = ""
    """SHA-256 of the packs that prompts were screened with; empty where there was no prompt."""
    trust_lists: tuple[ListUsed, ...] = ()


class ProvenanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one file says of its own origin. Its prompts and names are an offender's: see :meth:`redacted`.

    Attributes:
        evidence: the records, in the order in which they were read.
        summary: what they declare together, and which of them decided.
        completeness: ``complete``, or ``partial`` when a reader failed, a limit was met or a reader is not installed.
        limits_hit: names of the limits that were met.
        reason: why the file could not be examined at all; None where it was.
        is_redacted: whether prompts and names were taken out.
    """

    schema: ClassVar[int] = SCHEMA

    file: FileFacts
    evidence: tuple[Evidence, ...]
    summary: Summary
    completeness: str
    environment: Environment
    limits_hit: tuple[str, ...] = ()
    reason: Reason | None = None
    is_redacted: bool = False

    @property
    def cues(self) -> tuple[str, ...]:
        """All cues of all records, each once, sorted."""
        return tuple(sorted({cue for one in self.evidence for cue in one.cues}))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON; each record has its place as ``id``."""
        told: dict[str, Any] = {"schema": SCHEMA} | msgspec.to_builtins(self)
        for place, record in enumerate(told["evidence"]):
            record["id"] = place
        return told

    def to_json(self) -> bytes:
        """The report as JSON, UTF-8, the same bytes for the same report."""
        return msgspec.json.encode(self.to_dict(), order="sorted")

    def redacted(self) -> Self:
        """The same report without prompts, excerpts, and names of models and files.

        What is said to be the generator or the signer stays: it is what the summary is about.
        """
        return msgspec.structs.replace(self, evidence=tuple(map(_redacted, self.evidence)), is_redacted=True)

    def explain(self, lang: Language = "en") -> str:
        """The report in fixed sentences, one a line, what matters most first; texts from the file are escaped.

        Args:
            lang: ``en`` or ``fr``.
        """
        return "\n".join((*self.headlines(lang), *(f"- {line}" for line in self._findings(lang))))

    def headlines(self, lang: Language = "en") -> list[str]:
        """What all evidence says together, without the single findings."""
        lines = []
        if self.summary.real_basis:
            lines.append(sentence("starting_point", lang))
        lines.append(self._declared(lang))
        if self.summary.priority_effect is PriorityEffect.RAISE:
            lines.append(sentence("raised", lang))
        if not self.summary.complete and self.summary.declared is not Declared.UNREADABLE:
            lines.append(sentence("partial", lang))
        if self.summary.declared in {Declared.AI_GENERATED, Declared.AI_COMPOSITE, Declared.CONFLICT}:
            lines.append(sentence("never_lower", lang))
        return lines

    def _declared(self, lang: Language) -> str:
        summary = self.summary
        if summary.declared is Declared.NONE:
            if any(one.kind != FAILURE for one in self.evidence):
                return sentence("nothing_declared", lang)
            return sentence("nothing_found" if summary.complete else "nothing_found_so_far", lang)
        support, by = support_words(summary.support, lang), by_words(summary.by, lang)
        return sentence(f"declared_{summary.declared}", lang, support=support, by=by)

    def _findings(self, lang: Language) -> list[str]:
        """A sentence for each record, those that decided first; one that was said already is not repeated."""
        first = [*self.summary.because, *(place for place in range(len(self.evidence)))]
        lines: dict[str, None] = {}
        for one in (self.evidence[place] for place in dict.fromkeys(first)):
            cues = f" [{', '.join(map(shown, one.cues))}]" if one.cues else ""
            lines[sentence_of(one, lang) + cues] = None
        return list(lines)

    def __repr__(self) -> str:
        return f"<ProvenanceReport {self.summary.declared} {self.summary.support}, {len(self.evidence)} records>"


def _redacted(one: Evidence) -> Evidence:
    setup = one.setup
    if setup is not None:
        setup = Setup(
            software=setup.software,
            version=setup.version,
            seed=setup.seed,
            sampler=setup.sampler,
            width=setup.width,
            height=setup.height,
            models=tuple(ModelName(kind=model.kind, name="", hash=model.hash) for model in setup.models),
        )
    ours = one.kind == FAILURE and one.reader in OWN_READERS
    return msgspec.structs.replace(one, setup=setup, excerpt=one.excerpt if ours else "")
