"""ComfyUI: the graph that a picture carries, what it draws, and whether the picture is what it draws at all.

Two forms are written side by side: ``prompt``, which the server ran, and ``workflow``, which the editor shows. They
stand in text chunks of PNG; in Make, Model, ImageDescription or UserComment of other formats. A picture of the editor
itself carries them too.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rempart.prompts.comfy import GraphProblem, GraphText, PromptGraph, looks_like_graph, read_graph
from rempart.prompts.comfy_nodes import Nodes, api_nodes, editor_nodes
from rempart.provenance.detectors.canvas import Canvas, canvas_of, shows_editor
from rempart.provenance.detectors.texts import (
    Looking,
    Text,
    as_size,
    as_text,
    at_path,
    broken,
    finding,
    fits,
    payload,
    quoted,
)
from rempart.provenance.evidence import Evidence, ModelName, Setup, Strength

READER: Final = "comfy"

MAX_NODES: Final = 10_000
"""Nodes of all graphs of one file that are looked at."""

_MAX_PARTS = 200_000
"""Values of one graph, told by its commas: widgets and lists cost time too."""

_MAX_GRAPHS = 8
"""Graphs of one file that are read; pictures carry two. More are told."""

_MAX_LISTED = 200
"""Models, and files, of one graph that are named."""

# What a node's type says of a picture, or a person's face, that goes into the drawing.
_CUES: Final = (
    ("face_swap", re.compile(r"reactor|face.?swap|roop|inswapper|facefusion|live.?portrait", re.IGNORECASE)),
    (
        "face_id",
        re.compile(r"instant.?id|pulid|face.?id|photo.?maker|infinite.?you|ecom.?id|hyper.?lora", re.IGNORECASE),
    ),
    ("ip_adapter", re.compile(r"ip.?adapter|unclip|stylemodelapply|redux|referencelatent", re.IGNORECASE)),
    ("controlnet", re.compile(r"control.?net|t2i.?adapter|instructpixtopix|unioncontrol", re.IGNORECASE)),
    ("inpaint", re.compile(r"inpaint|outpaint", re.IGNORECASE)),
    ("mask", re.compile(r"setlatentnoisemask|loadimagemask|inpaint", re.IGNORECASE)),
)
_ENCODER = re.compile(r"vae.?encode|vaeencode|encode.*vae", re.IGNORECASE)
_DRAWER = re.compile(r"sampler|vae.?decode|empty.*latent", re.IGNORECASE)
_ENDING = re.compile(r"save|preview|output|combine|write|export", re.IGNORECASE)
_SAMPLER = re.compile(r"sampler|randomnoise|seed", re.IGNORECASE)
_FILE_FIELDS = ("image", "video", "file", "image_path", "path", "url", "mask")
_WIDGET = "widget"


def read(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """One record of what a server ran and what the editor shows, where both are there; one for each further graph."""
    run: list[tuple[Text, dict[str, Any]]] = []
    drawn: list[tuple[Text, dict[str, Any]]] = []
    seen: set[str] = set()
    nodes = 0
    for text in texts:
        if text.text in seen or not looks_like_graph(text.text):
            continue
        if len(seen) == _MAX_GRAPHS:
            yield broken(text, READER, "comfy.graph", "ComfyUI", "too_large")
            break
        seen.add(text.text)
        found = looking.json(text.text)
        if found.problem:
            yield broken(text, READER, "comfy.graph", "ComfyUI", found.problem)
        elif isinstance(found.value, dict):
            graph = _unwrapped(found.value)
            listed = graph.get("nodes")
            nodes += len(graph) + (len(listed) if isinstance(listed, list) else 0)
            if nodes > MAX_NODES or text.text.count(",") > _MAX_PARTS:
                yield broken(text, READER, "comfy.graph", "ComfyUI", "too_large")
            elif any(isinstance(node, dict) and "class_type" in node for node in graph.values()):
                run.append((text, graph))
            elif _is_drawn(graph):
                drawn.append((text, graph))
    for at in range(max(len(run), len(drawn))):
        yield _one(run[at] if at < len(run) else None, drawn[at] if at < len(drawn) else None, looking)


def _unwrapped(graph: dict[str, Any]) -> dict[str, Any]:
    """The graph within the object that some writers put around it."""
    for name in ("prompt", "workflow"):
        inner = graph.get(name)
        if isinstance(inner, dict) and "class_type" not in graph and "nodes" not in graph and "inputs" not in inner:
            return inner
    return graph


def _is_drawn(graph: dict[str, Any]) -> bool:
    """Whether this is the editor's form, and not the graph of another program that has nodes too."""
    nodes = graph.get("nodes")
    subgraphs = at_path(graph, "definitions.subgraphs")
    return (
        isinstance(nodes, list)
        and ("links" in graph or "last_node_id" in graph)
        and (bool(nodes) or bool(subgraphs))
        and all("id" in node and "type" in node for node in nodes[:8] if isinstance(node, dict))
    )


