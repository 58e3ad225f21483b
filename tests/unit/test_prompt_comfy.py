"""ComfyUI graphs: what is positive, what is negative, what is loaded, and what cannot be read."""

from __future__ import annotations

import csv
import gc
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from rempart.prompts.comfy import (
    MAX_CHARACTERS,
    MAX_NODES,
    GraphProblem,
    GraphText,
    PromptGraph,
    looks_like_graph,
    read_graph,
)

Graph = dict[str, Any]


def node(kind: str, **inputs: object) -> Graph:
    """A node of the form that a server runs."""
    return {"class_type": kind, "inputs": inputs}


def text(content: object) -> Graph:
    """A node that encodes a text."""
    return node("CLIPTextEncode", text=content)


def sampled(**nodes: Graph) -> Graph:
    """A whole graph around some nodes: a sampler that takes ``good`` and ``bad``, a loader, a decoder, a saver."""
    return {
        "save": node("SaveImage", images=["decode", 0], filename_prefix="picture"),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["loader", 2]),
        "sampler": node(
            "KSampler", positive=["good", 0], negative=["bad", 0], latent_image=["empty", 0], sampler_name="euler"
        ),
        "empty": node("EmptyLatentImage", width=512, height=512),
        "loader": node("CheckpointLoaderSimple", ckpt_name="base.safetensors"),
        **nodes,
    }


def texts(found: tuple[GraphText, ...]) -> list[str]:
    """The texts alone, sorted."""
    return sorted(part.text for part in found)


def test_the_sampler_says_what_is_positive() -> None:
    """Texts follow the inputs of the sampler; settings are no texts."""
    graph = read_graph(sampled(good=text("sea"), bad=text("fog")))
    assert graph.positive == (GraphText("sea", "good", "text", wired=True),)
    assert graph.negative == (GraphText("fog", "bad", "text", wired=True),)
    assert (graph.positive_text, graph.negative_text) == ("sea", "fog")
    assert [(model.kind, model.name) for model in graph.models] == [("checkpoint", "base.safetensors")]
    assert graph.problems == ()
    assert graph.readable
    assert not graph.has_reference_image


@pytest.mark.parametrize(
    "nodes",
    [
        {"good": node("ConditioningCombine", conditioning_1=["a", 0], conditioning_2=["b", 0])},
        {"good": node("ConditioningConcat", conditioning_to=["a", 0], conditioning_from=["b", 0])},
        {"good": node("Reroute", **{"": ["c", 0]}), "c": node("Unheard Of", one=["a", 0], two=["b", 0])},
        {"good": node("FluxGuidance", conditioning=["c", 0]), "c": node("ControlNetApply", x=["a", 0], y=["b", 0])},
        {"good": node("CLIPTextEncodeSDXL", text_g="sea", text_l="ship")},
        {"good": node("CLIPTextEncodeFlux", clip_l="sea", t5xxl="ship")},
        {
            "good": text(["c", 0]),
            "c": node("StringConcatenate", string_a="sea", string_b=["d", 0]),
            "d": node("S", value="ship"),
        },
        {"good": node("Unheard Of", lines=[{"on": True, "deep": ["sea", ["ship"]]}])},
        {"good": node("Pair", pair=["sea", 0, 1], other=["ship", "0"])},
    ],
)
def test_texts_are_found_behind_any_node(nodes: dict[str, Graph]) -> None:
    """Combinations, strings, nodes of any name: all that leads to the positive input is positive."""
    graph = read_graph(sampled(a=text("sea"), b=text("ship"), bad=text("fog"), **nodes))
    assert {"sea", "ship"} <= set(texts(graph.positive))
    assert texts(graph.negative) == ["fog"]


def test_nodes_that_take_both_pass_each_on() -> None:
    """A node between the texts and the sampler gives what is positive first and what is negative second."""
    both = node("ControlNetApplyAdvanced", positive=["a", 0], negative=["b", 0], image=["picture", 0])
    nodes = sampled(a=text("sea"), b=text("fog"), both=both, picture=node("LoadImage", image="ship.png"))
    nodes["sampler"]["inputs"] |= {"positive": ["both", 0], "negative": ["both", 1], "latent_image": ["both", 2]}
    graph = read_graph(nodes)
    assert (texts(graph.positive), texts(graph.negative)) == (["sea"], ["fog"])
    assert graph.has_reference_image
    assert graph.problems == ()


