"""The sentences that people are shown, and the report: what it tells, hides and never says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from string import Formatter

import msgspec
import pytest

from rempart.errors import Reason
from rempart.provenance import sentences
from rempart.provenance.combine import FAILURE, summarise
from rempart.provenance.evidence import (
    Chain,
    Declared,
    Evidence,
    Integrity,
    Location,
    ModelName,
    Setup,
    SignedAt,
    Strength,
)
from rempart.provenance.report import Environment, FileFacts, ProvenanceReport
from rempart.provenance.sentences import LANGUAGES, Language, sentence, sentence_of, shown

PROMPT, NEGATIVE = "a lighthouse keeper's lamp, oil painting", "fog bank"
SECRETS = (PROMPT, NEGATIVE, "harbour-lora", "my-old-photo.jpg", "excerpt of a field")
STARTING_POINT = {
    "en": "a real picture may have been the starting point",
    "fr": "une image réelle a pu servir de point de départ",
}
# That sentence is about what a picture was made from; of the picture itself none of these is ever said.
NEVER = (
    *("real", "really", "fake", "fakes", "authentic", "authenticity", "genuine", "probability", "probable"),
    *("probably", "percent", "likely", "likelihood", "score", "réel", "réelle", "vrai", "vraie", "faux", "fausse"),
    *("authentique", "véritable", "probabilité", "probablement", "pourcent", "vraisemblable"),
)
FACTS = {"claim", "generator", "signer", "list", "where", "why", "support", "by", "sentence"}


def spoken(lang: Language) -> Iterator[tuple[str, str]]:
    """Every text of the tables, and its name."""
    words = sentences._words()
    for table in (words.sentence, words.claim, words.support, words.declared, words.word):
        for name, said in table.items():
            yield name, said[lang]


def record(**fields: object) -> Evidence:
    """A generator's payload, with all that is to be hidden."""
    setup = Setup(
        software="Fog Machine",
        prompt=PROMPT,
        negative=NEGATIVE,
        seed="7",
        models=(ModelName(kind="lora", name="harbour-lora", hash="abc123"),),
        files=("my-old-photo.jpg",),
    )
    made: dict[str, object] = {
        "kind": "sd.parameters",
        "claim": "generator_present",
        "strength": Strength.UNSIGNED_STRUCTURED,
        "caveat": "unsigned_payload",
        "location": Location(container="png.tEXt", field="parameters", offset=41, length=99),
        "generator": "Fog Machine",
        "excerpt": "excerpt of a field",
        "setup": setup,
    }
    return Evidence(**(made | fields))


def report(*evidence: Evidence, complete: bool = True, **fields: object) -> ProvenanceReport:
    """A report on these records."""
    summary = summarise(evidence, complete)
    made: dict[str, object] = {
        "file": FileFacts(sha256="ab" * 32, size=1234, format="png"),
        "evidence": evidence,
        "summary": summary,
        "completeness": "complete" if summary.complete else "partial",
        "environment": Environment(rempart="0"),
    }
    return ProvenanceReport(**(made | fields))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_sentence_says_what_a_picture_is_or_how_likely_that_is(lang: Language) -> None:
    """In either language; the one that speaks of the starting point is let through as it stands, and no other."""
    for name, text in spoken(lang):
        words = set(re.findall(r"\w+", text.replace(STARTING_POINT[lang], "").casefold()))
        assert not words & set(NEVER), name
        assert "%" not in text


def test_every_text_stands_in_both_languages_with_the_same_facts() -> None:
    """Nobody is told less for asking in French."""
    english, french = dict(spoken("en")), dict(spoken("fr"))
    assert english.keys() == french.keys()
    for name, text in english.items():
        facts = {field for _, field, _, _ in Formatter().parse(text) if field}
        assert facts == {field for _, field, _, _ in Formatter().parse(french[name]) if field}, name
        assert facts <= FACTS, name
        assert text.strip()
        assert text != french[name] or name in {"capture", "conflict", "composite"}, name


def test_every_strength_and_declaration_has_its_words() -> None:
    """The tables are whole."""
    words = sentences._words()
    assert set(words.support) == {str(strength) for strength in Strength}
    assert set(words.declared) == {str(declared) for declared in Declared}
    spoken_of = {f"declared_{one}" for one in Declared if one is not Declared.NONE}
    assert spoken_of <= set(words.sentence)


def test_nothing_found_is_said_in_the_fixed_words() -> None:
    """And only where everything could be read."""
    assert report().explain() == "no evidence of origin found; this is normal and means nothing"
    assert "means nothing" not in report(complete=False).explain()
    assert "this is normal" not in report(msgspec.structs.replace(record(), kind=FAILURE, claim="none")).explain()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_that_a_picture_may_have_been_the_start_is_said_first(lang: Language) -> None:
    """It is what matters most to whoever looks for a victim."""
    lines = report(record(cues=("load_image",))).explain(lang).splitlines()
    assert lines[0] == STARTING_POINT[lang]
    assert "[load_image]" in lines[-1]
    assert STARTING_POINT[lang] not in report(record()).explain(lang)


def test_ai_evidence_comes_with_the_reminder_that_it_is_no_reason_to_look_later() -> None:
    """No field shows that no child was involved."""
    assert "no reason to look later" in report(record()).explain()
    assert "no reason to look later" not in report().explain()


