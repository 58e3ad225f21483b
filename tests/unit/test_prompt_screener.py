"""The screen: rules, spans, limits, and what must never be shown."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from rempart.errors import PackError, Reason
from rempart.prompts import MAX_CHARACTERS, SPECIMEN_TOKEN, Answer, ConceptHit, PromptScreener, screener


@pytest.fixture(scope="module")
def canary() -> PromptScreener:
    """A screener whose words are neutral stand-ins."""
    return PromptScreener("canary")


@pytest.mark.parametrize(
    ("prompt", "answer", "rules"),
    [
        ("a zebra under a lantern", Answer.REFUSE, ("floor",)),
        ("a lantern" + " and a chair" * 600 + " and a zebra", Answer.REFUSE, ("floor",)),
        ("a friend, 12 years old, under a lantern", Answer.REFUSE, ("floor",)),
        ("a 12 year old whisky under a lantern", Answer.ALLOW, ()),
        ("a friend, 40 years old, under a lantern", Answer.ALLOW, ()),
        ("a friend, 30 months old, under a lantern", Answer.REFUSE, ("floor",)),
        ("an owl under a lantern", Answer.REFUSE, ("ambiguous",)),
        ("a 40-year-old owl under a lantern", Answer.REFUSE, ("ambiguous",)),
        ("an owl and a zebra under a lantern", Answer.REFUSE, ("floor", "ambiguous")),
        ("a zebra beside a mast", Answer.REFUSE, ("nudity",)),
        ("an owl beside a mast", Answer.ALLOW, ()),
        ("1owl under a lantern", Answer.ALLOW, ()),
        ("a zebra crossing under a lantern", Answer.ALLOW, ()),
        ("a zebra with a bell pepper", Answer.ALLOW, ()),
        ("a zebra, 12 years old, and a wren", Answer.ALLOW, ()),
        ("a lantern, a lamp and a mast", Answer.ALLOW, ()),
        ("a red bicycle against a wall", Answer.ALLOW, ()),
        ("", Answer.ALLOW, ()),
    ],
)
def test_rules_join_concepts_at_any_distance(
    canary: PromptScreener, prompt: str, answer: Answer, rules: tuple[str, ...]
) -> None:
    """The strictest rule that fires gives the verdict, all that fire are named, one concept alone is allowed."""
    verdict = canary.screen(prompt)
    assert (verdict.verdict, verdict.rules) == (answer, rules)
    assert verdict.reasons == ((Reason.CONCEPTS_JOINED,) if rules else ())
    assert not verdict.specimen


def test_spans_index_the_prompt_as_it_was_given(canary: PromptScreener) -> None:
    """Hits carry concept, term, view and the place in the raw text, in the order of the prompt."""
    prompt = "\u200bLAN\u00adTERNS & \uff3a\uff25\uff22\uff32\uff21, aged 9"
    verdict = canary.screen(prompt)
    assert verdict.concepts == (
        ConceptHit("sexual.explicit", "lantern", 1, 10, "exact", language="en"),
        ConceptHit("minor.explicit", "zebra", 13, 18, "exact", language="en"),
    )
    assert [prompt[age.start : age.end] for age in verdict.ages] == ["aged 9"]


def test_words_in_the_negative_prompt_are_no_evidence(canary: PromptScreener) -> None:
    """Who asks for less of a concept is not refused for naming it, nor does that excuse the prompt itself."""
    assert canary.screen("a lantern", negative="zebra, wren, aged 9").verdict == Answer.ALLOW
    assert canary.screen("a zebra under a lantern", negative="zebra, lantern").verdict == Answer.REFUSE


@pytest.mark.parametrize("packs", ["en", "canary"])
def test_every_screener_catches_the_specimen(packs: str) -> None:
    """The token is refused with any packs, in any case, and flagged; a longer word that holds it is not it."""
    screen = PromptScreener(packs).screen
    for prompt in (SPECIMEN_TOKEN, f"a boat, {SPECIMEN_TOKEN.upper()}, at sea", f"boat_{SPECIMEN_TOKEN}"):
        verdict = screen(prompt)
        assert (verdict.verdict, verdict.reasons, verdict.specimen) == (Answer.REFUSE, (Reason.SPECIMEN,), True)
    assert screen(f"{SPECIMEN_TOKEN}s").verdict == Answer.ALLOW


def test_the_specimen_does_not_hide_what_else_is_there(canary: PromptScreener) -> None:
    """With the specimen beside them, joined concepts are still named."""
    verdict = canary.screen(f"zebra lantern {SPECIMEN_TOKEN}")
    assert verdict.reasons == (Reason.CONCEPTS_JOINED, Reason.SPECIMEN)
    assert verdict.rules == ("floor",)


def test_a_prompt_that_is_too_long_is_refused(canary: PromptScreener) -> None:
    """Up to the limit a prompt is screened, past it refused, ten megabytes as well; the negative part likewise."""
    assert canary.screen("a" * MAX_CHARACTERS).verdict == Answer.ALLOW
    for prompt, negative in (("a" * (MAX_CHARACTERS + 1), ""), ("a " * 5_000_000, ""), ("", "a" * 8_001)):
        verdict = canary.screen(prompt, negative)
        assert (verdict.verdict, verdict.reasons) == (Answer.REFUSE, (Reason.TOO_LONG,))
        assert verdict.packs_digest == canary.lexicon.digest


def test_lone_surrogates_and_nul_are_screened_like_any_text(canary: PromptScreener) -> None:
    """Text that no encoding can hold is neither an error nor a way around."""
    assert canary.screen("\ud800 a boat \udfff\x00").verdict == Answer.ALLOW
    assert canary.screen("\ud800zebra\udfff lan\x00tern").verdict == Answer.REFUSE


def test_a_failure_inside_refuses_and_says_nothing_of_the_text(
    canary: PromptScreener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever breaks, the answer is refuse with the reason error, and no log holds the prompt."""

    def broken(text: str) -> None:
        raise ValueError(text)

    monkeypatch.setattr(screener, "fold", broken)
    verdict = canary.screen("a quiet boat")
    assert (verdict.verdict, verdict.reasons) == (Answer.REFUSE, (Reason.ERROR,))
    assert not caplog.records