def test_fields_of_one_node_may_be_of_both_kinds() -> None:
    """A loader with both texts in it, and a guider, are understood by the names of their inputs."""
    loader = node("Efficient Loader", ckpt_name="a.ckpt", positive="sea", negative="fog")
    nodes = sampled(all=loader)
    nodes["sampler"]["inputs"] |= {"model": ["all", 0], "positive": ["all", 1], "negative": ["all", 2]}
    graph = read_graph(nodes)
    assert (texts(graph.positive), texts(graph.negative)) == (["sea"], ["fog"])
    guided = {
        "save": node("SaveImage", images=["sampler", 0]),
        "sampler": node("SamplerCustomAdvanced", guider=["guider", 0]),
        "guider": node("CFGGuider", positive=["a", 0], negative=["b", 0]),
        "a": text("sea"),
        "b": text("fog"),
    }
    graph = read_graph(guided)
    assert (texts(graph.positive), texts(graph.negative)) == (["sea"], ["fog"])
    guided["guider"] = node("BasicGuider", conditioning=["a", 0])
    graph = read_graph(guided)
    assert [(part.text, part.wired) for part in graph.positive] == [("sea", True), ("fog", False)]


def test_a_second_sampler_behind_the_first_is_read_like_the_first() -> None:
    """What a sampler draws away from stays negative when its picture is used by the next one."""
    nodes = sampled(good=node("Stage", conditioning=["a", 0], stage=["first", 0]), a=text("sea"), bad=text("fog"))
    nodes["first"] = node("KSampler", positive=["a", 0], negative=["c", 0])
    nodes["c"] = text("rain")
    graph = read_graph(nodes)
    assert (texts(graph.positive), texts(graph.negative)) == (["sea"], ["fog", "rain"])


@pytest.mark.parametrize(
    ("positive", "negative", "crossed"),
    [(["both", 1], ["both", 0], True), (["both", 1], ["bad", 0], False), (["both", 1], ["both", 1], False)],
)
def test_swapped_outputs_hide_nothing(positive: list[object], negative: list[object], *, crossed: bool) -> None:
    """What a node gives as negative is positive where the sampler takes it for that."""
    for both in (
        node("ControlNetApplyAdvanced", positive=["a", 0], negative=["b", 0]),
        node("Texts", positive="red", negative="ship"),
    ):
        nodes = sampled(a=text("sea"), b=text("ship"), bad=text("fog"), both=both)
        nodes["sampler"]["inputs"] |= {"positive": positive, "negative": negative, "latent_image": ["both", 2]}
        graph = read_graph(nodes)
        assert "ship" in texts(graph.positive)
        assert (GraphProblem.CROSSED in graph.problems) == crossed


def test_a_node_that_is_shown_too_hides_nothing() -> None:
    """Another end of the graph, nearer to a node, does not settle what the sampler takes from it."""
    both = node("ControlNetApplyAdvanced", positive=["a", 0], negative=["b", 0])
    nodes = {"show": node("ShowAnything", x=["both", 2])} | sampled(
        a=text("sea"), b=text("ship"), bad=text("fog"), both=both
    )
    nodes["sampler"]["inputs"]["positive"] = ["both", 1]
    assert "ship" in texts(read_graph(nodes).positive)


def test_what_no_walk_reaches_is_positive() -> None:
    """Texts in loose nodes, in rings and behind links to nowhere count."""
    graph = read_graph(
        sampled(
            good=text("sea"),
            bad=text("fog"),
            loose=text("ship"),
            ring=node("Ring", next=["ring", 0], said="red"),
            broken=text(["nowhere", 0]),
        )
    )
    assert [(part.text, part.wired) for part in graph.positive] == [
        ("sea", True),
        ("ship", False),
        ("red", False),
        ("nowhere", False),
    ]
    assert texts(graph.negative) == ["fog"]
    assert graph.problems == (GraphProblem.ODD_PARTS,)


def test_a_text_on_both_sides_is_positive() -> None:
    """One node that feeds both inputs draws towards its text."""
    nodes = sampled(good=text("sea"))
    nodes["sampler"]["inputs"]["negative"] = ["good", 0]
    graph = read_graph(nodes)
    assert (texts(graph.positive), texts(graph.negative), graph.problems) == (["sea"], [], ())


@pytest.mark.parametrize(
    ("kind", "name", "inputs"),
    [
        ("lora", "ship_v2.safetensors", {"lora_name": "ship_v2.safetensors"}),
        ("lora", "ship.safetensors", {"lora_1": {"on": True, "lora": "ship.safetensors", "strength": 1}}),
        ("checkpoint", "ship.gguf", {"unet_name": "ship.gguf"}),
        ("embedding", "ship.pt", {"hypernetwork_name": "ship.pt"}),
        ("other", "ship.pth", {"control_net_name": "ship.pth"}),
    ],
)
def test_models_are_named(kind: str, name: str, inputs: Graph) -> None:
    """The names of loaded files are told, and are no texts."""
    graph = read_graph(sampled(good=text("sea"), bad=text("fog"), more=node("Load", **inputs)))
    assert (kind, name) in [(model.kind, model.name) for model in graph.models]
    assert texts(graph.positive) == ["sea"]


