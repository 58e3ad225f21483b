"""The nine rules by which all evidence of a file becomes one summary."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.provenance.combine import FAILURE, UNNAMED, UNSIGNED, summarise
from rempart.provenance.evidence import (
    Binding,
    Chain,
    Declared,
    Evidence,
    Integrity,
    Location,
    PriorityEffect,
    Signature,
    Strength,
    Summary,
)

TRUSTED, INTACT, BROKEN = Strength.SIGNED_TRUSTED, Strength.SIGNED_INTACT, Strength.SIGNED_BROKEN
WHOLE, LABEL, MARK = Strength.UNSIGNED_STRUCTURED, Strength.UNSIGNED_LABEL, Strength.PIXEL_MARK
AI_CLAIMS = ("trainedAlgorithmicMedia", "generator_present", "compositeWithTrainedAlgorithmicMedia")
CLAIMS = (
    *(*AI_CLAIMS, "compositeSynthetic", "digitalCapture", "computationalCapture", "capture_fields_present"),
    *("screenCapture", "humanEdits", "possibly_generated", "none"),
)


def record(claim: str = "generator_present", strength: Strength = WHOLE, **fields: object) -> Evidence:
    """A record of that claim; signed ones are signed by a key that nobody knows unless ``chain`` says otherwise."""
    chain = fields.pop("chain", Chain.OFFICIAL if strength is TRUSTED else Chain.UNTRUSTED)
    signed = strength in {TRUSTED, INTACT, BROKEN}
    integrity = Integrity(binding=Binding.MATCH, signature=Signature.VALID, chain=chain) if signed else None
    made: dict[str, object] = {
        "kind": "c2pa.manifest" if signed else "sd.parameters",
        "caveat": "unsigned_payload",
        "location": Location(container="png.tEXt"),
        "integrity": integrity,
        "signer": "Harbour Signers" if signed else "",
    }
    return Evidence(claim=claim, strength=strength, **(made | fields))


def failure() -> Evidence:
    """A reader gave up."""
    return record("none", Strength.NONE, kind=FAILURE, caveat="reader_failed")


def declared(*evidence: Evidence) -> Declared:
    """What these records declare together."""
    return summarise(evidence).declared


@st.composite
def records(draw: st.DrawFn, claims: tuple[str, ...] = CLAIMS) -> Evidence:
    """Any record that a reader may give."""
    strength = draw(st.sampled_from(Strength))
    signed = strength in {TRUSTED, INTACT, BROKEN}
    kinds = ("c2pa.manifest", "c2pa.ingredient") if signed else ("sd.parameters", "exif.camera", FAILURE)
    return record(
        draw(st.sampled_from(claims)),
        strength,
        kind=draw(st.sampled_from(kinds)),
        chain=draw(st.sampled_from(Chain)),
        generator=draw(st.sampled_from(("", "Fog Machine", "Lighthouse Camera"))),
        cues=draw(st.sampled_from(((), (), (), ("load_image",), ("lora",), ("prompt_refused",)))),
        limits_hit=draw(st.sampled_from(((), (), ("fields",)))),
    )


FILES = st.lists(records(), max_size=6)


def without_places(summary: Summary, evidence: list[Evidence]) -> tuple[Summary, list[bytes]]:
    """A summary with what it points to in the place of where that stands."""
    pointed = sorted(msgspec.json.encode(evidence[place]) for place in summary.because)
    return msgspec.structs.replace(summary, because=()), pointed


def test_rule_1_the_summary_points_to_the_records_that_decided() -> None:
    """Places in the report, the support first; what says nothing is not among them."""
    evidence = [record("none", Strength.NONE), record(strength=LABEL, generator="Fog"), record(strength=TRUSTED)]
    summary = summarise(evidence)
    assert summary.because == (2, 1)
    assert (summary.support, summary.by) == (TRUSTED, "Harbour Signers")


@given(evidence=FILES, complete=st.booleans())
def test_rule_1_every_place_is_in_the_report_and_stands_once(evidence: list[Evidence], *, complete: bool) -> None:
    """And what declares anything has a reason."""
    summary = summarise(evidence, complete)
    assert set(summary.because) <= set(range(len(evidence)))
    assert len(set(summary.because)) == len(summary.because)
    assert (summary.declared in {Declared.NONE, Declared.UNREADABLE}) or summary.because


@pytest.mark.parametrize("worse", [INTACT, WHOLE, LABEL, MARK])
def test_rule_2_the_best_vouched_for_gives_the_support(worse: Strength) -> None:
    """Whatever stands beside it in the same direction."""
    assert summarise([record(strength=worse), record(strength=TRUSTED)]).support is TRUSTED


def test_rule_2_unsigned_records_of_one_writer_count_once() -> None:
    """Its best one is shown, and a second writer beside it."""
    one, again = record(generator="Fog Machine"), record(generator="fog machine", strength=LABEL)
    other = record(generator="Mist Maker", strength=LABEL)
    assert summarise([again, one]).because == (1,)
    assert summarise([again, one, other]).because == (1, 2)


@given(FILES)
def test_rule_2_saying_it_again_changes_nothing(evidence: list[Evidence]) -> None:
    """The same records twice are what they were once."""
    once, twice = summarise(evidence), summarise([*evidence, *evidence])
    assert msgspec.structs.replace(once, because=()) == msgspec.structs.replace(twice, because=())


def test_rule_2_a_signature_without_a_name_is_by_nobody_in_particular() -> None:
    """It is not unsigned."""
    assert summarise([record(strength=INTACT, signer="")]).by == UNNAMED
    assert summarise([record()]).by == UNSIGNED


@pytest.mark.parametrize("ai", [TRUSTED, INTACT, WHOLE, LABEL, MARK])
@pytest.mark.parametrize("capture", [TRUSTED, INTACT, WHOLE, LABEL])
def test_rule_3_ai_against_capture_is_a_conflict_whoever_vouches(ai: Strength, capture: Strength) -> None:
    """Both are shown, and it raises."""
    summary = summarise([record(strength=ai), record("capture_fields_present", capture)])
    assert summary.declared is Declared.CONFLICT
    assert set(summary.because) == {0, 1}
    assert summary.priority_effect is PriorityEffect.RAISE


def test_rule_3_a_capture_that_was_made_into_something_is_a_composite() -> None:
    """A photograph among the ingredients of what is declared to be AI-made."""
    made = record("trainedAlgorithmicMedia", TRUSTED)
    before = record("digitalCapture", TRUSTED, kind="c2pa.ingredient")
    summary = summarise([before, made])
    assert (summary.declared, summary.support, summary.because[0]) == (Declared.AI_COMPOSITE, TRUSTED, 1)
    assert summary.real_basis


def test_rule_3_a_capture_after_ai_is_a_conflict() -> None:
    """A camera that signs a picture made before was shown a picture."""
    before = record("trainedAlgorithmicMedia", TRUSTED, kind="c2pa.ingredient")
    assert declared(before, record("digitalCapture", TRUSTED)) is Declared.CONFLICT


def test_rule_3_a_composite_contains_a_capture_unless_the_capture_is_better_vouched_for() -> None:
    """A phone's own edit keeps the fields of its camera; a pasted label does not undo a camera's signature."""
    fields = record("capture_fields_present", WHOLE, kind="exif.camera")
    edit = record("compositeWithTrainedAlgorithmicMedia", INTACT)
    assert declared(edit, fields) is Declared.AI_COMPOSITE
    label = record("compositeSynthetic", LABEL)
    assert declared(label, record("digitalCapture", TRUSTED)) is Declared.CONFLICT


@pytest.mark.parametrize("chain", [Chain.OFFICIAL, Chain.INTERIM, Chain.PRIVATE, Chain.PINNED])
def test_rule_4_a_capture_signed_by_somebody_known_is_a_capture(chain: Chain) -> None:
    """Also one whose certificate ran out, and it raises."""
    for strength in (TRUSTED, INTACT):
        summary = summarise([record("digitalCapture", strength, chain=chain)])
        assert (summary.declared, summary.support) == (Declared.CAPTURE, strength)
        assert summary.priority_effect is PriorityEffect.RAISE


@pytest.mark.parametrize("chain", [Chain.UNTRUSTED, Chain.PUBLIC_TEST_KEY, Chain.NONE])
def test_rule_4_a_capture_signed_with_anybodys_key_declares_nothing(chain: Chain) -> None:
    """It is shown with how it is signed; an AI claim of the same key counts."""
    summary = summarise([record("digitalCapture", INTACT, chain=chain)])
    assert (summary.declared, summary.support, summary.because) == (Declared.NONE, INTACT, (0,))
    assert summary.priority_effect is PriorityEffect.NONE
    assert declared(record("trainedAlgorithmicMedia", INTACT, chain=chain)) is Declared.AI_GENERATED


def test_rule_4_camera_fields_declare_a_capture_only_where_they_fit_each_other() -> None:
    """Fewer groups of them, and single labels, are told as something declared."""
    assert declared(record("capture_fields_present", WHOLE)) is Declared.CAPTURE
    assert declared(record("capture_fields_present", LABEL)) is Declared.OTHER_DECLARED
    assert declared(record("digitalCapture", LABEL)) is Declared.OTHER_DECLARED
    assert summarise([record("capture_fields_present", WHOLE)]).priority_effect is PriorityEffect.NONE


def test_rule_5_a_broken_claim_declares_nothing_and_is_shown() -> None:
    """Nor does it contradict what else there is."""
    broken = record("trainedAlgorithmicMedia", BROKEN)
    summary = summarise([broken])
    assert (summary.declared, summary.support, summary.by, summary.because) == (Declared.NONE, BROKEN, "", (0,))
    assert declared(broken, record("capture_fields_present", WHOLE)) is Declared.CAPTURE
    assert summarise([broken, record()]).support is WHOLE


@given(FILES, records())
def test_rule_5_a_broken_claim_never_changes_what_is_declared(evidence: list[Evidence], extra: Evidence) -> None:
    """Wherever something is declared without it."""
    broken = msgspec.structs.replace(extra, strength=BROKEN, cues=(), kind="c2pa.manifest")
    before = summarise(evidence)
    if before.declared is not Declared.UNREADABLE:
        assert summarise([*evidence, broken]).declared is before.declared


@pytest.mark.parametrize("cue", ["load_image", "img2img", "face_swap", "some_cue_of_tomorrow"])
def test_rule_6_a_cue_makes_a_composite_at_the_same_support(cue: str) -> None:
    """Whichever record it stands in."""
    for evidence in ([record(cues=(cue,))], [record(), record("none", Strength.NONE, cues=(cue,))]):
        summary = summarise(evidence)
        assert (summary.declared, summary.support) == (Declared.AI_COMPOSITE, WHOLE)
        assert summary.real_basis
        assert summary.priority_effect is PriorityEffect.RAISE


@pytest.mark.parametrize("cue", ["lora", "prompt_refused", "prompt_review"])
def test_rule_6_other_cues_raise_and_leave_what_is_declared(cue: str) -> None:
    """A model of one's own, or a prompt that was refused, says nothing of the starting point."""
    summary = summarise([record(cues=(cue,))])
    assert summary.declared is Declared.AI_GENERATED
    assert not summary.real_basis
    assert summary.priority_effect is PriorityEffect.RAISE


