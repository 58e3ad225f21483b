"""Examine one file: what it says of its own origin, and who vouches for it. Nothing is ever asked over a network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Final, TypeVar

import msgspec

from rempart.errors import Reason
from rempart.media import Pool, Source, Unscannable, shared_pool
from rempart.media.order import in_order
from rempart.media.source import opened
from rempart.prompts import Answer, PromptScreener, PromptVerdict
from rempart.provenance.c2pa_claims import examine_claims
from rempart.provenance.combine import summarise
from rempart.provenance.evidence import Evidence, Setup, Strength
from rempart.provenance.examine_child import DIGEST, EXAMINE, WALK, Examined, ExamineOptions, Sha256, failed
from rempart.provenance.fields import DEFAULT_LIMITS, Limits
from rempart.provenance.report import Environment, FileFacts, ListUsed, ProvenanceReport
from rempart.provenance.sentences import FILE_UNREAD
from rempart.provenance.trust import TrustStore
from rempart.settings import MIB, MediaSettings

S = TypeVar("S", bound=Source)

_CHILD: Final = "rempart.provenance.examine_child"
_ANSWER_BYTES: Final = 64 * MIB
_MOST_PROMPTS: Final = 32
"""Different prompts of one file that are screened; of more, a person is told that they were not."""

# What endings of names announce. Of others nothing can be said.
_ENDINGS: Final = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), ("jpeg",)),
    **dict.fromkeys((".png", ".apng"), ("png",)),
    **dict.fromkeys((".tif", ".tiff", ".dng"), ("tiff",)),
    **dict.fromkeys((".heic", ".heif", ".hif"), ("heif",)),
    **dict.fromkeys((".mp4", ".m4v", ".mov"), ("mp4", "mov")),
    **{f".{name}": (name,) for name in ("webp", "gif", "avif", "bmp")},
}


def examine(
    source: Source,
    *,
    limits: Limits = DEFAULT_LIMITS,
    pixels: bool = True,
    marks: bool = False,
    trust: Sequence[str | Path] = (),
    screener: PromptScreener | None = None,
    settings: MediaSettings | None = None,
) -> ProvenanceReport:
    """Examine an untrusted file: its fields and signed claims are read in child processes, within limits.

    Prompts found in it go through the prompt screen; a refusal is a reason to look at the picture. The file is opened
    once and only read. No address in it is contacted.

    Args:
        source: a path, or the content as bytes.
        limits: how far it is read.
        pixels: whether to look for what is hidden in the pixels of formats that keep them exactly.
        marks: whether to look for open marks too, such as Stable Diffusion's; they cost most.
        trust: PEM files of your own trust lists, beside those that are shipped.
        screener: screens the prompts; one with all shipped packs when not given.
        settings: limits of the child processes.

    Returns:
        The report. A file that cannot be read gives one too, with the ``reason``; it is never "nothing found".

    Raises:
        DecoderError: no child process can be started.
        PackError: no prompt can be screened.
        ConfigError: a trust list cannot be read.
    """
    settings = settings or MediaSettings()
    options = ExamineOptions(limits, pixels, marks)
    environment = _environment(tuple(str(path) for path in trust))
    pool = shared_pool(_CHILD, settings)
    with opened(source) as descriptor:
        if isinstance(descriptor, Unscannable):
            return _unread(FileFacts(), descriptor.reason, environment)
        found = pool.run_open(EXAMINE, descriptor, options, Examined, limit=_ANSWER_BYTES)
        if isinstance(found, Unscannable):
            return _unread(_facts(source, _digest(pool, descriptor), None), found.reason, environment)
        digest = Sha256(found.sha256, found.size) if found.sha256 else _digest(pool, descriptor)
        evidence = list(found.evidence)
        if found.claims:
            # The very file that is open: what a path leads to may be another one by now.
            evidence += examine_claims(f"/proc/self/fd/{descriptor}", settings=settings, private=trust)
    prompts, packs = _screened(evidence, screener)
    evidence += prompts
    unread = found.unread if not evidence else None
    if unread:
        evidence.append(failed(WALK, unread, found.format, FILE_UNREAD))
    summary = summarise(evidence, not found.limits_hit)
    return ProvenanceReport(
        file=_facts(source, digest, found),
        evidence=tuple(evidence),
        summary=summary,
        completeness="complete" if summary.complete else "partial",
        environment=msgspec.structs.replace(environment, prompt_packs=packs),
        limits_hit=found.limits_hit,
        reason=unread,
    )


def examine_files(
    sources: Iterable[S],
    *,
    limits: Limits = DEFAULT_LIMITS,
    pixels: bool = True,
    marks: bool = False,
    trust: Sequence[str | Path] = (),
    screener: PromptScreener | None = None,
    settings: MediaSettings | None = None,
) -> Iterator[tuple[S, ProvenanceReport]]:
    """Examine many files on all cores; reports come in the order of the sources, as they are ready.

    The arguments, and what is raised, are those of :func:`examine`.
    """
    settings = settings or MediaSettings()
    look = partial(
        examine, limits=limits, pixels=pixels, marks=marks, trust=trust, screener=screener, settings=settings
    )
    return in_order(look, sources, shared_pool(_CHILD, settings).size)


def _digest(pool: Pool, descriptor: int) -> Sha256:
    """The digest of a file that no child has taken in whole; empty when it cannot be read to its end in time."""
    seconds = pool.settings.video_seconds
    done = pool.run_open(DIGEST, descriptor, ExamineOptions(), Sha256, limit=MIB, seconds=seconds)
    return Sha256("", os.fstat(descriptor).st_size) if isinstance(done, Unscannable) else done


def _facts(source: Source, digest: Sha256, found: Examined | None) -> FileFacts:
    if found is None:
        return FileFacts(sha256=digest.sha256, size=digest.size)
    return FileFacts(
        sha256=digest.sha256,
        size=digest.size,
        format=found.format,
        format_mismatch=_mismatch(source, found.format),
        width=found.width,
        height=found.height,
    )


def _mismatch(source: Source, format_: str | None) -> bool:
    """Whether a path's ending announces another format than the content has."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return False
    announced = _ENDINGS.get(PurePath(os.fsdecode(source)).suffix.lower())
    return announced is not None and format_ not in announced


