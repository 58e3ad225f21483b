"""Signed claims: what they say, and who vouches for them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from tests.unit.signing import TERMS, Authority, created

from rempart.errors import ConfigError
from rempart.provenance import c2pa_child, trust
from rempart.provenance.c2pa_child import Action, ClaimOptions, ClaimsFound, Held, Linked, Manifest, read_claims
from rempart.provenance.c2pa_claims import evidence_of, examine_claims, may_hold_claims
from rempart.provenance.evidence import Binding, Chain, Evidence, Signature, SignedAt, Strength
from rempart.provenance.trust import TEST_UNIT, TrustStore
from rempart.settings import MediaSettings

NOW = datetime(2026, 11, 22, tzinfo=UTC)
AI = "trainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def camera() -> Authority:
    """A signer of the tests' own."""
    return Authority()


@pytest.fixture(scope="module")
def trusted(camera: Authority, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A list that vouches for that signer."""
    path = tmp_path_factory.mktemp("lists") / "our-cameras.pem"
    path.write_bytes(camera.root)
    return [path]


@pytest.fixture(scope="module")
def picture(lighthouse: Callable[..., object], saved: Callable[..., bytes]) -> bytes:
    """A picture without any claim."""
    return saved(lighthouse((96, 64), 7), "PNG")


@pytest.fixture(scope="module")
def samples(data: Path) -> Path:
    """The folder of samples of origin."""
    folder = data / "provenance"
    if not folder.is_dir():
        pytest.skip("the data folder holds no samples of origin")
    return folder


def only(found: list[Evidence]) -> Evidence:
    """The one record that was found."""
    assert len(found) == 1
    return found[0]


def four(one: Evidence) -> tuple[Binding, Signature, Chain, SignedAt]:
    """The four questions that are answered apart."""
    assert one.integrity is not None
    return one.integrity.binding, one.integrity.signature, one.integrity.chain, one.integrity.time


def test_claim_under_a_private_list_is_trusted_and_names_the_list(
    camera: Authority, trusted: list[Path], picture: bytes
) -> None:
    """All four questions have their best answers."""
    one = only(examine_claims(camera.sign(picture, created()), private=trusted))
    assert (one.kind, one.claim, one.strength) == ("c2pa.manifest", "digitalCapture", Strength.SIGNED_TRUSTED)
    assert four(one) == (Binding.MATCH, Signature.VALID, Chain.PRIVATE, SignedAt.IN_VALIDITY)
    assert one.integrity is not None
    assert one.integrity.chain_name == "our-cameras"
    assert (one.generator, one.signer, one.caveat) == ("Lighthouse Camera", "Lighthouse Camera", "c2pa_private")
    assert one.location.length > 0
    assert len(one.sha256) == 64


def test_same_claim_without_the_list_is_intact_and_its_signer_unknown(camera: Authority, picture: bytes) -> None:
    """Only who vouches for the signer differs."""
    one = only(examine_claims(camera.sign(picture, created())))
    assert one.strength is Strength.SIGNED_INTACT
    assert four(one) == (Binding.MATCH, Signature.VALID, Chain.UNTRUSTED, SignedAt.IN_VALIDITY)


def test_changed_picture_breaks_the_binding_and_leaves_the_signature(
    camera: Authority, trusted: list[Path], picture: bytes
) -> None:
    """The claim is as it was signed, but about another picture."""
    content = bytearray(camera.sign(picture, created()))
    content[-20] ^= 1  # in the last bytes of the picture's own data
    one = only(examine_claims(bytes(content), private=trusted))
    assert (one.strength, one.caveat) == (Strength.SIGNED_BROKEN, "c2pa_broken_binding")
    assert four(one)[:3] == (Binding.MISMATCH, Signature.VALID, Chain.PRIVATE)


def test_changed_words_of_a_claim_break_the_signature(camera: Authority, trusted: list[Path], picture: bytes) -> None:
    """One letter of the term is another."""
    content = camera.sign(picture, created()).replace(
        b"digitalsourcetype/digitalCapture", b"digitalsourcetype/digitalXapture"
    )
    one = only(examine_claims(content, private=trusted))
    assert (one.strength, one.caveat) == (Strength.SIGNED_BROKEN, "c2pa_broken_signature")
    assert four(one)[1] is Signature.INVALID


def test_claim_moved_to_another_picture_is_not_about_it(
    camera: Authority,
    trusted: list[Path],
    picture: bytes,
    lighthouse: Callable[..., object],
    saved: Callable[..., bytes],
) -> None:
    """The chunk is carried over whole."""
    signed, other = camera.sign(picture, created()), saved(lighthouse((96, 64), 8), "PNG")
    at = signed.index(b"caBX") - 4
    chunk = signed[at : at + 12 + int.from_bytes(signed[at : at + 4], "big")]
    one = only(examine_claims(other[:33] + chunk + other[33:], private=trusted))
    assert (one.strength, four(one)[0]) == (Strength.SIGNED_BROKEN, Binding.MISMATCH)


def test_what_a_starting_picture_claims_is_found_and_no_stronger_than_who_took_it_along(
    camera: Authority, trusted: list[Path], picture: bytes
) -> None:
    """Anyone can take a trusted camera's claim along in a claim of their own."""
    inner = camera.sign(picture, created())
    opened = [{"action": "c2pa.opened", "parameters": {}}]
    for outer, strength in ((camera, Strength.SIGNED_TRUSTED), (Authority("Somebody"), Strength.SIGNED_INTACT)):
        found = examine_claims(outer.sign(picture, opened, parts=(("parentOf", inner),)), private=trusted)
        assert [(one.kind, one.claim) for one in found] == [
            ("c2pa.manifest", "none"),
            ("c2pa.ingredient", "digitalCapture"),
        ]
        assert found[1].strength is strength
        assert four(found[1])[:3] == (Binding.NOT_CHECKED, Signature.VALID, Chain.PRIVATE)


def test_signature_of_a_starting_picture_is_checked_whatever_the_outer_claim_noted_of_it(
    camera: Authority, trusted: list[Path], picture: bytes
) -> None:
    """The library tells only what differs from the note, and here nothing differs."""
    broken = camera.sign(picture, created()).replace(b"typ" + b"e/digitalCapture", b"type/digitalXapture")
    found = examine_claims(camera.sign(picture, created(AI), parts=(("componentOf", broken),)), private=trusted)
    assert [one.strength for one in found] == [Strength.SIGNED_TRUSTED, Strength.SIGNED_BROKEN]
    assert four(found[1])[1] is Signature.INVALID


def test_generator_that_was_given_a_picture_without_a_claim_may_have_been_given_a_real_one(
    camera: Authority, picture: bytes
) -> None:
    """It is a cue only where a generator claims the result."""
    assert only(examine_claims(camera.sign(picture, created(AI), parts=(("inputTo", picture),)))).cues == (
        "init_image",
    )
    assert only(examine_claims(camera.sign(picture, created(AI)))).cues == ()
    assert only(examine_claims(camera.sign(picture, created(), parts=(("parentOf", picture),)))).cues == ()


def test_generator_that_uses_no_term_is_known_by_its_name(camera: Authority, picture: bytes) -> None:
    """As Microsoft's signed pictures of 2024 are."""
    bare = [{"action": "c2pa.created", "softwareAgent": "Image Creator from Designer"}]
    assert only(examine_claims(camera.sign(picture, bare))).claim == "generator_present"
    bare[0]["softwareAgent"] = "A drawing program"
    assert only(examine_claims(camera.sign(picture, bare))).claim == "none"


def test_every_term_of_a_claim_has_its_record(camera: Authority, picture: bytes) -> None:
    """A capture that was edited with a generator says both."""
    edited = {"action": "c2pa.edited", "digitalSourceType": TERMS + "compositeWithTrainedAlgorithmicMedia"}
    found = examine_claims(camera.sign(picture, [*created(), edited]))
    assert [one.claim for one in found] == ["digitalCapture", "compositeWithTrainedAlgorithmicMedia"]


def test_public_test_key_is_named_as_such(picture: bytes) -> None:
    """Whatever name the certificate gives."""
    one = only(examine_claims(Authority("Leica", unit=TEST_UNIT).sign(picture, created())))
    assert (one.strength, four(one)[2]) == (Strength.SIGNED_INTACT, Chain.PUBLIC_TEST_KEY)
    assert one.caveat == "c2pa_public_test_key"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40), b"jumbc2pa" * 9])
