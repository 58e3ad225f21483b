"""ComfyUI graphs: which texts a workflow draws towards and which away from, and what else it loads.

Two forms are read: the one that a server runs (``{"3": {"class_type": …, "inputs": …}}``, alone or under ``prompt``)
and the one that the editor saves (``{"nodes": […], "links": […]}``). Nodes of any kind may stand in a graph, so the
walk goes by the names of inputs: it follows all links from the end of the graph back, and an input named ``positive``
or ``negative`` settles what lies behind it. What is not clearly negative counts as positive.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from rempart.prompts.comfy_nodes import Link, Node, Nodes, api_nodes, editor_nodes

MAX_NODES = 100_000
"""Nodes that are read from one graph."""

MAX_CHARACTERS = 32_000_000
"""Length up to which a graph is read."""

_SIGNS = ('"class_type"', '"nodes"')
_WRAPPERS = ("prompt", "workflow", "extra_pnginfo", "extra_data")
_MAX_WRAPPED = 4

# Nodes of ComfyUI itself that take both conditionings and give a latent only, so what is behind them starts anew.
_SAMPLERS = frozenset({"KSampler", "KSamplerAdvanced", "SamplerCustom"})


class GraphProblem(StrEnum):
    """What is wrong with a graph; with one of the first four, nothing of it was read."""

    NOT_JSON = "not_json"
    NOT_A_GRAPH = "not_a_graph"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    ODD_PARTS = "odd_parts"
    """Some nodes or links are malformed, or a link leads to nowhere."""
    NO_SAMPLER = "no_sampler"
    """No input says what is positive, so all texts are."""
    CROSSED = "crossed"
    """What a node gives as negative is used as positive, so all texts behind it are positive."""


_UNREADABLE = frozenset(
    {GraphProblem.NOT_JSON, GraphProblem.NOT_A_GRAPH, GraphProblem.TOO_LARGE, GraphProblem.TOO_DEEP}
)


class GraphText(msgspec.Struct, frozen=True):
    """A text of a node."""

    text: str
    node: str
    """Id of the node."""
    field: str
    """Name of the input; ``widget N`` in the editor's form."""
    wired: bool
    """Whether an input named for this polarity leads to it; else it is positive because nothing says otherwise."""

    def __repr__(self) -> str:
        """The place alone: the text is a prompt."""
        return f"<GraphText of {len(self.text)} characters>"


class GraphModel(msgspec.Struct, frozen=True):
    """A model that a node loads."""

    kind: str
    """``lora``, ``embedding``, ``checkpoint`` or ``other``."""
    name: str
    node: str

    def __repr__(self) -> str:
        """The kind alone: names carry meaning."""
        return f"<GraphModel {self.kind}>"