def _unread(file: FileFacts, reason: Reason, environment: Environment) -> ProvenanceReport:
    """The report on a file that could not be examined."""
    evidence = (failed(WALK, reason, None, FILE_UNREAD),)
    return ProvenanceReport(
        file=file,
        evidence=evidence,
        summary=summarise(evidence, False),  # noqa: FBT003
        completeness="partial",
        environment=environment,
        reason=reason,
    )


def _screened(evidence: Sequence[Evidence], screener: PromptScreener | None) -> tuple[list[Evidence], str]:
    """Screen the prompts in the evidence; the records of those that are not allowed, and the packs' digest."""
    setups: dict[tuple[str, str, tuple[str, ...]], Evidence] = {}
    for one in evidence:
        if one.setup is not None and one.setup.prompt:
            setups.setdefault(_texts(one.setup), one)
    if not setups:
        return [], ""
    screener = screener or _default_screener()
    records = []
    for number, ((prompt, negative, names), one) in enumerate(setups.items()):
        verdict = screener.screen(prompt, negative, names=names) if number < _MOST_PROMPTS else None
        if verdict is None or verdict.verdict is not Answer.ALLOW:
            records.append(_alarm(one, verdict, screener.lexicon.digest))
        if verdict is None:
            break
    return records, screener.lexicon.digest


def _texts(setup: Setup) -> tuple[str, str, tuple[str, ...]]:
    return setup.prompt or "", setup.negative or "", tuple(dict.fromkeys(model.name for model in setup.models))


def _alarm(one: Evidence, verdict: PromptVerdict | None, packs: str) -> Evidence:
    """The record that a prompt was not allowed; it repeats nothing of the prompt."""
    if verdict is None or Reason.TOO_LONG in verdict.reasons or Reason.ERROR in verdict.reasons:
        caveat, cue = "prompt_unscreened", "prompt_review"
    elif verdict.verdict is Answer.REFUSE:
        caveat, cue = "prompt_refused", "prompt_refused"
    else:
        caveat, cue = "prompt_review", "prompt_review"
    return Evidence(
        kind="prompt.screen",
        claim="none",
        strength=Strength.NONE,
        caveat=caveat,
        location=one.location,
        sha256=one.sha256,
        reader="prompts",
        reader_version=packs[:16],
        cues=(cue,),
    )


@cache
def _default_screener() -> PromptScreener:
    return PromptScreener()


@cache
def _environment(private: tuple[str, ...]) -> Environment:
    try:
        c2pa = version("c2pa-python")
    except PackageNotFoundError:
        c2pa = ""
    lists = TrustStore.bundled(private).lists
    return Environment(
        rempart=version("rempart"),
        c2pa=c2pa,
        trust_lists=tuple(
            ListUsed(name=one.name, kind=str(one.kind), dated=str(one.dated or ""), sha256=one.sha256) for one in lists
        ),
    )