def test_file_without_a_claim_says_nothing(content: bytes) -> None:
    """Neither does it stop the reading of others."""
    assert all(one.kind == "reader.failure" for one in examine_claims(content))


def test_picture_without_a_claim_says_nothing_and_is_not_asked(picture: bytes, camera: Authority) -> None:
    """The bytes alone tell that no child need be asked."""
    assert examine_claims(picture) == []
    assert not may_hold_claims(picture)
    assert may_hold_claims(camera.sign(picture, created()))


def test_broken_store_is_a_failure_and_not_the_absence_of_a_claim(camera: Authority, picture: bytes) -> None:
    """The child lives on."""
    signed = camera.sign(picture, created())
    at = signed.index(b"c2ma")
    broken = signed[: at - 8] + bytes(8) + signed[at:]
    assert [(one.kind, one.excerpt) for one in examine_claims(broken)] == [("reader.failure", "c2pa: unreadable")]


def test_without_the_extra_the_reading_fails_by_name(
    monkeypatch: pytest.MonkeyPatch, camera: Authority, picture: bytes, tmp_path: Path
) -> None:
    """A file that may hold a claim is then examined in part."""
    (tmp_path / "signed.png").write_bytes(camera.sign(picture, created()))
    monkeypatch.setattr(c2pa_child, "library", lambda: None)
    monkeypatch.setattr(c2pa_child, "close_network", lambda: False)
    with (tmp_path / "signed.png").open("rb") as file:
        found = read_claims(file.fileno(), MediaSettings(), ClaimOptions())
    one = only(list(evidence_of(found, NOW)))
    assert (one.kind, one.caveat) == ("reader.failure", "c2pa_missing_extra")