def test_rule_6_a_claim_of_a_composite_is_one() -> None:
    """Beside a better claim of AI alone too: the starting point is what matters."""
    assert declared(record("compositeSynthetic", LABEL)) is Declared.AI_COMPOSITE
    summary = summarise([record(strength=TRUSTED), record("compositeSynthetic", LABEL)])
    assert (summary.declared, summary.support) == (Declared.AI_COMPOSITE, TRUSTED)


def test_rule_7_failures_and_limits_make_the_summary_incomplete() -> None:
    """So does a reader that is not installed."""
    assert summarise([record()]).complete
    assert not summarise([record()], complete=False).complete
    assert not summarise([record(), failure()]).complete
    assert not summarise([record(limits_hit=("fields",))]).complete


def test_rule_7_nothing_found_because_a_reader_failed_is_not_nothing() -> None:
    """It is unreadable; what else was found stays."""
    assert declared(failure()) is Declared.UNREADABLE
    assert declared() is Declared.NONE
    assert declared(failure(), record()) is Declared.AI_GENERATED
    assert declared(failure(), record("trainedAlgorithmicMedia", BROKEN)) is Declared.NONE


def test_rule_8_there_is_no_word_for_lower() -> None:
    """Two values, neither of which lowers."""
    assert {effect.value for effect in PriorityEffect} == {"none", "raise"}