@pytest.mark.parametrize("wrong", [None, b"a boat", 7, ["a boat"]])
def test_what_is_not_a_text_is_a_type_error(canary: PromptScreener, wrong: object) -> None:
    """A caller's mistake is told as such, without the value."""
    with pytest.raises(TypeError, match="a prompt is a str"):
        canary.screen(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a prompt is a str"):
        canary.screen("a boat", wrong)  # type: ignore[arg-type]


def test_no_repr_repeats_the_prompt(canary: PromptScreener) -> None:
    """A verdict, its hits and its record can be logged: neither words nor terms stand in the repr."""
    verdict = canary.screen("a Zebra under two Lanterns, aged 9")
    shown = repr(verdict) + repr(verdict.concepts) + str(verdict) + repr(verdict.ages)
    assert "zebra" not in shown.lower()
    assert "lantern" not in shown.lower()
    assert repr(verdict) == "<PromptVerdict refuse: floor; 2 concepts, 1 ages>"
    assert b"Lanterns" not in msgspec.json.encode(verdict)


def test_a_verdict_is_frozen_and_survives_its_encoding(canary: PromptScreener) -> None:
    """It can be stored as JSON and read again, and nobody changes it on the way."""
    verdict = canary.screen("a zebra under a lantern, aged 9")
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=type(verdict)) == verdict
    with pytest.raises(AttributeError):
        verdict.verdict = Answer.ALLOW  # type: ignore[misc]


def test_one_screener_serves_many_threads(canary: PromptScreener) -> None:
    """The same prompts get the same answers when eight threads ask at once."""
    prompts = ["a zebra under a lantern", "an owl", "\uff3a\uff25\uff22\uff32\uff21 lamp", "a boat"] * 200
    expected = [canary.screen(prompt) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(canary.screen, prompts)) == expected


def test_a_screener_without_packs_does_not_start() -> None:
    """No packs, no screening: the start fails, so that nothing is allowed unseen."""
    with pytest.raises(PackError):
        PromptScreener("nowhere")


def test_importing_the_screen_is_light() -> None:
    """The screen needs neither numpy nor a database."""
    code = "import sys, rempart.prompts; print(sorted({'numpy', 'sqlalchemy', 'click', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