def _one(
    run: tuple[Text, dict[str, Any]] | None, drawn: tuple[Text, dict[str, Any]] | None, looking: Looking
) -> Evidence:
    text, source = run or drawn  # type: ignore[misc]  # one of the two is given
    graph = read_graph(source)
    if not graph.readable:
        return broken(text, READER, "comfy.graph", "ComfyUI", "not_json")
    nodes = api_nodes(source)[0] if run else editor_nodes(source)[0]
    canvas = canvas_of(source if run else None, drawn[1] if drawn else None)
    cues, files = _given(nodes, source, graph, ran=run is not None)
    setup = _setup(source, graph, canvas, files, ran=run is not None)
    if shows_editor(looking.view, canvas, ran=run is not None):
        return finding(
            text,
            READER,
            "comfy.editor",
            "screenCapture",
            Strength.UNSIGNED_LABEL,
            "editor_picture",
            generator="ComfyUI",
            cues=cues,
            setup=setup,
        )
    sizes = canvas.sizes
    whole = (
        graph.problems in {(), (GraphProblem.CROSSED,)}
        and _reaches_end(nodes)
        and (not sizes or any(fits(looking.view, width, height) for width, height in sizes))
    )
    extra = source.get("extraMetadata")
    if run and isinstance(extra, str):
        return payload(text, READER, "civitai.parameters", _civitai(extra, setup, looking), whole=whole, cues=cues)
    return payload(text, READER, "comfy.graph", setup, whole=whole, cues=cues)


def _civitai(extra: str, setup: Setup, looking: Looking) -> Setup:
    """The set-up that Civitai writes beside the graph that it ran."""
    said = looking.json_object(extra)
    prompt, negative = said.get("prompt"), said.get("negativePrompt")
    return Setup(
        software="Civitai",
        prompt=prompt if isinstance(prompt, str) else setup.prompt,
        negative=negative if isinstance(negative, str) else setup.negative,
        seed=as_text(said.get("seed")) or setup.seed,
        sampler=as_text(said.get("sampler")) or setup.sampler,
        width=as_size(said.get("width")) or setup.width,
        height=as_size(said.get("height")) or setup.height,
        models=setup.models,
        files=setup.files,
    )


def _setup(
    source: Mapping[str, Any], graph: PromptGraph, canvas: Canvas, files: tuple[str, ...], *, ran: bool
) -> Setup:
    seed, sampler = _drawn_by(source, ran=ran)
    width, height = canvas.sizes[0] if canvas.sizes else (0, 0)
    version = at_path(source, "extra.frontendVersion") or at_path(source, "extra_info.version")
    return Setup(
        software="ComfyUI",
        version=as_text(version),
        prompt=_joined([part for part in graph.positive if part.wired] or list(graph.positive)),
        negative=_joined(list(graph.negative)) or None,
        seed=seed,
        sampler=sampler,
        width=width,
        height=height,
        models=tuple(
            dict.fromkeys(
                ModelName(
                    kind="controlnet" if "control" in model.name.casefold() and model.kind == "other" else model.kind,
                    name=quoted(model.name),
                )
                for model in graph.models[:_MAX_LISTED]
            )
        ),
        files=files,
    )


def _joined(parts: list[GraphText]) -> str:
    """The texts, one a line; one that stands in several fields counts once."""
    return "\n".join(dict.fromkeys(part.text.strip() for part in parts if part.text.strip()))


