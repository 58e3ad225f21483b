"""Targets of the room prompts: what reads the text of people who may want to get past.

Words come from the canary packs alone.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Final

import msgspec

from fuzz.target import Target, file_of, text_of
from rempart.errors import Reason
from rempart.net.client import Response
from rempart.prompts import MAX_CHARACTERS, Answer, PromptScreener
from rempart.prompts.comfy import looks_like_graph, read_graph
from rempart.prompts.fold import MAX_UNFOLDED, fold
from rempart.prompts.pack import SHIPPED
from rempart.prompts.ratings import ScorerUnavailable
from rempart.prompts.scorers.dialects import DIALECTS
from rempart.prompts.scorers.remote import RemoteScorer
from rempart.prompts.syntax import SYNTAXES, View, scan
from rempart.prompts.tokens import tokenize
from rempart.settings import ScorerSettings

_REPR: Final = re.compile(r"<PromptVerdict (allow|review|refuse): [a-z, -]+; \d+ concepts, \d+ ages>")


def folded(data: bytes) -> None:
    """Folding again changes nothing, and every piece of the folded text came from a span of the raw one."""
    raw = text_of(data)
    result = fold(raw)
    assert fold(result.text).text == result.text
    assert len(result.text) <= MAX_UNFOLDED * len(raw)
    at = 0
    for start, end in tokenize(result.text).spans:
        first, last = result.span(start, end)
        assert at <= first < last <= len(raw)
        at = first


def scanned(data: bytes) -> None:
    """In every syntax, all that the views show stands in the prompt where they say, and segments leave no gap."""
    raw = text_of(data)
    for syntax in SYNTAXES:
        found = scan(raw, syntax)
        assert found.literal.text == raw
        for view in (found.joined, found.spaced, found.negative, found.options):
            _shows(view, raw)
        texts = [part for part in found.segments if part.kind == "text"]
        assert [part.start for part in texts[1:]] == [part.end for part in texts[:-1]]
        assert not raw or (texts[0].start, texts[-1].end) == (0, len(raw))
        assert all(0 <= part.start <= part.end <= len(raw) for part in found.segments)
        assert repr(found) == f"<Scanned prompt of {len(raw)} characters>"


def screened(data: bytes) -> None:
    """Every text has a verdict, none is let through unscreened, spans lie in their fields, a ``repr`` tells nothing."""
    prompt, negative, *rest = [text_of(part) for part in data.split(b"\0", 3)] + [""] * (3 - data.count(b"\0"))
    styles, names = rest[:1], rest[1:2]
    verdict = _screener().screen(prompt, negative, styles=styles, names=names)
    graph = read_graph(prompt) if looks_like_graph(prompt) else None
    if Reason.ERROR in verdict.reasons:
        # The screen catches what its parts raise and refuses; here that is a defect, but for graphs it cannot read.
        assert graph is not None
        assert not graph.readable
    if {Reason.ERROR, Reason.TOO_LONG} & set(verdict.reasons):
        assert verdict.verdict is not Answer.ALLOW
    elif graph is None:
        fields = {"prompt": prompt, "negative": negative, "style": styles[0], "name": names[0]}
        assert sum(map(len, fields.values())) <= MAX_CHARACTERS
        for hit in (*verdict.concepts, *verdict.ages):
            assert 0 <= hit.start < hit.end <= len(fields[hit.field])
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=type(verdict)) == verdict
    assert _REPR.fullmatch(repr(verdict)), "a repr tells more than the rules and counts"


def graph(data: bytes) -> None:
    """Any bytes are a graph or say why they are none; every text is told on one side only, and as it stands there."""
    read = read_graph(data)
    texts = [*read.positive, *read.negative]
    if not read.readable:
        assert not texts
        return
    # A text may stand escaped, or inside a text that is itself a graph, but a graph never grows by being read.
    assert sum(len(one.text) for one in texts) <= len(data)
    assert {(one.node, one.field) for one in read.positive}.isdisjoint((one.node, one.field) for one in read.negative)
    assert read_graph(text_of(data)).readable or not data.isascii()


def scorer_answer(data: bytes) -> None:
    """What a scorer answers is understood or is not; a probability is one."""
    for scorer in _scorers():
        scorer._client = _Host(data)  # type: ignore[assignment]
        result = scorer.score("a lighthouse")
        if isinstance(result, ScorerUnavailable):
            assert result.reason == "answer", "the scorer catches what its parts raise; here that is a defect"
        else:
            assert all(0.0 <= probability <= 1.0 for probability in result.probabilities.values())


class _Host:
    """Stands in for the host of a scorer."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def request(self, *_: object, **__: object) -> Response:
        """The answer."""
        return Response(200, self._content)


@cache
def _scorers() -> list[RemoteScorer]:
    policy = str(file_of("policy", b"Nothing but lighthouses."))
    return [
        RemoteScorer(
            ScorerSettings(
                kind=kind, url="https://example.org/v1", model="m", policy_file=policy if dialect.needs_policy else ""
            )
        )
        for kind, dialect in DIALECTS.items()
    ]