def test_who_vouches_is_part_of_each_sentence() -> None:
    """A name that no list vouches for is a quotation."""
    signed = {"kind": "c2pa.manifest", "claim": "trainedAlgorithmicMedia", "signer": "Harbour Signers"}
    untrusted = record(**signed, caveat="c2pa_untrusted", strength=Strength.SIGNED_INTACT)
    assert 'calling itself "Harbour Signers"' in sentence_of(untrusted)
    private = record(**signed, caveat="c2pa_private", integrity=Integrity(chain=Chain.PRIVATE, chain_name="our-list"))
    assert 'your own list "our-list"' in sentence_of(private)
    of_part = msgspec.structs.replace(private, kind="c2pa.ingredient")
    assert sentence_of(of_part).startswith("Of a picture that this one was made from: ")
    assert "anyone can write them" in sentence_of(record())
    expired = record(**signed, caveat="c2pa_interim", integrity=Integrity(time=SignedAt.EXPIRED_NO_STAMP))
    assert "has run out" in sentence_of(expired)
    assert "has run out" not in sentence_of(private)


def test_an_unknown_caveat_still_gives_a_sentence() -> None:
    """A reader of tomorrow must not break a report of today; missing facts are said to be missing."""
    assert "anyone can write" in sentence("caveat_of_tomorrow", where="png.tEXt")
    assert '"not named"' in sentence("c2pa_official", claim="x")
    assert "« non nommé »" in sentence("c2pa_official", "fr", claim="x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, naïve 灯台", "plain text, naïve 灯台"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("one\ntwo\r\x00", "one\\x0atwo\\x0d\\x00"),
        ("\u202eesrever\u2066", "\\u202eesrever\\u2066"),
        ("\x9b31m\u200b\ufeff", "\\x9b31m\\u200b\\ufeff"),
        ("half \ud800", "half \\ud800"),
        ("{signer} %s {0}", "{signer} %s {0}"),
    ],
)
def test_text_from_a_file_cannot_lead_a_terminal_or_an_eye_astray(text: str, expected: str) -> None:
    """Control characters, escape sequences, changes of direction, half characters."""
    assert shown(text) == expected
    assert expected in sentence("unsigned_label", generator=text, where="png.tEXt")


def test_long_text_is_cut_short() -> None:
    """A sentence stays one."""
    assert shown("fog" * 100) == ("fog" * 100)[:120] + "…"


def test_the_report_is_the_same_json_each_time_and_says_its_schema() -> None:
    """With the place of each record, to which the summary points."""
    whole = report(record(), record(generator="Mist"))
    told = json.loads(whole.to_json())
    assert whole.to_json() == report(record(), record(generator="Mist")).to_json()
    assert told == json.loads(json.dumps(whole.to_dict()))
    assert told["schema"] == 1
    assert [one["id"] for one in told["evidence"]] == [0, 1]
    assert set(told["summary"]) >= {"declared", "support", "by", "because", "priority_effect"}
    assert set(told["file"]) >= {"sha256", "size", "format", "format_mismatch"}
    assert told["completeness"] == "complete"


def test_a_redacted_report_has_no_prompts_and_no_names() -> None:
    """And says so; the software, the seed and the hash of a model stay, for series are found by them."""
    whole = report(record(cues=("lora",)))
    assert all(secret in whole.to_json().decode() for secret in SECRETS)
    redacted = whole.redacted()
    for text in (redacted.to_json().decode(), redacted.explain(), redacted.explain("fr")):
        assert not any(secret in text for secret in SECRETS)
    assert redacted.is_redacted
    assert redacted.summary == whole.summary
    setup = redacted.evidence[0].setup
    assert setup is not None
    assert (setup.software, setup.seed, setup.models[0].hash) == ("Fog Machine", "7", "abc123")


def test_an_explanation_never_repeats_a_prompt() -> None:
    """Redacted or not."""
    assert not any(secret in report(record()).explain() for secret in SECRETS)


def test_the_repr_of_a_report_and_of_its_parts_shows_nothing_of_the_file() -> None:
    """Whatever a log or a traceback prints."""
    whole = report(record())
    assert repr(whole) == "<ProvenanceReport ai_generated unsigned_structured, 1 records>"
    assert not any(secret in f"{whole.evidence!r} {whole.evidence[0].setup!r}" for secret in SECRETS)


def test_what_a_reader_gave_up_on_is_told_in_our_words_only() -> None:
    """A failure's words may quote the file, unless they are of a reader that never does."""
    ours = record(kind=FAILURE, claim="none", caveat="file_unread", reader="walk", excerpt=Reason.CRASH, setup=None)
    theirs = record(kind=FAILURE, claim="none", caveat="reader_failed", reader="comfy")
    unread = report(ours, theirs, reason=Reason.CRASH).redacted()
    assert [one.excerpt for one in unread.evidence] == ["crash", ""]
    assert "The file could not be examined (crash)." in unread.explain()
    assert unread.summary.declared is Declared.UNREADABLE


def test_a_report_lists_its_cues_once_and_sorted() -> None:
    """For tables and queues."""
    assert report(record(cues=("lora", "inpaint")), record(cues=("inpaint",))).cues == ("inpaint", "lora")
