from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import ConfigError, Reason
from rempart.prompts import Answer
from rempart.prompts.scorers import Panel, ScorerSettings, ScorerUnavailable, Scores, merge
from rempart.prompts.scorers.merge import SECOND_SIGNAL

RANK = [Answer.ALLOW, Answer.REVIEW, Answer.REFUSE]


def rated(**probabilities: float) -> Scores:
    """A rating by nobody."""
    return Scores("m", "d", probabilities, 0.1)


def remote(**changes: object) -> ScorerSettings:
    """Settings of a remote scorer."""
    return msgspec.convert({"kind": "llama_guard", **changes}, ScorerSettings)


LOCAL = ScorerSettings(kind="local")
AWAY = ScorerUnavailable("m", "network")

results = st.builds(
    Scores,
    st.just("m"),
    st.just("d"),
    st.dictionaries(st.sampled_from(["violation", "minor", "other"]), st.floats(0, 1)),
    st.just(0.1),
) | st.builds(ScorerUnavailable, st.just("m"), st.sampled_from(["network", "timeout", "answer", "error"]))
settings = st.builds(
    ScorerSettings,
    kind=st.sampled_from(["llama_guard", "safeguard", "shieldgemma", "local"]),
    threshold=st.floats(0.01, 1),
    when_violation=st.sampled_from(["review", "refuse"]),
    when_unavailable=st.sampled_from(["ignore", "review"]),
)


@given(
    st.sampled_from(RANK), st.lists(st.tuples(settings, results), max_size=4), st.sets(st.sampled_from([SECOND_SIGNAL]))
)
def test_whatever_scorers_say_a_verdict_never_gets_milder_and_all_they_said_is_kept(
    verdict: Answer, given_results: list[tuple[ScorerSettings, Scores | ScorerUnavailable]], concepts: set[str]
) -> None:
    """A change of the verdict always has a reason, and more ratings never lead to less."""
    merged = merge(verdict, given_results, concepts)
    assert RANK.index(merged.verdict) >= RANK.index(verdict)
    assert merged.notes == tuple(result for _, result in given_results)
    assert merged.verdict == verdict or merged.reasons
    fewer = merge(verdict, given_results[:-1], concepts)
    assert RANK.index(merged.verdict) >= RANK.index(fewer.verdict)


@pytest.mark.parametrize(
    ("policy", "result", "concepts", "verdict", "reasons"),
    [
        (remote(), rated(violation=0.49), (), "allow", ()),
        (remote(), rated(violation=0.5), (), "review", (Reason.SCORER,)),
        (remote(when_violation="refuse"), rated(violation=1.0), (), "refuse", (Reason.SCORER,)),
        (remote(threshold=0.9), rated(violation=0.8), (), "allow", ()),
        (remote(), AWAY, (), "review", (Reason.SCORER_UNAVAILABLE,)),
        (remote(when_unavailable="ignore"), AWAY, (), "allow", (Reason.SCORER_UNAVAILABLE,)),
        (LOCAL, rated(minor=1.0), (), "allow", ()),
        (LOCAL, rated(minor=1.0), ("sexual.nudity",), "allow", ()),
        (LOCAL, rated(minor=0.5), (SECOND_SIGNAL,), "review", (Reason.SCORER,)),
        (LOCAL, rated(minor=0.4), (SECOND_SIGNAL,), "allow", ()),
        (
            ScorerSettings(kind="local", when_violation="refuse"),
            rated(minor=1.0),
            (SECOND_SIGNAL,),
            "review",
            (Reason.SCORER,),
        ),
    ],
)
def test_a_rating_does_what_its_scorers_settings_say(
    policy: ScorerSettings,
    result: Scores | ScorerUnavailable,
    concepts: tuple[str, ...],
    verdict: str,
    reasons: tuple[Reason, ...],
) -> None:
    """The weak local signal counts only beside a second one, and then for a review at the most."""
    merged = merge(Answer.ALLOW, [(policy, result)], concepts)
    assert (merged.verdict, merged.reasons) == (verdict, reasons)


def test_results_can_be_stored_and_read_back() -> None:
    """They go into the record of a verdict."""
    for result in (rated(violation=0.25), AWAY):
        text = msgspec.json.encode(result)
        assert msgspec.json.decode(text, type=Scores | ScorerUnavailable) == result


def test_no_scorer_is_the_default_and_then_nothing_is_loaded() -> None:
    """Neither numpy nor a network client, and a verdict passes as it is."""
    panel = Panel()
    assert not panel
    for answer in RANK:
        merged = panel.judge(answer, "a lighthouse")
        assert (merged.verdict, merged.reasons, merged.notes) == (answer, (), ())
    code = (
        "import sys, rempart.prompts.scorers as s; s.Panel(); "
        "print([m for m in ('numpy', 'httpcore2', 'tokenizers', 'ssl') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["local", "llama_guard"])
def test_settings_that_do_not_fit_the_scorer_stop_the_start(kind: str) -> None:
    """A remote scorer without an address, a local one with one."""
    with pytest.raises(ConfigError, match="scorer"):
        Panel([msgspec.convert({"kind": kind, "model": "m"}, ScorerSettings)])
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": kind, "treshold": 0.5}, ScorerSettings)