# What the child found is judged without the library.


def manifest(label: str = "a", *links: str, **changes: object) -> Manifest:
    """A trusted manifest with one claim, changed as asked."""
    held = Held(name="c2pa", kind="official", success=("claimSignature.validated", "signingCredential.trusted"))
    file = Held(name="c2pa", kind="official", success=("assertion.dataHash.match",)) if changes.get("active") else None
    whole = Manifest(
        label=label,
        active=False,
        signer="Somebody",
        not_before="2026-01-01T00:00:00+00:00",
        not_after="2027-01-01T00:00:00+00:00",
        held=(held,),
        file=file,
        actions=(Action(action="c2pa.created", term=AI),),
        linked=tuple(Linked(label=one) for one in links),
    )
    return msgspec.structs.replace(whole, **changes)


def strengths(*manifests: Manifest) -> list[Strength]:
    """The strengths of the records that come of manifests."""
    return [one.strength for one in evidence_of(ClaimsFound(manifests=manifests), NOW)]


def test_claim_that_fails_in_a_way_not_known_is_broken() -> None:
    """An assertion that was added afterwards is one of many ways."""
    one = manifest(active=True)
    assert strengths(one) == [Strength.SIGNED_TRUSTED]
    held = msgspec.structs.replace(one.held[0], failure=("assertion.undeclared",))
    assert strengths(msgspec.structs.replace(one, held=(held,))) == [Strength.SIGNED_BROKEN]


def test_claim_without_a_binding_is_broken() -> None:
    """It could be about any picture."""
    assert strengths(manifest(active=True, file=Held(name="c2pa", kind="official"))) == [Strength.SIGNED_BROKEN]


def test_signer_whose_certificate_was_revoked_is_trusted_by_nobody() -> None:
    """Even where a list names it."""
    held = msgspec.structs.replace(manifest().held[0], failure=("signingCredential.ocsp.revoked",))
    one = only(list(evidence_of(ClaimsFound(manifests=(manifest(active=True, held=(held,)),)), NOW)))
    assert four(one)[2] is Chain.UNTRUSTED


def test_expired_certificate_with_a_trusted_time_stamp_is_told_apart() -> None:
    """From one without, and from one without dates."""
    held = msgspec.structs.replace(manifest().held[0], success=("claimSignature.validated", "timeStamp.trusted"))
    old = manifest(active=True, not_after="2026-02-01T00:00:00+00:00", held=(held,))
    assert four(only(list(evidence_of(ClaimsFound(manifests=(old,)), NOW))))[3] is SignedAt.EXPIRED_TRUSTED_STAMP
    late = msgspec.structs.replace(held, failure=("signingCredential.expired", "signingCredential.untrusted"))
    unstamped = manifest(active=True, not_after="2026-02-01T00:00:00+00:00", held=(late,))
    one = only(list(evidence_of(ClaimsFound(manifests=(unstamped,)), NOW)))
    assert one.strength is Strength.SIGNED_INTACT
    assert four(one)[1:] == (Signature.VALID, Chain.UNTRUSTED, SignedAt.EXPIRED_NO_STAMP)
    undated = manifest(active=True, not_after="nonsense")
    assert four(only(list(evidence_of(ClaimsFound(manifests=(undated,)), NOW))))[3] is SignedAt.UNKNOWN


def test_claims_that_nothing_leads_to_from_the_file_are_broken() -> None:
    """Anyone can put another vendor's manifest into the store."""
    assert strengths(manifest("a", active=True), manifest("b")) == [Strength.SIGNED_TRUSTED, Strength.SIGNED_BROKEN]
    swapped = manifest("a", active=True, linked=(Linked(label="b", sound=False),))
    assert strengths(swapped, manifest("b")) == [Strength.SIGNED_TRUSTED, Strength.SIGNED_BROKEN]