def _given(
    nodes: Nodes, source: Mapping[str, Any], graph: PromptGraph, *, ran: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What says that somebody gave a picture, and the names of the files that were."""
    cues: list[str] = []
    types = {node.type for node in nodes.values()}
    for cue, sign in _CUES:
        if any(sign.search(kind) for kind in types):
            cues.append(cue)
    if any(model.kind == "lora" for model in graph.models):
        cues.append("lora")
    if graph.has_reference_image:
        cues.append("load_image")
    loaders = {key for key, node in nodes.items() if node.loads_picture}
    encoders = {key for key, node in nodes.items() if _ENCODER.search(node.type)}
    # What is encoded was given, unless it was drawn before by the same graph and nothing given went into it.
    if encoders & _behind(nodes, loaders) or encoders - _behind(
        nodes, {key for key, node in nodes.items() if _DRAWER.search(node.type)}
    ):
        cues.append("img2img")
    files = (
        _files(source, loaders)
        if ran
        else [text for key in loaders for _, text in (*nodes[key].texts, *nodes[key].models)] or _drawn_files(source)
    )
    return tuple(cues), tuple(dict.fromkeys(quoted(name) for name in files))[:_MAX_LISTED]


def _behind(nodes: Nodes, sources: set[str]) -> set[str]:
    """The nodes that take what some nodes give, directly or through others."""
    takers: dict[str, list[str]] = {}
    for key, node in nodes.items():
        for name, link in node.links:
            if name not in {"vae", "model", "clip"}:
                takers.setdefault(link.node, []).append(key)
    found: set[str] = set()
    waiting = deque(sources)
    while waiting:
        for key in takers.get(waiting.popleft(), ()):
            if key not in found:
                found.add(key)
                waiting.append(key)
    return found


def _files(source: Mapping[str, Any], loaders: set[str]) -> list[str]:
    """The files that loading nodes name, in the form that a server runs."""
    found: list[str] = []
    for key, value in source.items():
        inputs = value.get("inputs") if isinstance(value, dict) else None
        if key in loaders and isinstance(inputs, dict):
            found.extend(inputs[name] for name in _FILE_FIELDS if isinstance(inputs.get(name), str))
    return found


def _drawn_files(source: Mapping[str, Any]) -> list[str]:
    """The files that loading nodes name, in the editor's form: the first widget."""
    found: list[str] = []
    nodes = source.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and re.search(r"load.?(?:image|video)", str(node.get("type")), re.IGNORECASE):
            values = node.get("widgets_values")
            first = values[0] if isinstance(values, list) and values else None
            if isinstance(first, str):
                found.append(first)
    return found


def _drawn_by(source: Mapping[str, Any], *, ran: bool) -> tuple[str, str]:
    """The seed and the sampler of the first node that states them."""
    seed = sampler = ""
    for kind, fields in _fields(source, ran=ran):
        if not _SAMPLER.search(kind):
            continue
        for name in ("seed", "noise_seed", _WIDGET):
            value = fields.get(name)
            if isinstance(value, list) and ran and len(value) == 2:  # noqa: PLR2004 -- a link: node and output
                linked = at_path(source.get(str(value[0])), "inputs")
                value = (
                    next((inner for inner in linked.values() if type(inner) is int), None)
                    if isinstance(linked, dict)
                    else None
                )
            if not seed and isinstance(value, int) and not isinstance(value, bool):
                seed = as_text(value)
        sampler = sampler or as_text(fields.get("sampler_name"))
    return seed, sampler


def _fields(source: Mapping[str, Any], *, ran: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The type and fields of each node; of the editor's form the first number that a sampler states, its seed."""
    if ran:
        for value in source.values():
            if isinstance(value, dict) and isinstance(value.get("inputs"), dict):
                yield str(value.get("class_type")), value["inputs"]
        return
    nodes = source.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        values = node.get("widgets_values") if isinstance(node, dict) else None
        if isinstance(values, list):
            number = next((value for value in values if type(value) is int), None)
            names = [value for value in values if isinstance(value, str)]
            sampler = names[1] if len(names) > 1 and "KSampler" in str(node.get("type")) else ""
            yield str(node.get("type")), {_WIDGET: number, "sampler_name": sampler}


def _reaches_end(nodes: Nodes) -> bool:
    """Whether something that is drawn or loaded is stored or shown at the end."""
    fed = {link.node for node in nodes.values() for _, link in node.links}
    return any(key not in fed and node.links and _ENDING.search(node.type) for key, node in nodes.items())
