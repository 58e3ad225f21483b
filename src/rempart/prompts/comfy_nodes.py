"""ComfyUI graphs as they are written: the nodes of both forms, with their links, texts and models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_MODEL_FILE = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)\Z", re.IGNORECASE)
_MODEL_FIELD = re.compile(r"(?i:_name\d*\Z|\A(?:lora|lyco|ckpt|checkpoint|model|unet|vae|clip|embedding|hypernet))")

# Fields that choose how to draw, not what.
_SETTINGS = frozenset(
    (
        *("sampler_name", "sampler", "scheduler", "filename_prefix", "weight_dtype", "device", "upload", "crop"),
        *("upscale_method", "channel", "control_after_generate", "add_noise", "return_with_leftover_noise"),
    )
)

# Nodes of ComfyUI itself whose widgets hold no text for the model. The editor's form does not name its widgets.
_WORDLESS = re.compile(
    r"(?:KSampler(?:Advanced|Select)?|SamplerCustom(?:Advanced)?|\w*Scheduler|RandomNoise|ModelSampling\w*"
    r"|(?:Checkpoint|UNET|CLIP|DualCLIP|TripleCLIP|VAE|Lora|ControlNet|DiffControlNet|UpscaleModel|ImageOnlyCheckpoint"
    r"|CLIPVision|StyleModel|Hypernetwork)Loader(?:Simple|ModelOnly)?|(?:Save|Preview|Load)Image(?:Mask)?"
    r"|Empty\w*Latent\w*|Image(?:Scale|UpscaleWithModel)\w*|Latent\w+|VAE(?:De|En)code\w*|Note|MarkdownNote)"
)
_PICTURE_LOADER = re.compile(r"(?i:load.?(?:image|video)|image.?load|(?:image|picture).?(?:from|input|base64))")
_PICTURE_SHOWER = re.compile(r"(?:preview|save).?image", re.IGNORECASE)


_ENORMOUS = 1 << 64
_LINK_LENGTH = 5  # id, node and output it comes from, node and input it goes to; newer ones add the type


class Link(NamedTuple):
    """An output of another node."""

    node: str
    slot: int


@dataclass(slots=True)
class Node:
    """A node of either form."""

    type: str
    links: list[tuple[str, Link]] = field(default_factory=list)
    """Name of the input, and what feeds it."""
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Name of the field, and a text for the model in it."""
    models: list[tuple[str, str]] = field(default_factory=list)
    """Kind and name of what it loads: ``lora``, ``embedding``, ``checkpoint`` or ``other``."""

    def add(self, name: str, text: str) -> None:
        """Take up a string of a field: a model, a text, or a setting that is left out."""
        if _MODEL_FILE.search(text) and "\n" not in text:
            self.models.append((self._kind(name), text))
            if _MODEL_FIELD.search(name):
                return
        if text and name not in _SETTINGS and not _WORDLESS.fullmatch(self.type):
            self.texts.append((name, text))

    @property
    def loads_picture(self) -> bool:
        """Whether its output is a picture that somebody gave."""
        return _PICTURE_LOADER.search(self.type) is not None

    @property
    def shows_picture(self) -> bool:
        """Whether it only stores or shows what it gets."""
        return _PICTURE_SHOWER.search(self.type) is not None

    def _kind(self, name: str) -> str:
        said = f"{name} {self.type}".casefold()
        for kind, signs in (
            ("lora", ("lora", "lyco")),
            ("embedding", ("embedding", "hypernet", "textual")),
            ("other", ("vae", "clip", "control", "upscale")),
            ("checkpoint", ("ckpt", "checkpoint", "unet", "model", "diffusion")),
        ):
            if any(sign in said for sign in signs):
                return kind
        return "other"


Nodes = dict[str, Node]

_NOWHERE = Link("\0", 0)  # no id of a node can be this one, because it is dropped with all that lead to no node