def test_a_name_in_a_text_is_both() -> None:
    """A text that ends with an embedding's file stays a text."""
    graph = read_graph(sampled(good=text("sea, embedding:ship.pt"), bad=text("")))
    assert texts(graph.positive) == ["sea, embedding:ship.pt"]
    assert graph.models[-1].name == "sea, embedding:ship.pt"


def test_a_given_picture_that_is_only_shown_is_no_reference() -> None:
    """It counts once something but a preview takes it."""
    nodes = sampled(good=text("sea"), bad=text("fog"), picture=node("LoadImage", image="ship.png"))
    nodes["show"] = node("PreviewImage", images=["picture", 0])
    assert not read_graph(nodes).has_reference_image
    nodes["encode"] = node("VAEEncode", pixels=["picture", 0])
    assert read_graph(nodes).has_reference_image


def editor(*, subgraph: bool = False) -> Graph:
    """A workflow as the editor saves it."""
    nodes = [
        {"id": 1, "type": "SaveImage", "inputs": [{"name": "images", "link": 10}], "widgets_values": ["picture"]},
        {
            "id": 2,
            "type": "KSampler",
            "inputs": [{"name": "positive", "link": 11}, {"name": "negative", "link": 12}, {"name": "x", "link": None}],
            "widgets_values": [7, "randomize", "euler"],
        },
        {"id": 3, "type": "CLIPTextEncode", "inputs": [{"name": "text", "link": 13}], "widgets_values": ["red"]},
        {"id": "4", "type": "CLIPTextEncode", "widgets_values": {"text": "fog"}},
        {"id": 5, "type": "PrimitiveNode", "outputs": [{"links": [13]}], "widgets_values": ["sea", "fixed"]},
        {"id": 6, "type": "Note", "widgets_values": ["how to use this"]},
    ]
    links: list[object] = [
        [10, 2, 0, 1, 0, "IMAGE"],
        [11, 3, 0, 2, 1, "CONDITIONING"],
        {"id": 12, "origin_id": "4", "origin_slot": 0, "target_id": 2, "target_slot": 2},
        [13, 5, 0, 3, 0, "STRING"],
    ]
    whole = {"nodes": nodes, "links": links}
    return {"nodes": [], "links": [], "definitions": {"subgraphs": [whole]}} if subgraph else whole


@pytest.mark.parametrize("subgraph", [False, True])
def test_the_form_of_the_editor_is_read(*, subgraph: bool) -> None:
    """Links by number, in lists or objects, widgets without names, subgraphs; notes are no prompts."""
    graph = read_graph(json.dumps(editor(subgraph=subgraph)))
    assert texts(graph.positive) == ["fixed", "red", "sea"]
    assert texts(graph.negative) == ["fog"]
    assert graph.problems == ()


@pytest.mark.parametrize("wrapper", ["prompt", "workflow"])
def test_graphs_are_found_where_servers_and_pictures_keep_them(wrapper: str) -> None:
    """Inside of an object, parsed or as JSON in JSON."""
    nodes = sampled(good=text("sea"), bad=text("fog"))
    for content in (
        {wrapper: nodes},
        {wrapper: json.dumps(nodes)},
        {"extra_data": {"extra_pnginfo": {wrapper: nodes}}},
    ):
        assert texts(read_graph(json.dumps(content).encode()).negative) == ["fog"]


def test_both_forms_in_one_object_are_both_read() -> None:
    """Nodes of one form do not hide those of the other."""
    graph = read_graph(editor() | {"3": text("ship")})
    assert texts(graph.positive) == ["fixed", "red", "sea", "ship"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", GraphProblem.NOT_JSON),
        ("{", GraphProblem.NOT_JSON),
        ('{"a": ' + "1" * 5000 + "}", GraphProblem.NOT_JSON),
        (b"\xff\xfe{", GraphProblem.NOT_JSON),
        ("[" * (20 * sys.getrecursionlimit()), GraphProblem.TOO_DEEP),
        ("[]", GraphProblem.NOT_A_GRAPH),
        ("{}", GraphProblem.NOT_A_GRAPH),
        ('"sea"', GraphProblem.NOT_A_GRAPH),
        ('{"nodes": 3, "1": {"inputs": {}}}', GraphProblem.NOT_A_GRAPH),
        ('{"prompt": "{\\"nodes\\": ["}', GraphProblem.NOT_A_GRAPH),
        (" " * (MAX_CHARACTERS + 1), GraphProblem.TOO_LARGE),
        ({str(key): {"class_type": "A"} for key in range(MAX_NODES + 1)}, GraphProblem.TOO_LARGE),
        ({"nodes": [{"id": key} for key in range(MAX_NODES + 1)]}, GraphProblem.TOO_LARGE),
    ],
    ids=lambda value: value.value if isinstance(value, GraphProblem) else "",
)
def test_what_is_no_graph_is_said(source: str | bytes | Graph, problem: GraphProblem) -> None:
    """Nothing is read, and the result says so."""
    graph = read_graph(source)
    assert graph == PromptGraph(problems=(problem,))
    assert not graph.readable


