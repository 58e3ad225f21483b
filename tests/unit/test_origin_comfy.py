"""ComfyUI graphs in pictures: what they draw, what was given, and pictures of the editor that carry one too."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.unit.origin_views import AWAY, PROMPT, field, found, only, texts, view

from rempart.provenance.detectors import detect
from rempart.provenance.evidence import ModelName, Setup, Strength

Graph = dict[str, Any]


def node(kind: str, **inputs: object) -> Graph:
    """A node of the form that a server runs."""
    return {"class_type": kind, "inputs": inputs}


def graph(size: tuple[int, int] = (512, 768), **nodes: Graph) -> Graph:
    """A whole graph that draws a picture of a size from nothing; more nodes may take the place of its own."""
    return {
        "save": node("SaveImage", images=["decode", 0], filename_prefix="x"),
        "decode": node("VAEDecode", samples=["draw", 0], vae=["base", 2]),
        "draw": node(
            "KSampler",
            seed=7,
            sampler_name="euler",
            model=["base", 0],
            positive=["good", 0],
            negative=["bad", 0],
            latent_image=["empty", 0],
        ),
        "empty": node("EmptyLatentImage", width=size[0], height=size[1], batch_size=1),
        "good": node("CLIPTextEncode", text=PROMPT, clip=["base", 1]),
        "bad": node("CLIPTextEncode", text=AWAY, clip=["base", 1]),
        "base": node("CheckpointLoaderSimple", ckpt_name="sea.safetensors"),
        **nodes,
    }


def drawn(size: tuple[int, int] = (512, 768), *, given: bool = False) -> Graph:
    """The same graph as the editor saves it: its nodes stand in an area of 1600 by 700."""
    latent = (
        {"id": 4, "type": "VAEEncode", "pos": [300, 100], "size": [200, 50], "inputs": [{"name": "pixels", "link": 9}]}
        if given
        else {"id": 4, "type": "EmptyLatentImage", "pos": [300, 100], "size": [200, 50], "widgets_values": [*size, 1]}
    )
    nodes = [
        {
            "id": 1,
            "type": "SaveImage",
            "pos": [1400, 30],
            "size": [200, 600],
            "inputs": [{"name": "images", "link": 1}],
            "widgets_values": ["x"],
        },
        {
            "id": 2,
            "type": "VAEDecode",
            "pos": [1200, 30],
            "size": [150, 50],
            "inputs": [{"name": "samples", "link": 2}],
        },
        {
            "id": 3,
            "type": "KSampler",
            "pos": {"0": 800, "1": 30},
            "size": {"0": 300, "1": 400},
            "inputs": [
                {"name": "positive", "link": 3},
                {"name": "negative", "link": 4},
                {"name": "latent_image", "link": 5},
            ],
            "widgets_values": [7, "fixed", 20, 6, "euler", "normal", 1],
        },
        latent,
        {"id": 5, "type": "CLIPTextEncode", "pos": [0, 30], "size": [200, 200], "widgets_values": [PROMPT]},
        {"id": 6, "type": "CLIPTextEncode", "pos": [0, 600], "size": [200, 100], "widgets_values": [AWAY]},
        {"id": 7, "type": "LoadImage", "pos": [0, 300], "size": [200, 200], "widgets_values": ["quay.png", "image"]},
    ]
    links = [[1, 2, 0, 1, 0], [2, 3, 0, 2, 0], [3, 5, 0, 3, 0], [4, 6, 0, 3, 1], [5, 4, 0, 3, 2], [9, 7, 0, 4, 0]]
    return {"last_node_id": 7, "nodes": nodes if given else nodes[:-1], "links": links if given else links[:-1]}


GIVEN = {
    "picture": node("LoadImage", image="quay.png", upload="image"),
    "empty": node("VAEEncode", pixels=["picture", 0], vae=["base", 2]),
}


def test_a_whole_graph_is_read_whole() -> None:
    """Prompt and settings by the sampler's links, and the graph reaches an end: more than a label."""
    record = only(texts(prompt=graph(), workflow=drawn()))
    assert (record.kind, record.claim) == ("comfy.graph", "generator_present")
    assert record.strength == Strength.UNSIGNED_STRUCTURED
    assert record.setup == Setup(
        software="ComfyUI",
        prompt=PROMPT,
        negative=AWAY,
        seed="7",
        sampler="euler",
        width=512,
        height=768,
        models=(ModelName(kind="checkpoint", name="sea.safetensors"),),
    )
    assert record.cues == ()
    assert record.location.field == "prompt"


