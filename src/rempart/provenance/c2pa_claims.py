"""Signed claims (C2PA) as evidence: who signed what, and four questions that must not be answered as one.

Whether the claim is about these bytes (binding), whether it is as it was signed (signature), who vouches for the signer
(chain), and when it was signed (time) are told apart for every manifest in the file, those of pictures that it was made
from included. A name in a manifest that no list vouches for is a quotation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from rempart.media import Source, Unscannable, shared_pool
from rempart.provenance.c2pa_child import Action, ClaimOptions, ClaimsFound, Held, Linked, Manifest
from rempart.provenance.evidence import (
    EXCERPT_CHARACTERS,
    Binding,
    Chain,
    Evidence,
    Integrity,
    Location,
    ModelName,
    Setup,
    Signature,
    SignedAt,
    Strength,
)
from rempart.provenance.trust import TrustStore
from rempart.settings import MIB, MediaSettings

READER: Final = "c2pa"
MISSING_EXTRA: Final = "signed claims (C2PA) cannot be read: install rempart[c2pa]"
"""What to tell a person when a file holds signed claims and the extra is not there."""

_CHILD: Final = "rempart.provenance.c2pa_child"
_ANSWER_BYTES: Final = 4 * MIB

# What says nothing of whether a claim is as it was signed: who signed it and when is asked for itself, and what is
# wrong with a picture that this one was made from is told of that picture.
_ASIDE: Final = (
    "signingCredential.",
    "timeStamp.",
    "timeOfSigning.",
    "ingredient.",
    "assertion.ingredient.",
    "assertion.action.",
    "assertion.metadata.",
    "cawg.",
)
_BINDINGS: Final = ("dataHash", "boxesHash", "bmffHash", "collectionHash", "multiAssetHash", "hardBinding")
_SPELLINGS: Final = {
    "compositedWithTrainedAlgorithmicMedia": "compositeWithTrainedAlgorithmicMedia",
    "compositedSynthetic": "compositeSynthetic",
}
_AI: Final = frozenset(("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"))
# Generators that sign what they made without an IPTC term; they are looked for in what a claim calls "created".
_GENERATORS: Final = (
    *("image creator from designer", "bing image creator", "microsoft designer", "dall", "gpt-", "chatgpt", "sora"),
    *("imagen", "gemini", "adobe firefly", "flux", "titan image generator", "stable diffusion", "midjourney"),
)
_MADE_BY_AI: Final = "ai generated image"
_RANKS: Final = (Strength.SIGNED_TRUSTED, Strength.SIGNED_INTACT, Strength.SIGNED_BROKEN)
_CAVEATS: Final = {
    Chain.OFFICIAL: "c2pa_official",
    Chain.INTERIM: "c2pa_interim",
    Chain.PRIVATE: "c2pa_private",
    Chain.PUBLIC_TEST_KEY: "c2pa_public_test_key",
}


def may_hold_claims(content: bytes) -> bool:
    """Whether it is worth asking: whether anything in the bytes looks like a manifest, or names one elsewhere."""
    return (b"jumb" in content and b"c2pa" in content) or b"provenance" in content


def examine_claims(
    source: Source, *, settings: MediaSettings | None = None, private: Sequence[str | Path] = ()
) -> list[Evidence]:
    """Every signed claim of a file, read in a child process that has no network.

    Args:
        source: a path, or the content as bytes.
        settings: the limits; the defaults of :class:`rempart.settings.MediaSettings` when not given.
        private: PEM files of the operator's own trust lists.

    Returns:
        One or more records for each manifest, in the order of the store; a record of kind ``reader.failure`` when it
        could not be read, which is not the same as nothing being there.

    Raises:
        ConfigError: a trust list cannot be read.
        DecoderError: no child can be started.
    """
    lists = tuple(str(Path(path).absolute()) for path in private)
    _look_at(lists)
    pool = shared_pool(_CHILD, settings or MediaSettings())
    options = ClaimOptions(lists)
    found = pool.run("claims", source, options, ClaimsFound, limit=_ANSWER_BYTES)
    if isinstance(found, Unscannable):
        return [_failure(f"c2pa: {found.reason}", "")]
    return list(evidence_of(found, datetime.now(UTC)))


@lru_cache(maxsize=16)
def _look_at(private: tuple[str, ...]) -> None:
    """Refuse lists that cannot be read: to the child they would only make every claim unreadable."""
    TrustStore.bundled(private)


def evidence_of(found: ClaimsFound, now: datetime) -> Iterator[Evidence]:
    """The records of what a child found.

    Args:
        found: its answer.
        now: the time against which certificates are held.
    """
    if found.failure:
        yield _failure(f"c2pa: {found.failure}", found.version, found.limits_hit)
    if found.remote:
        yield Evidence(
            kind="c2pa.remote_manifest_reference",
            claim="none",
            strength=Strength.NONE,
            caveat="c2pa_remote_manifest",
            location=Location(container="xmp", field="dcterms:provenance"),
            excerpt=found.remote[:EXCERPT_CHARACTERS],
            reader=READER,
            reader_version=found.version,
        )
    integrities = {one.label: _integrity(one, now) for one in found.manifests}
    strengths = _strengths(found.manifests, integrities)
    for one in found.manifests:
        yield from _records(one, integrities[one.label], strengths[one.label], found)


def _integrity(manifest: Manifest, now: datetime) -> Integrity:
    chain, name = _chain(manifest)
    return Integrity(
        binding=_binding(manifest),
        signature=_signature(manifest),
        chain=chain,
        time=_time(manifest, now),
        chain_name=name,
    )


def _binding(manifest: Manifest) -> Binding:
    """Whether it is about these bytes; the bytes of a picture that this one was made from are not here to be asked."""
    if manifest.file is None:
        return Binding.NOT_CHECKED
    if any(_about_binding(code) for code in manifest.file.failure):
        return Binding.MISMATCH
    return Binding.MATCH if any(_about_binding(code) for code in manifest.file.success) else Binding.ABSENT


def _about_binding(code: str) -> bool:
    return any(f".{name}." in code for name in _BINDINGS)


def _signature(manifest: Manifest) -> Signature:
    """Valid only if something says so and nothing else is wrong with the claim or with what it signs."""
    readings = [*manifest.held, *([manifest.file] if manifest.file else [])]
    failures = {code for one in readings for code in one.failure}
    if any(not code.startswith(_ASIDE) and not _about_binding(code) for code in failures):
        return Signature.INVALID
    if any("claimSignature.validated" in one.success for one in readings):
        return Signature.VALID
    return Signature.NOT_CHECKED


def _chain(manifest: Manifest) -> tuple[Chain, str]:
    """The first list that vouches for the signer, and its name."""
    for one in _readings(manifest):
        revoked = any("revoked" in code for code in one.failure)
        if "signingCredential.trusted" in one.success and not revoked and not _unfit(one):
            return Chain(one.kind), one.name
    if manifest.test_key:
        return Chain.PUBLIC_TEST_KEY, ""
    return (Chain.UNTRUSTED if manifest.signer else Chain.NONE), ""


def _readings(manifest: Manifest) -> list[Held]:
    return list(manifest.held) or ([manifest.file] if manifest.file else [])


def _unfit(one: Held) -> bool:
    """Whether the list knows the signer, but the certificate could not sign this or not at that time."""
    return any(code.startswith("signingCredential.") and "ocsp" not in code for code in one.failure)


def _time(manifest: Manifest, now: datetime) -> SignedAt:
    begin, end = _moment(manifest.not_before), _moment(manifest.not_after)
    if begin is None or end is None:
        return SignedAt.UNKNOWN
    if now <= end:
        return SignedAt.IN_VALIDITY if begin <= now else SignedAt.UNKNOWN
    for one in _readings(manifest):
        if "timeStamp.trusted" in one.success and "signingCredential.expired" not in one.failure:
            return SignedAt.EXPIRED_TRUSTED_STAMP
    return SignedAt.EXPIRED_NO_STAMP


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _strengths(manifests: Sequence[Manifest], integrities: dict[str, Integrity]) -> dict[str, Strength]:
    """How strong each claim is for this very file.

    A claim about a picture that this one was made from is no stronger than those that lead from the file to it: anyone
    can take a vendor's manifest along in one of their own. One that nothing leads to is broken.
    """
    by_label = {one.label: one for one in manifests}
    reached: dict[str, int] = {}
    waiting = [(one.label, 0) for one in manifests if one.active]
    while waiting:
        label, least = waiting.pop()
        rank = max(least, _RANKS.index(_own_strength(by_label[label], integrities[label])))
        if label in reached and reached[label] <= rank:
            continue  # it was reached by a way as good as this; and so a ring of manifests ends
        reached[label] = rank
        waiting.extend((one.label, rank) for one in by_label[label].linked if one.sound and one.label in by_label)
    return {one.label: _RANKS[reached.get(one.label, len(_RANKS) - 1)] for one in manifests}


def _own_strength(manifest: Manifest, integrity: Integrity) -> Strength:
    if manifest.active and integrity.binding is not Binding.MATCH:
        return Strength.SIGNED_BROKEN
    if integrity.signature is not Signature.VALID:
        return Strength.SIGNED_BROKEN
    if integrity.chain in (Chain.OFFICIAL, Chain.INTERIM, Chain.PRIVATE):
        return Strength.SIGNED_TRUSTED
    return Strength.SIGNED_INTACT


def _records(manifest: Manifest, integrity: Integrity, strength: Strength, found: ClaimsFound) -> Iterator[Evidence]:
    for claim, said in _claims(manifest):
        yield Evidence(
            kind="c2pa.manifest" if manifest.active else "c2pa.ingredient",
            claim=claim,
            strength=strength,
            caveat=_caveat(manifest, integrity, strength),
            location=Location(container="c2pa", field=manifest.label, offset=manifest.offset, length=manifest.length),
            generator=said.agent or manifest.generator,
            signer=manifest.signer,
            integrity=integrity,
            sha256=manifest.sha256,
            excerpt=_excerpt(said),
            reader=READER,
            reader_version=found.version,
            limits_hit=found.limits_hit,
            cues=_cues(manifest, claim),
            setup=_setup(manifest),
        )
    for mark in dict.fromkeys(manifest.marks):
        yield Evidence(
            kind="c2pa.mark_statement",
            claim="none",
            strength=strength,
            caveat="c2pa_mark_statement",
            location=Location(container="c2pa", field=manifest.label),
            generator=manifest.generator,
            signer=manifest.signer,
            integrity=integrity,
            sha256=manifest.sha256,
            excerpt=mark[:EXCERPT_CHARACTERS],
            reader=READER,
            reader_version=found.version,
        )


def _claims(manifest: Manifest) -> list[tuple[str, Action]]:
    """Each term that the manifest uses, with the first action that does; ``none`` where it says nothing of origin."""
    terms: dict[str, Action] = {}
    for one in manifest.actions:
        if one.term:
            terms.setdefault(_SPELLINGS.get(one.term, one.term), one)
    if terms:
        return list(terms.items())
    for one in manifest.actions:
        agent, description = one.agent.lower(), one.description.lower()
        if one.action == "c2pa.created" and (agent.startswith(_GENERATORS) or description == _MADE_BY_AI):
            return [("generator_present", one)]
    if manifest.model:
        return [("generator_present", Action(action="c2pa.ai_generated_content", agent=manifest.model))]
    return [("none", Action(action=", ".join(dict.fromkeys(one.action for one in manifest.actions))))]


def _excerpt(said: Action) -> str:
    return " | ".join(part for part in (said.action, said.term, said.agent, said.description) if part)[
        :EXCERPT_CHARACTERS
    ]


def _cues(manifest: Manifest, claim: str) -> tuple[str, ...]:
    """A generator that was given a picture without a manifest may have been given a real one."""
    return ("init_image",) if claim in _AI and any(_starting_picture(one) for one in manifest.linked) else ()


def _starting_picture(one: Linked) -> bool:
    return one.picture and not one.label and one.relationship in ("parentOf", "inputTo")


def _setup(manifest: Manifest) -> Setup | None:
    if not manifest.model and not manifest.prompt:
        return None
    models = (ModelName(kind="checkpoint", name=manifest.model),) if manifest.model else ()
    return Setup(software=manifest.generator, prompt=manifest.prompt or None, models=models)


def _caveat(manifest: Manifest, integrity: Integrity, strength: Strength) -> str:
    if strength is not Strength.SIGNED_BROKEN:
        return _CAVEATS.get(integrity.chain, "c2pa_untrusted")
    if integrity.signature is not Signature.VALID:
        return "c2pa_broken_signature"
    return "c2pa_broken_binding" if manifest.active else "c2pa_broken_link"


def _failure(what: str, version: str, limits_hit: tuple[str, ...] = ()) -> Evidence:
    missing = what.endswith("missing_extra")
    return Evidence(
        kind="reader.failure",
        claim="none",
        strength=Strength.NONE,
        caveat="c2pa_missing_extra" if missing else "reader_failed",
        location=Location(container="c2pa"),
        excerpt=what,
        reader=READER,
        reader_version=version,
        limits_hit=limits_hit,
    )