@pytest.mark.parametrize(
    ("said", "graph"), [('{"1": {"class_type": ', True), ('\n{"nodes"', True), ("{sea|ship}", False)]
)
def test_a_graph_is_told_from_a_prompt(said: str, *, graph: bool) -> None:
    """By how it begins and what it names, so that a broken one is not taken for a prompt."""
    assert looks_like_graph(said) == graph


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "b", "0", "sea", "\ud800", "1" * 99]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "a",
                    "b",
                    "0",
                    "class_type",
                    "inputs",
                    "nodes",
                    "links",
                    "id",
                    "type",
                    "link",
                    "name",
                    "positive",
                    "negative",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "0", "nodes", "links", "prompt", "definitions"]), JUNK))
def test_no_content_breaks_the_reading(content: Graph) -> None:
    """Wrong types anywhere give a result."""
    assert isinstance(read_graph(content), PromptGraph)


KEYS = ("a", "b", "c", "d", "e")
LINKS = st.tuples(st.sampled_from(KEYS), st.integers(0, 2)).map(list)
NODES = st.builds(
    node,
    st.sampled_from(["KSampler", "CLIPTextEncode", "Reroute", "ControlNetApplyAdvanced"]),
    positive=LINKS,
    negative=LINKS,
    other=LINKS,
    text=st.sampled_from(["sea", "ship"]),
)


@given(st.dictionaries(st.sampled_from(KEYS), NODES, min_size=1))
def test_every_text_is_told_once(graph: dict[str, Graph]) -> None:
    """However nodes are linked, in rings too, each text is positive or negative."""
    result = read_graph(graph)
    told = [(part.node, part.text) for part in (*result.positive, *result.negative) if part.field == "text"]
    assert sorted(told) == sorted(
        (key, value["inputs"]["text"]) for key, value in graph.items() if value["class_type"] != "KSampler"
    )


def test_fifty_thousand_nodes_take_linear_time() -> None:
    """A long chain that forks and joins everywhere is walked once."""

    def seconds(count: int) -> float:
        chain = {
            str(key): node("Combine", a=[str(key + 1), 0], b=[str(min(key + 2, count)), 1], text="sea")
            for key in range(1, count)
        }
        graph = chain | {"0": node("KSampler", positive=["1", 0], negative=["2", 0]), str(count): text("sea")}
        gc.collect()  # else one of them pays for what all tests before it have left
        begin = time.process_time()
        assert len(read_graph(graph).positive) == count
        return time.process_time() - begin

    # Five times as many nodes take five times as long, and 25 times if each is looked for among all.
    long, short = (min(seconds(count) for _ in range(2)) for count in (MAX_NODES // 2, MAX_NODES // 10))
    assert long < 12 * short


def test_nothing_shows_the_prompt_by_accident() -> None:
    """What is printed of a graph are counts."""
    graph = read_graph(sampled(good=text("sea"), bad=text("fog")))
    assert repr(graph) == "<PromptGraph: 1 positive, 1 negative, no problem>"
    assert repr(graph.positive) == "(<GraphText of 3 characters>,)"
    assert repr(graph.models) == "(<GraphModel checkpoint>,)"


def chunks(path: Path) -> Iterator[str]:
    """The graphs in a picture: in text chunks, and in fields of the camera data that some nodes write them to."""
    with Image.open(path) as image:
        yield from (
            value for key, value in image.info.items() if key in {"prompt", "workflow"} and isinstance(value, str)
        )
        exif = image.getexif()
        for value in (*exif.values(), *exif.get_ifd(ExifTags.IFD.Exif).values()):
            if isinstance(value, str) and looks_like_graph(found := value[value.find("{") :]):
                yield found


def test_real_workflows_give_the_prompts_that_were_used(data: Path) -> None:
    """In pictures of ComfyUI and what is built on it, both forms give the known prompt, and nothing is odd."""
    folder = data / "provenance"
    seen = 0
    with (folder / "manifest.csv").open(encoding="utf-8", errors="replace", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["path"].startswith("comfyui/")]
    for row in rows:
        expected = re.findall(r"\w+", row["expected_prompt"].replace("\\r", " "))
        for content in chunks(folder / row["path"]):
            graph = read_graph(content)
            assert graph.problems == (), row["path"]
            wired = re.findall(r"\w+", " ".join(part.text for part in graph.positive if part.wired))
            assert all(word in wired for word in expected), row["path"]
            assert not any("worst" in part.text for part in graph.positive) or "group" in row["path"]
            seen += 1
    assert seen >= 30
