"""How large a picture comes out of a ComfyUI graph, and whether a picture is rather one of the editor itself.

A picture of the node editor may carry the graph that it shows. What a file says of that is its size: a graph states
the sizes that it draws, a decoder gives whole multiples of 8, and the editor's nodes stand at places whose bounds have
the shape of the picture.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from rempart.provenance.detectors.texts import as_size, same_shape
from rempart.provenance.fields import FileView

_STEP = 8
"""A latent pixel stands for so many in each direction."""

_LEAST = 64
_TITLE = 30
"""Height of a node's title, which stands above its place."""

_LIKE = 0.2
"""How far, as a logarithm, the shape of the nodes' bounds may be from that of a picture of them."""

_MAX_SIZES = 64

# A size in these nodes is not one that is drawn.
_OTHER_SIZES = re.compile(r"textencode|conditioningset|mask(?!.*image)|guid", re.IGNORECASE)
_JOINS = r"(?:crop|pad|stitch|composite|grid|concat|join|collage|border)"
_RESIZES = re.compile(rf"image.*{_JOINS}|{_JOINS}.*image|stitch|collage", re.IGNORECASE)


class Canvas(NamedTuple):
    """What a graph says of sizes."""

    sizes: tuple[tuple[int, int], ...]
    """All that are stated for pictures, in the order of the nodes."""
    resizes: bool
    """Whether some node may make a picture of a size that is not stated."""
    bounds: tuple[float, float] | None
    """Width and height of the area in which the editor shows its nodes; None where it was not saved."""


def canvas_of(run: Mapping[str, Any] | None, drawn: Mapping[str, Any] | None) -> Canvas:
    """The sizes of a graph in the form that a server runs, or else in the editor's; and the editor's bounds."""
    stated = list(_run_sizes(run) if run is not None else _drawn_sizes(drawn or {}))
    sizes = tuple(dict.fromkeys(size for _, size in stated))[:_MAX_SIZES]
    types = (
        [str(node.get("class_type")) for node in run.values() if isinstance(node, Mapping)]
        if run is not None
        else [str(node.get("type")) for node in _listed(drawn or {})]
    )
    return Canvas(sizes, any(_RESIZES.search(kind) for kind in types), _bounds(drawn) if drawn is not None else None)


def shows_editor(view: FileView, canvas: Canvas, *, ran: bool) -> bool:
    """Whether a picture cannot be what its graph draws, and has the looks of one of the editor.

    Copies of what was drawn may be smaller, cut out, or larger in the same shape; they are not meant. Without the
    editor's form there is nothing to say that anybody looked at an editor.
    """
    width, height = view.width, view.height
    if canvas.bounds is None or width <= 0 or height <= 0:
        return False
    if any(same_shape(width, height, *size) for size in canvas.sizes):
        return False
    if canvas.sizes and width <= max(w for w, _ in canvas.sizes) and height <= max(h for _, h in canvas.sizes):
        return False
    if min(width, height) < _LEAST:
        return False
    alike = abs(math.log(width / height * canvas.bounds[1] / canvas.bounds[0])) <= _LIKE
    decoded = width % _STEP == 0 and height % _STEP == 0
    if not canvas.sizes:
        return not decoded and (alike or not ran)
    if decoded:
        return alike and not canvas.resizes
    return alike or not canvas.resizes


def _run_sizes(graph: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    for node in graph.values():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if isinstance(inputs, Mapping):
            kind = str(node.get("class_type"))
            size = _number(graph, inputs.get("width")), _number(graph, inputs.get("height"))
            if min(size) >= _LEAST and not _OTHER_SIZES.search(kind):
                yield kind, size


def _number(graph: Mapping[str, Any], value: object) -> int:
    """A size, or the one that the node states to which a link leads."""
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 -- a link: node and output
        node = graph.get(str(value[0]))
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(inputs, Mapping):
            return 0
        value = next((inputs[name] for name in ("value", "int", "number", "Number") if name in inputs), None)
    return as_size(value)


def _drawn_sizes(graph: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Two whole multiples of 8 side by side among a node's widgets, which have no names in this form."""
    for node in _listed(graph):
        values = node.get("widgets_values")
        kind = str(node.get("type"))
        if not isinstance(values, list) or _OTHER_SIZES.search(kind):
            continue
        for first, second in itertools.pairwise(values):
            if type(first) is int and type(second) is int:
                size = as_size(first), as_size(second)
                if min(size) >= _LEAST and size[0] % _STEP == 0 and size[1] % _STEP == 0:
                    yield kind, size
                    break


def _listed(graph: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes of the editor's form, those of subgraphs too."""
    definitions = graph.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    for part in (graph, *(subgraphs if isinstance(subgraphs, list) else ())):
        nodes = part.get("nodes") if isinstance(part, Mapping) else None
        yield from (node for node in (nodes if isinstance(nodes, list) else ()) if isinstance(node, Mapping))


_MOST: Final = 1e7


def _bounds(graph: Mapping[str, Any]) -> tuple[float, float] | None:
    left = top = math.inf
    right = bottom = -math.inf
    nodes = graph.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        place, size = (_pair(node.get(name)) for name in ("pos", "size")) if isinstance(node, Mapping) else (None, None)
        if place and size:
            left, top = min(left, place[0]), min(top, place[1] - _TITLE)
            right, bottom = max(right, place[0] + size[0]), max(bottom, place[1] + size[1])
    if not (0 < right - left < _MOST and 0 < bottom - top < _MOST):
        return None
    return right - left, bottom - top


def _pair(value: object) -> tuple[float, float] | None:
    """Two numbers, written as a list or as an object with the keys 0 and 1."""
    if isinstance(value, Mapping):
        value = [value.get("0"), value.get("1")]
    if not isinstance(value, list) or len(value) < 2:  # noqa: PLR2004 -- a pair
        return None
    first, second = value[:2]
    if (
        isinstance(first, int | float)
        and isinstance(second, int | float)
        and abs(first) < _MOST
        and abs(second) < _MOST
    ):
        return float(first), float(second)
    return None