def api_nodes(graph: Mapping[Any, Any]) -> tuple[Nodes, bool]:
    """The nodes of the form that a server runs; and whether all of it was understood."""
    given = {_text(key): value for key, value in graph.items() if isinstance(value, Mapping) and "class_type" in value}
    nodes: Nodes = {}
    whole = True
    for key, value in given.items():
        inputs = value.get("inputs")
        node = nodes[key] = Node(_text(value["class_type"]))
        whole &= isinstance(inputs, Mapping)
        for name, content in inputs.items() if isinstance(inputs, Mapping) else ():
            link = _api_link(content)
            if link and link.node in given:
                node.links.append((_text(name), link))
                continue
            whole &= link is None
            for text in _strings(content):
                node.add(_text(name), text)
    return nodes, whole


def editor_nodes(graph: Mapping[Any, Any], prefix: str = "") -> tuple[Nodes, bool]:
    """The nodes of the form that the editor saves, those of subgraphs too; and whether all of it was understood.

    Args:
        graph: the graph.
        prefix: what to put before the ids.
    """
    nodes: Nodes = {}
    whole = True
    for within, part in _parts(graph):
        place = prefix + within
        listed = part.get("nodes")
        table, sound = _table(part.get("links"), place)
        whole &= sound
        for value in listed if isinstance(listed, list) else ():
            if not isinstance(value, Mapping) or "id" not in value:
                whole = False
                continue
            node = nodes.setdefault(f"{place}{_text(value['id'])}", Node(_text(value.get("type"))))
            inputs = value.get("inputs")
            for entry in inputs if isinstance(inputs, list) else ():
                if isinstance(entry, Mapping) and entry.get("link") is not None:
                    link = table.get(_text(entry["link"]), _NOWHERE)
                    node.links.append((_text(entry.get("name")), link))
            for name, text in _widgets(value.get("widgets_values")):
                node.add(name, text)
    for node in nodes.values():
        known = [(name, link) for name, link in node.links if link.node in nodes]
        whole &= len(known) == len(node.links)
        node.links = known
    return nodes, whole


def _parts(graph: Mapping[Any, Any]) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """The graph, and the subgraphs that it defines, each with what tells its ids from the others'."""
    yield "", graph
    definitions = graph.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    for number, part in enumerate(subgraphs if isinstance(subgraphs, list) else ()):
        if isinstance(part, Mapping):
            yield f"{number}/", part


def _table(links: object, place: str) -> tuple[dict[str, Link], bool]:
    """The links of the editor's form by their ids, written as lists or as objects."""
    table: dict[str, Link] = {}
    whole = True
    for entry in links if isinstance(links, list) else ():
        if isinstance(entry, list) and len(entry) >= _LINK_LENGTH:
            key, origin, slot = entry[:3]
        elif isinstance(entry, Mapping):
            key, origin, slot = entry.get("id"), entry.get("origin_id"), entry.get("origin_slot")
        else:
            whole = False
            continue
        table[_text(key)] = Link(f"{place}{_text(origin)}", slot if isinstance(slot, int) else 0)
    return table, whole


def _api_link(content: object) -> Link | None:
    if isinstance(content, list) and len(content) == 2:  # noqa: PLR2004 -- the pair of a node and its output
        node, slot = content
        if isinstance(node, str | int) and isinstance(slot, int) and not isinstance(slot, bool):
            return Link(_text(node), slot)
    return None


def _widgets(values: object) -> Iterator[tuple[str, str]]:
    """The strings among the widgets of a node, with a name for the field."""
    if isinstance(values, Mapping):
        named = [(_text(name), value) for name, value in values.items()]
    else:
        named = [(f"widget {at}", value) for at, value in enumerate(values if isinstance(values, list) else ())]
    for name, value in named:
        for text in _strings(value):
            yield name, text


def _strings(content: object) -> Iterator[str]:
    """All strings in a value, in order, however deep."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(reversed(list(value.values())))
        elif isinstance(value, list | tuple):
            waiting.extend(reversed(value))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    # Python refuses to write out enormous integers; no id is one.
    return str(value) if isinstance(value, float) or (isinstance(value, int) and abs(value) < _ENORMOUS) else ""