def _shows(view: View, raw: str) -> None:
    origins = view.origins
    if origins is None:
        assert view.text in {raw, ""} or len(view.text) == len(raw)
        return
    assert len(origins) == len(view.text)
    for char, origin in zip(view.text, origins, strict=True):
        assert char == " " or char == raw[origin]  # a gap, or what stands there


@cache
def _screener() -> PromptScreener:
    return PromptScreener("canary")


@cache
def _forms() -> tuple[bytes, ...]:
    """The words of the canary packs, each by itself."""
    packs = sorted((SHIPPED / "canary").glob("*.jsonl"))
    lines = [json.loads(line) for path in packs for line in path.read_text().splitlines()]
    return tuple(form.encode() for line in lines for form in line.get("forms", ()))


def _prompts() -> list[bytes]:
    texts = (
        "a lighthouse by the sea, (storm:1.2), [gulls|boats] --ar 16:9",
        "{2$$rain|fog} over __places__ <lora:harbour:0.8> BREAK 1.5::waves:: -1::crowd::",
        "a harbour ### people, text",
        "a map /* a remark */ of the coast # and more",
        "a keeper, 34 years old, (age: 61), \u0433\u043e\u0434 twelve",
        "s e a &#115;ea %73ea \uff53\uff45\uff41 s\u0335e\u0335a\u0335 \u200bsea\u202e",
        "\u3042\u304b\u308a \u706f\u53f0 \ub4f1\ub300 10\u6b73",
        '("sea", "fog").blend(.5, .5) gulls++ rain-- \\(sky\\)',
    )
    words = [b"a picture with " + form for form in _forms()]
    return [text.encode() for text in texts] + words + [b"sea\0fog\0oil painting\0harbour.safetensors"]


def _graphs() -> list[bytes]:
    text = {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse", "clip": ["4", 1]}}
    served = {
        "3": {"class_type": "KSampler", "inputs": {"positive": ["6", 0], "negative": ["7", 0], "seed": 1}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "harbour.safetensors"}},
        "6": text,
        "7": text,
        "8": {"class_type": "Combine", "inputs": {"a": ["8", 0], "b": ["3", 0], "conditioning": ["6", 1]}},
    }
    nodes = [
        {"id": 1, "type": "CLIPTextEncode", "widgets_values": ["a harbour"], "inputs": [{"name": "clip", "link": 9}]},
        {"id": 2, "type": "KSampler", "inputs": [{"name": "positive", "link": 7}, {"name": "negative", "link": 8}]},
    ]
    links = [[7, 1, 0, 2, 1, "CONDITIONING"], {"id": 8, "origin_id": 2, "origin_slot": 0}]
    drawn = {"nodes": nodes, "links": links, "definitions": {"subgraphs": [{"nodes": nodes, "links": links}]}}
    whole = (served, drawn, {"prompt": served}, {"extra_data": {"extra_pnginfo": {"workflow": json.dumps(drawn)}}})
    broken = [b'{"nodes":[[[', b'{"a":{"class_type":NaN}}']
    return [*broken, *(json.dumps(one).encode() for one in (*whole, served | drawn))]


def _answers() -> list[bytes]:
    tokens = [{"token": "Yes", "logprob": -0.1, "top_logprobs": [{"token": "no", "logprob": -2}]}]
    choices = [
        {"message": {"content": content}, "finish_reason": "stop", "logprobs": {"content": tokens}}
        for content in ("safe", "unsafe\nS4, S1", '{"violation": 1}', None)
    ]
    return [json.dumps({"choices": [choice]}).encode() for choice in choices]


_MARKS = (
    *rb"( ) [ ] { } <lora: :1.2) :: | --no ### /* */ __ $$ -1:: .blend( ++ -- \\ &#x73; %73 12 twelve".split(),
    *(mark.encode() for mark in ("\u200b", "\u0335", "\u6b73", "\u202e", "\ufdfa", "\uff53", "\u0433\u043e\u0434")),
    *(b" AND ", b" BREAK ", b"years old", b"age: ", b" 12 ", b"\0"),
)
_KEYS = tuple(
    f'"{key}"'.encode()
    for key in (
        *("class_type", "inputs", "nodes", "links", "prompt", "workflow", "id", "type", "name", "link", "text"),
        *("positive", "negative", "conditioning", "widgets_values", "definitions", "subgraphs", "origin_id"),
    )
)

TARGETS: Final = {
    "fold": Target(folded, _prompts, _MARKS),
    "scan": Target(scanned, _prompts, _MARKS),
    "screen": Target(screened, lambda: [*_prompts(), *_graphs()], (*_MARKS, *_forms()), longest=9000),
    "comfy": Target(graph, _graphs, _KEYS, longest=16384),
    "scorer_answer": Target(scorer_answer, _answers, (b'"content"', b'"safe"', b"S4", b'"violation"', b'"token"')),
}