@given(FILES, records())
def test_rule_8_no_record_takes_a_raise_away(evidence: list[Evidence], extra: Evidence) -> None:
    """Whatever is added, AI evidence above all."""
    if summarise(evidence).priority_effect is PriorityEffect.RAISE:
        assert summarise([*evidence, extra]).priority_effect is PriorityEffect.RAISE


def test_rule_8_a_raise_stays_when_something_better_vouched_for_decides() -> None:
    """A screen capture that is signed hides neither a composite nor a camera's signature."""
    screen = record("screenCapture", TRUSTED)
    for weaker in (record("compositeSynthetic", LABEL), record("digitalCapture", INTACT, chain=Chain.INTERIM)):
        summary = summarise([weaker, screen])
        assert summary.declared is Declared.SCREEN_CAPTURE
        assert summary.priority_effect is PriorityEffect.RAISE
    assert summarise([screen]).priority_effect is PriorityEffect.NONE


@given(FILES, records(AI_CLAIMS))
def test_rule_8_ai_evidence_takes_no_real_basis_away(evidence: list[Evidence], extra: Evidence) -> None:
    """Nor does it make an incomplete summary complete."""
    before, after = summarise(evidence), summarise([*evidence, extra])
    assert after.real_basis >= before.real_basis
    assert after.complete <= before.complete