def test_the_editors_form_alone_tells_the_same() -> None:
    """Where its size is the picture's."""
    record = only(texts(workflow=drawn()))
    assert (record.kind, record.strength) == ("comfy.graph", Strength.UNSIGNED_STRUCTURED)
    assert record.setup is not None
    assert (record.setup.prompt, record.setup.negative, record.setup.seed) == (PROMPT, AWAY, "7")
    assert (record.setup.sampler, record.setup.width, record.setup.height) == ("euler", 512, 768)


@pytest.mark.parametrize(
    "fields",
    [
        [("Make", "workflow:" + json.dumps(drawn())), ("Model", "prompt:" + json.dumps(graph()))],
        [("ImageDescription", "Workflow: " + json.dumps(drawn())), ("Make", "Prompt: " + json.dumps(graph()))],
        [("UserComment", json.dumps({"prompt": graph(), "workflow": drawn()}))],
        [("UserComment", json.dumps({"prompt": json.dumps(graph()), "workflow": json.dumps(drawn())}))],
        [("UserComment", json.dumps(graph()))],
        [("Model", json.dumps({"extra_pnginfo": {"workflow": drawn()}, "prompt": graph()}))],
    ],
    ids=range(6),
)
def test_other_formats_keep_graphs_in_camera_tags(fields: list[tuple[str, str]]) -> None:
    """In Make and Model too, which therefore are no word of a camera."""
    record = only(view(*(field(name, said, "exif.IFD0") for name, said in fields), kind="webp"))
    assert record.kind == "comfy.graph"
    assert record.setup is not None
    assert record.setup.prompt == PROMPT


@pytest.mark.parametrize(
    ("nodes", "cues", "files"),
    [
        (GIVEN, ("load_image", "img2img"), ("quay.png",)),
        (
            GIVEN | {"empty": node("VAEEncodeForInpaint", pixels=["picture", 0], mask=["picture", 1])},
            ("inpaint", "mask", "load_image", "img2img"),
            ("quay.png",),
        ),
        (
            {
                "good": node("ControlNetApply", conditioning=["text", 0], image=["picture", 0]),
                "text": node("CLIPTextEncode", text=PROMPT),
                "picture": GIVEN["picture"],
            },
            ("controlnet", "load_image"),
            ("quay.png",),
        ),
        (
            {
                "save": node("SaveImage", images=["swap", 0]),
                "swap": node("ReActorFaceSwap", input_image=["decode", 0], source_image=["picture", 0]),
                "picture": GIVEN["picture"],
            },
            ("face_swap", "load_image"),
            ("quay.png",),
        ),
        (
            {
                "save": node("SaveImage", images=["decode2", 0]),
                "decode2": node("VAEDecode", samples=["draw2", 0]),
                "draw2": node("KSampler", positive=["good", 0], negative=["bad", 0], latent_image=["again", 0]),
                "again": node("VAEEncode", pixels=["mix", 0]),
                "mix": node("ImageBlend", image1=["decode", 0], image2=["picture", 0]),
                "picture": GIVEN["picture"],
            },
            ("load_image", "img2img"),
            ("quay.png",),
        ),
        ({"id": node("ApplyInstantID", model=["base", 0])}, ("face_id",), ()),
        ({"ip": node("IPAdapterAdvanced", model=["base", 0])}, ("ip_adapter",), ()),
        ({"l": node("LoraLoader", lora_name="tower.safetensors", model=["base", 0])}, ("lora",), ()),
        ({"picture": GIVEN["picture"]}, (), ("quay.png",)),
        (
            {
                "save": node("SaveImage", images=["decode2", 0]),
                "decode2": node("VAEDecode", samples=["draw2", 0]),
                "draw2": node("KSampler", positive=["good", 0], negative=["bad", 0], latent_image=["again", 0]),
                "again": node("VAEEncode", pixels=["decode", 0]),
            },
            (),
            (),
        ),
    ],
    ids=["img2img", "inpaint", "controlnet", "swap", "mixed", "id", "adapter", "lora", "loose", "second pass"],
)
def test_cues_say_that_a_picture_was_given(
    nodes: dict[str, Graph], cues: tuple[str, ...], files: tuple[str, ...]
) -> None:
    """By what nodes do, and whether a picture that was loaded goes into the drawing."""
    record = only(texts(prompt=graph(**nodes)))
    assert record.cues == cues
    assert record.setup is not None
    assert record.setup.files == files