class PromptGraph(msgspec.Struct, frozen=True, kw_only=True):
    """What a graph asks for; texts and models in the order of the nodes."""

    positive: tuple[GraphText, ...] = ()
    negative: tuple[GraphText, ...] = ()
    models: tuple[GraphModel, ...] = ()
    has_reference_image: bool = False
    """Whether a given picture goes into the drawing."""
    problems: tuple[GraphProblem, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether it was read; what was not read must not be allowed."""
        return _UNREADABLE.isdisjoint(self.problems)

    @property
    def positive_text(self) -> str:
        """All positive texts, one a line, so that concepts in two nodes meet."""
        return "\n".join(text.text for text in self.positive)

    @property
    def negative_text(self) -> str:
        """All negative texts, one a line."""
        return "\n".join(text.text for text in self.negative)

    def __repr__(self) -> str:
        """Counts and problems: the texts are prompts."""
        problems = ", ".join(self.problems) or "no problem"
        return f"<PromptGraph: {len(self.positive)} positive, {len(self.negative)} negative, {problems}>"


def looks_like_graph(text: str) -> bool:
    """Whether ``text`` is meant to be a graph, sound or not; takes one look at each character."""
    return text.lstrip("\ufeff \t\r\n").startswith("{") and any(sign in text for sign in _SIGNS)


def read_graph(source: str | bytes | Mapping[str, Any]) -> PromptGraph:
    """Read a graph; never fails on its content, and takes linear time.

    Args:
        source: the graph in either form, as JSON or parsed.

    Returns:
        What it asks for. When it could not be read, ``readable`` is false and ``problems`` says why.
    """
    content: object = source
    if isinstance(source, str | bytes):
        if len(source) > MAX_CHARACTERS:
            return PromptGraph(problems=(GraphProblem.TOO_LARGE,))
        try:
            # The standard parser, as in ComfyUI: it takes NaN, and of two equal keys it takes the last.
            content = json.loads(source)
        except RecursionError:
            return PromptGraph(problems=(GraphProblem.TOO_DEEP,))
        except ValueError:
            return PromptGraph(problems=(GraphProblem.NOT_JSON,))
    graph = _unwrapped(content)
    if graph is None:
        return PromptGraph(problems=(GraphProblem.NOT_A_GRAPH,))
    if len(graph) > MAX_NODES:
        return PromptGraph(problems=(GraphProblem.TOO_LARGE,))
    nodes, sound = api_nodes(graph)
    drawn, drawn_sound = editor_nodes(graph, "editor " if nodes else "")
    nodes |= drawn
    if len(nodes) > MAX_NODES:
        return PromptGraph(problems=(GraphProblem.TOO_LARGE,))
    return _result(nodes, sound=sound and drawn_sound)


def _unwrapped(content: object) -> Mapping[Any, Any] | None:
    """The object that holds the nodes, looked for in the fields in which servers and pictures keep it."""
    waiting = deque([content])
    for _ in range(_MAX_WRAPPED * len(_WRAPPERS)):
        if not waiting:
            return None
        value = waiting.popleft()
        if isinstance(value, str) and looks_like_graph(value):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return None
        if not isinstance(value, Mapping):
            continue
        if isinstance(value.get("nodes"), list) or any(
            isinstance(node, Mapping) and "class_type" in node for node in value.values()
        ):
            return value
        waiting.extend(value[name] for name in _WRAPPERS if name in value)
    return None


def _result(nodes: Nodes, *, sound: bool) -> PromptGraph:
    walk = _Walk(nodes)
    walk.run()
    positive: list[GraphText] = []
    negative: list[GraphText] = []
    for key, node in nodes.items():
        for name, text in node.texts:
            found = walk.found.get((key, name), _NOTHING)
            away = found == {_NEGATIVE}
            wired = away or bool(found & {_POSITIVE, _ALL})
            (negative if away else positive).append(GraphText(text, key, name, wired))
    used = {link.node for node in nodes.values() if not node.shows_picture for _, link in node.links}
    problems = [
        *([] if sound else [GraphProblem.ODD_PARTS]),
        *([] if walk.rooted else [GraphProblem.NO_SAMPLER]),
        *([GraphProblem.CROSSED] if walk.crossed else []),
    ]
    return PromptGraph(
        positive=tuple(positive),
        negative=tuple(negative),
        models=tuple(GraphModel(kind, name, key) for key, node in nodes.items() for kind, name in node.models),
        has_reference_image=any(nodes[key].loads_picture for key in used),
        problems=tuple(problems),
    )


# What the walk knows of what lies behind an input: nothing yet, a polarity, or that all of it is positive.
_OPEN, _POSITIVE, _NEGATIVE, _ALL = range(4)
_NOTHING: frozenset[int] = frozenset()


class _Walk:
    """A walk from the ends of a graph against its links; each node is entered at most once in each state."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.found: dict[tuple[str, str], set[int]] = {}
        """Node and field -> the states in which its text was reached."""
        self.rooted = False
        self.crossed = False
        self._entered: set[tuple[str, int]] = set()
        self._waiting: deque[tuple[str, int]] = deque()
        self._held: deque[str] = deque()
        self._outputs: dict[str, tuple[set[int], set[int]]] = {}  # node -> outputs used as positive, as negative

    def run(self) -> None:
        """Walk until nothing is left."""
        fed = {link.node for node in self.nodes.values() for _, link in node.links}
        for key in self.nodes:
            if key not in fed:
                self._enter(key, _OPEN)
        self._exhaust()
        # An input named for a polarity settles what lies behind it where no such input leads to its own node: what a
        # sampler draws away from is said at the sampler, not at a node before it that sorts its own inputs.
        sorting: list[str] = []
        while self._held:
            key = self._held.popleft()
            if self._is_used(key):
                continue
            sorting.append(key)
            self._follow(key, _POSITIVE, named_only=True)
            self._follow(key, _NEGATIVE, named_only=True)
            self._exhaust()
        # Nodes give what is positive before what is negative. Where that is used the other way round, or one output
        # as both, nothing behind it can be called negative; nor where a node was asked before the ones that use it.
        doubtful = [*filter(self._is_used, sorting)]
        for key, (positive, negative) in self._outputs.items():
            crossed = max(positive - negative, default=-1) > min(negative - positive, default=sys.maxsize)
            self.crossed |= crossed
            if crossed or positive & negative:
                doubtful.append(key)
        for key in doubtful:
            self._enter(key, _ALL)
        self._exhaust()

    def _is_used(self, key: str) -> bool:
        """Whether an input named for a polarity leads to this node."""
        return (key, _POSITIVE) in self._entered or (key, _NEGATIVE) in self._entered

    def _enter(self, key: str, state: int) -> None:
        if self.nodes[key].type in _SAMPLERS:
            state = _OPEN
        if (key, state) not in self._entered:
            self._entered.add((key, state))
            self._waiting.append((key, state))

    def _exhaust(self) -> None:
        while self._waiting:
            key, state = self._waiting.popleft()
            self._follow(key, state)
            if state == _OPEN and any(_polarity(name) for name, _ in self._inputs(self.nodes[key])):
                hold = self._held.appendleft if self.nodes[key].type in _SAMPLERS else self._held.append
                hold(key)

    @staticmethod
    def _inputs(node: Node) -> list[tuple[str, Link | str]]:
        return [*node.links, *node.texts]

    def _follow(self, key: str, state: int, *, named_only: bool = False) -> None:
        """Go on from a node in a state: through the inputs that say nothing, and those that say the same."""
        for name, source in self._inputs(self.nodes[key]):
            said = _polarity(name)
            if said != state and (said or named_only) and state != _ALL:
                continue
            if isinstance(source, str):
                self.found.setdefault((key, name), set()).add(state)
                continue
            self.rooted |= named_only
            goes_on = state
            if state == _OPEN and name.casefold().startswith("cond"):
                goes_on = _POSITIVE  # the one conditioning of a guider
                self.rooted = True
            if goes_on in {_POSITIVE, _NEGATIVE}:
                used = self._outputs.setdefault(source.node, (set(), set()))
                used[goes_on == _NEGATIVE].add(source.slot)
            self._enter(source.node, goes_on)


def _polarity(name: str) -> int:
    """What the name of an input says of what it takes."""
    folded = name.casefold()
    if "negative" in folded or folded in {"neg", "uncond"}:
        return _NEGATIVE
    return _POSITIVE if "positive" in folded or folded == "pos" else _OPEN