@pytest.mark.parametrize(
    ("strength", "suggested"), [(TRUSTED, True), (INTACT, True), (WHOLE, True), (LABEL, False), (MARK, False)]
)
def test_rule_9_the_field_of_ncmec_is_suggested_only_with_good_support(strength: Strength, *, suggested: bool) -> None:
    """Never for a label or a mark alone, nor for what is not declared AI-made."""
    assert summarise([record(strength=strength)]).suggests_generative_ai is suggested
    assert summarise([record(strength=strength, cues=("img2img",))]).suggests_generative_ai is suggested
    assert not summarise([record("capture_fields_present", strength)]).suggests_generative_ai
    assert not summarise([record(strength=strength), record("digitalCapture", LABEL)]).suggests_generative_ai


@given(FILES, st.randoms())
def test_the_order_of_the_records_never_matters(evidence: list[Evidence], dice: object) -> None:
    """The same records, shuffled, give the same summary of the same records."""
    shuffled = list(evidence)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert without_places(summarise(shuffled), shuffled) == without_places(summarise(evidence), evidence)


def test_every_order_of_three_records_says_the_same() -> None:
    """Signers of one strength too: who is named does not depend on who stands first."""
    three = [record(strength=TRUSTED, signer=name) for name in ("Buoy", "Anchor", "Cape")]
    assert {summarise(list(order)).by for order in permutations(three)} == {"Anchor"}


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("possibly_generated", Declared.OTHER_DECLARED),
        ("suspected_generated", Declared.OTHER_DECLARED),
        ("host_present", Declared.OTHER_DECLARED),
        ("humanEdits", Declared.OTHER_DECLARED),
        ("algorithmicMedia", Declared.OTHER_DECLARED),
        ("a term of tomorrow", Declared.OTHER_DECLARED),
        ("screenCapture", Declared.SCREEN_CAPTURE),
    ],
)
def test_weaker_words_are_not_collapsed_into_ai(claim: str, expected: Declared) -> None:
    """What is only possible, suspected or unknown stays that."""
    assert declared(record(claim, LABEL)) is expected


def test_a_screen_capture_gives_way_only_to_what_is_at_least_as_well_vouched_for() -> None:
    """The picture of an editor that names its generator is still the picture of an editor."""
    editor = record("screenCapture", WHOLE, kind="comfy.editor", cues=("load_image",))
    summary = summarise([editor, record(strength=LABEL)])
    assert summary.declared is Declared.SCREEN_CAPTURE
    assert summary.real_basis
    assert declared(record("screenCapture", LABEL), record()) is Declared.AI_GENERATED
    assert declared(record("screenCapture", TRUSTED), record("capture_fields_present")) is Declared.SCREEN_CAPTURE


def test_an_edit_beside_an_ai_claim_is_ai() -> None:
    """A service's visible logo makes the active manifest a `composite`, and the parent says what the picture is."""
    parent = record("trainedAlgorithmicMedia", TRUSTED, kind="c2pa.ingredient")
    assert declared(record("composite", TRUSTED), parent) is Declared.AI_GENERATED