def test_the_editors_form_tells_what_was_given() -> None:
    """The loader's first widget is the name of the file."""
    record = only(texts(workflow=drawn(given=True)))
    assert record.cues == ("load_image", "img2img")
    assert record.setup is not None
    assert record.setup.files == ("quay.png",)


@pytest.mark.parametrize(
    ("size", "given", "run"),
    [
        ((1651, 723), False, True),
        ((1651, 723), False, False),
        ((2201, 963), False, True),
        ((1600, 700), False, False),
        ((1651, 723), True, True),
        ((1651, 723), True, False),
        ((1651, 720), True, True),
        ((1656, 723), True, True),
    ],
)
def test_a_picture_of_the_editor_is_not_what_its_graph_draws(size: tuple[int, int], *, given: bool, run: bool) -> None:
    """Larger than what is drawn, of the shape of the editor's nodes, in sizes that no decoder gives."""
    said = {"workflow": drawn(given=given)} | ({"prompt": graph(**(GIVEN if given else {}))} if run else {})
    record = only(texts(size, **said))
    assert (record.kind, record.claim, record.caveat) == ("comfy.editor", "screenCapture", "editor_picture")
    assert record.strength == Strength.UNSIGNED_LABEL
    assert ("load_image" in record.cues) == given


@pytest.mark.parametrize(
    ("size", "given"),
    [
        ((512, 768), False),
        ((1024, 1536), False),
        ((1025, 1537), False),
        ((64, 96), False),
        ((1, 1), False),
        ((500, 501), False),
        ((1024, 1024), True),
        ((832, 1216), True),
        ((0, 0), False),
    ],
)
def test_a_copy_of_what_was_drawn_is_not_a_picture_of_the_editor(size: tuple[int, int], *, given: bool) -> None:
    """In the size drawn, enlarged, made small, cut out; or of a size that only the given picture knew."""
    record = only(texts(size, prompt=graph(**(GIVEN if given else {})), workflow=drawn(given=given)))
    assert record.kind == "comfy.graph"


def test_a_graph_that_joins_pictures_may_give_any_size() -> None:
    """So a picture of another shape than the editor's nodes is what it drew, though not so well vouched for."""
    joined = graph(
        save=node("SaveImage", images=["join", 0]),
        join=node("ImageStitch", image1=["decode", 0], image2=["decode", 0]),
    )
    record = only(texts((1001, 1203), prompt=joined, workflow=drawn()))
    assert (record.kind, record.strength) == ("comfy.graph", Strength.UNSIGNED_LABEL)
    assert only(texts((1001, 1203), prompt=graph(), workflow=drawn())).kind == "comfy.editor"


def test_what_only_a_server_ran_was_shown_in_no_editor() -> None:
    """Without the editor's form a picture of another size is a label, and still what it says."""
    record = only(texts((1651, 723), prompt=graph()))
    assert (record.kind, record.strength) == ("comfy.graph", Strength.UNSIGNED_LABEL)


