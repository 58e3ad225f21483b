"""The whole screen on canaries: fields, syntaxes, workflows, disguises, who is governed by an adult, and the record."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import Reason, UsageError
from rempart.prompts import Answer, PromptScreener
from rempart.prompts.verdict import PromptVerdict
from rempart.settings import PromptSettings

SCREENER = PromptScreener("canary")
KEY = b"sixteen bytes ok"


def screen(prompt: str, negative: str = "", **fields: object) -> PromptVerdict:
    """The verdict of the canary screen."""
    return SCREENER.screen(prompt, negative, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "prompt",
    [
        "(ze)(bra:1.2) beside a [boat:lantern:0.95]",
        "{a zebra|a boat} by the sea, <lora:old_lantern_v2:0.8>",
        "a ze/**/bra, lan/* x */tern",
        "a boat ### zebra lantern",
        "a zebra --no lantern",
        "z e b r a and l-a-n-t-e-r-n",
        "a z\u0435br\u0430 and a l4ntern",
        "a zeebbra and a lannnntern",
        "a \u24e9\u24d4\u24d1\u24e1\u24d0 and a &#108;&#97;&#110;tern",
        "a myZebraScene with aLantern",
        "a zeb\nra near a lan tern",
        "a telescoep and a kingfihser",
        "a zebra with a lantern (fish:0)",
    ],
)
def test_however_it_is_typed_a_joined_prompt_is_refused(prompt: str) -> None:
    """Weights, schedules, choices, comments, names, look-alikes, digits, repeats, codes, splits, one letter off."""
    verdict = screen(prompt)
    assert (verdict.verdict, "floor" in verdict.rules) == (Answer.REFUSE, True)


def test_a_named_front_end_settles_what_is_negative() -> None:
    """What it never shows the model is no evidence; what may be shown by another front-end is."""
    assert screen("a zebra --no lantern", syntax="midjourney").verdict is Answer.ALLOW
    assert screen("a zebra ### lantern", syntax="horde").verdict is Answer.ALLOW
    assert screen("a zebra ### lantern", syntax="midjourney").verdict is Answer.REFUSE
    with pytest.raises(UsageError, match="midjourney"):
        screen("a boat", syntax="unheard-of")


def test_an_adult_noun_or_age_governs_the_word_beside_it_and_no_other() -> None:
    """Hit by hit: one owl beside an elm does not speak for another."""
    assert screen("an elm owl with a lantern").rules == ("ambiguous-adult",)
    assert screen("an owl, an elm, and a lantern").rules == ("ambiguous",)
    assert screen("an elm owl with a lantern, another owl").rules == ("ambiguous", "ambiguous-adult")


def test_context_calms_nudity_and_nothing_else() -> None:
    """To review, never to allow; disguised words of context calm nobody."""
    assert screen("a zebra on a mast").verdict is Answer.REFUSE
    assert screen("a zebra on a mast, an easel").verdict is Answer.REVIEW
    assert screen("a zebra on a mast, an e4sel").verdict is Answer.REFUSE
    assert screen("a zebra with a lantern, an easel").verdict is Answer.REFUSE
    assert screen("a zebra on a mast, an easel").context == ("context.art",)


def test_styles_and_names_of_models_are_screened_with_the_prompt() -> None:
    """They steer the picture as the prompt does; each hit says where it stands."""
    verdict = screen("a zebra", styles=["soft light, lantern glow"])
    assert (verdict.verdict, {hit.field for hit in verdict.concepts}) == (Answer.REFUSE, {"prompt", "style"})
    assert screen("a zebra", names=["Lantern-XL_v3.safetensors"]).verdict is Answer.REFUSE
    assert screen("a zebra", names=["sailing_boats"], styles=["oil painting"]).verdict is Answer.ALLOW


def test_excluding_adults_from_a_prompt_is_looked_at() -> None:
    """The swap trick: words for adults in the negative prompt, beside an explicit one in the prompt."""
    assert screen("a lantern", negative="elm, cedar").rules == ("swap",)
    assert screen("a boat", negative="elm, cedar").verdict is Answer.ALLOW


def test_a_reference_picture_is_recorded_and_judged_by_nobody_here() -> None:
    """Text cannot screen a picture; policy must know that there is one."""
    assert screen("a boat", has_reference_image=True).has_reference_image is True
    assert screen("a boat").has_reference_image is False


def graph(positive: str, negative: str) -> str:
    """A small ComfyUI workflow."""
    nodes = {
        "1": {"class_type": "CLIPTextEncode", "inputs": {"text": positive, "clip": ["4", 1]}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": negative, "clip": ["4", 1]}},
        "3": {"class_type": "KSampler", "inputs": {"positive": ["1", 0], "negative": ["2", 0], "model": ["4", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "boats.safetensors"}},
    }
    return json.dumps(nodes)


def test_a_workflow_is_walked_for_its_positive_and_negative_texts() -> None:
    """What the sampler draws towards is evidence, what it draws away from is not."""
    assert screen(graph("a zebra by a lantern", "fog")).verdict is Answer.REFUSE
    assert screen(graph("a zebra", "a lantern")).verdict is Answer.ALLOW
    assert screen(graph("a boat", "a zebra by a lantern")).verdict is Answer.ALLOW


def test_a_workflow_that_cannot_be_read_is_refused() -> None:
    """Broken JSON, or nesting without end: never allowed."""
    for broken in (graph("a boat", "fog")[:-3], '{"nodes": ' + "[" * 100_000):
        verdict = screen(broken)
        assert verdict.verdict is Answer.REFUSE
        assert verdict.reasons[0] in (Reason.ERROR, Reason.TOO_LONG)


def test_policy_may_send_prompts_that_are_too_long_to_review_and_never_allow_them(tmp_path: Path) -> None:
    """And an overlay may lower some rules, within limits."""
    settings = PromptSettings(packs="canary", too_long="review")
    assert PromptScreener.of(settings).screen("a" * 9_000).verdict is Answer.REVIEW
    with pytest.raises(ValueError, match="never allowed"):
        PromptScreener("canary", too_long=Answer.ALLOW)
    overlay = tmp_path / "mine.toml"
    overlay.write_text('version = "1"\nlower = [{rule = "ambiguous", to = "review"}]\n', encoding="utf-8")
    lowered = PromptScreener.of(PromptSettings(packs="canary", overlays=(str(overlay),)))
    assert lowered.screen("an owl by a lantern").verdict is Answer.REVIEW
    assert lowered.screen("a zebra by a lantern").verdict is Answer.REFUSE
    assert lowered.rules.digest != SCREENER.rules.digest


def test_a_record_holds_a_keyed_hash_in_the_place_of_the_text() -> None:
    """The same prompt under the same key gives the same hash, and nothing of the prompt can be read from it."""
    prompt = "a quiet zebra beside a lantern \ud800"
    record = screen(prompt).record(prompt, KEY)
    assert record == screen(prompt).record(prompt, KEY)
    assert b"quiet" not in msgspec.json.encode(record)
    assert record["prompt_hmac_sha256"] != screen(prompt).record(prompt, KEY + b"x")["prompt_hmac_sha256"]
    assert {"verdict", "rules", "packs_digest", "rules_digest", "rempart"} <= set(record)
    with pytest.raises(ValueError, match="at least 16 bytes"):
        screen(prompt).record(prompt, b"short")


@given(st.text(max_size=300), st.text(max_size=60))
def test_any_text_gets_a_verdict_whose_spans_lie_inside_it(prompt: str, negative: str) -> None:
    """Never an exception, never the reason error: that would mean that a stage broke."""
    verdict = screen(prompt, negative)
    assert Reason.ERROR not in verdict.reasons
    lengths = {"prompt": len(prompt), "negative": len(negative)}
    for hit in (*verdict.concepts, *verdict.ages):
        assert 0 <= hit.start < hit.end <= lengths[hit.field]