def test_ring_of_claims_ends() -> None:
    """Each is reached once."""
    ring = (manifest("a", "b", active=True), manifest("b", "c"), manifest("c", "a", "b", "c"))
    assert strengths(*ring) == [Strength.SIGNED_TRUSTED] * 3


def test_broken_claim_on_the_way_breaks_what_lies_behind_it() -> None:
    """It might have named any other."""
    held = Held(name="c2pa", kind="official", failure=("claimSignature.mismatch",))
    chain = (manifest("a", "b", active=True), manifest("b", "c", held=(held,)), manifest("c"))
    assert strengths(*chain) == [Strength.SIGNED_TRUSTED, Strength.SIGNED_BROKEN, Strength.SIGNED_BROKEN]


def test_mark_that_a_claim_tells_of_is_no_claim_of_origin() -> None:
    """It is told once."""
    found = list(evidence_of(ClaimsFound(manifests=(manifest(active=True, marks=("SynthID", "SynthID")),)), NOW))
    assert [(one.kind, one.claim) for one in found] == [("c2pa.manifest", AI), ("c2pa.mark_statement", "none")]


# Lists.


def test_lists_that_come_along_are_those_of_the_index_and_dated() -> None:
    """And known to be outdated from the day its issuer promised another."""
    store = TrustStore.bundled()
    assert [(one.kind, one.dated) for one in store.lists] == [
        ("official", "2026-08-05"),
        ("time", "2026-08-05"),
        ("interim", "2026-01-01"),
        ("interim_allowed", "2026-01-01"),
    ]
    assert [one.anchors.count("BEGIN CERT") for one in store.lists] == [30, 22, 27, 117]
    assert store.outdated(date(2027, 8, 4)) == ()
    assert store.outdated(date(2027, 8, 5)) == ("c2pa", "c2pa-tsa")


def test_list_that_was_changed_stops_the_reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its name is told."""
    shutil.copytree(Path(trust.__file__).parent / "trust", tmp_path / "trust")
    (tmp_path / "trust" / "ITL-anchors-frozen.pem").write_text("-----BEGIN CERTIFICATE-----")
    monkeypatch.setattr(trust.resources, "files", lambda _: tmp_path)
    trust._bundled.cache_clear()
    with pytest.raises(ConfigError, match=r"ITL-anchors-frozen\.pem is not the one"):
        TrustStore.bundled()
    trust._bundled.cache_clear()


def test_private_list_must_be_a_file_of_certificates(tmp_path: Path) -> None:
    """Nothing is trusted by mistake."""
    (tmp_path / "empty.pem").write_text("nothing")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for name in ("empty.pem", "broken.pem", "missing.pem"):
        with pytest.raises(ConfigError, match="PEM file of certificates"):
            examine_claims(b"no picture", private=[tmp_path / name])


# The samples.

STRENGTHS = {
    "cryptographic": {Strength.SIGNED_TRUSTED},
    "cryptographic-trusted(ITL)": {Strength.SIGNED_TRUSTED},
    "cryptographic-trusted(own CA)": {Strength.SIGNED_TRUSTED},
    "cryptographic-intact-untrusted": {Strength.SIGNED_INTACT},
    "cryptographic-intact-untrusted(ingredient bad)": {Strength.SIGNED_INTACT},
    "cryptographic-broken": {Strength.SIGNED_BROKEN},
    "cryptographic-broken-binding": {Strength.SIGNED_BROKEN},
}


def test_samples_are_told_apart_as_their_table_says(samples: Path) -> None:
    """By strength, by what is claimed, and by the public key."""
    wrong = []
    with (samples / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["expected_strength"] in STRENGTHS]
    assert len(rows) >= 15
    for row in rows:
        found = examine_claims(samples / row["path"], private=[samples / "trust" / "own-root.pem"])
        active = [one for one in found if one.kind == "c2pa.manifest"]
        if {one.strength for one in active} != STRENGTHS[row["expected_strength"]]:
            wrong.append((row["path"], [one.strength for one in active]))
        claims = {one.claim for one in found}
        if row["expected_origin"] != "unknown" and not claims & {row["expected_origin"], "generator_present"}:
            wrong.append((row["path"], claims))
        if "TRAP" in row["note"] or "public c2pa test key" in row["note"]:
            wrong += [(row["path"], one.caveat) for one in active if one.caveat != "c2pa_public_test_key"]
    assert wrong == []


def test_claim_that_lies_elsewhere_is_told_of_and_is_no_claim_of_origin(samples: Path) -> None:
    """Its address is quoted."""
    one = only(examine_claims(samples / "c2pa-ai" / "firefly-remote-only.jpg"))
    assert (one.kind, one.claim, one.strength) == ("c2pa.remote_manifest_reference", "none", Strength.NONE)
    assert one.excerpt.startswith("https://")