def test_a_graph_that_reaches_no_end_is_a_label() -> None:
    """So is one that turns in a ring, one with links to nowhere, and one that stores nothing."""
    ring = {"1": node("KSampler", positive=["2", 0], model=["1", 0]), "2": node("Combine", a=["2", 0], b=["1", 0])}
    lost = graph(good=node("CLIPTextEncode", text=["nowhere", 0]))
    unstored = {key: value for key, value in graph().items() if key != "save"}
    for nodes in (ring, lost, unstored):
        assert only(texts(prompt=nodes)).strength == Strength.UNSIGNED_LABEL


def test_civitai_writes_its_own_words_beside_the_graph() -> None:
    """They count where they stand."""
    extra = json.dumps({"prompt": "the sea", "negativePrompt": "", "seed": 9, "width": 512, "height": 768})
    record = only(view(field("UserComment", json.dumps(graph() | {"extraMetadata": extra}), "exif.Exif")))
    assert record.kind == "civitai.parameters"
    assert record.setup is not None
    assert (record.setup.prompt, record.setup.negative, record.setup.seed) == ("the sea", "", "9")


def test_two_graphs_of_one_form_are_two_records() -> None:
    """Nothing is read over."""
    other = graph(good=node("CLIPTextEncode", text="the sea"))
    records = found(view(field("prompt", json.dumps(graph())), field("UserComment", json.dumps(other), "exif.Exif")))
    assert [one.setup.prompt for one in records if one.setup] == [PROMPT, "the sea"]


def test_more_graphs_than_are_read_are_told() -> None:
    """A file of a hundred graphs is read in part, and says so."""
    records = detect(
        view(*(field("prompt", json.dumps(graph(good=node("CLIPTextEncode", text=str(at))))) for at in range(100)))
    )
    assert [one.kind for one in records].count("comfy.graph") == 8
    assert [one.limits_hit for one in records if one.kind == "reader.failure"] == [("json_too_large",)]


@pytest.mark.parametrize(
    "said",
    [
        json.dumps({"nodes": [1, 2]}),
        json.dumps({"nodes": {"a": {"type": "x"}}, "links": []}),
        json.dumps({"nodes": [{"id": 1, "type": "invocation", "data": {}}], "edges": []}),
        '{"class_type"',
        "",
    ],
)
def test_other_graphs_are_none(said: str) -> None:
    """Other programs have nodes too; a beginning of one that cannot be read is at most a label."""
    assert all(one.strength == Strength.UNSIGNED_LABEL for one in found(texts(workflow=said)))
    assert '"class_type"' in said or not found(texts(workflow=said))


@pytest.mark.parametrize(
    "said",
    [
        '{"1": {"class_type": ' + '{"a":' * 20_000,
        '{"1": {"class_type": "KSampler"}, "2": ' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"class_type": [' + "[]," * 1_000_000 + "1]}",
        json.dumps({str(key): node("VAEEncode", pixels=[str(key + 1), 0]) for key in range(30_000)}),
        json.dumps({str(key): node("VAEEncode", pixels=[str(key + 1), 0]) for key in range(9_000)}),
        '{"class_type": "' + '\\"' * 1_500_000,
        json.dumps({"nodes": [{"id": 1, "type": "X", "widgets_values": [1] * 1_200_000}], "links": []}),
    ],
    ids=["deep", "deep and whole", "wide", "too many nodes", "many nodes", "unended", "many widgets"],
)
def test_hostile_graphs_are_told_and_take_little_time(said: str) -> None:
    """What was not read is a record of its own, or a label; never an error, never a second."""
    begin = time.process_time()
    records = detect(texts(prompt=said))
    assert time.process_time() - begin < 1
    assert all(one.limits_hit or one.strength == Strength.UNSIGNED_LABEL for one in records)
    assert records
