"""Parameters as text: the prompt, the settings, the program, and what says that a picture was given."""

from __future__ import annotations

import time

import pytest
from tests.unit.origin_views import AWAY, PROMPT, field, found, only, texts, view

from rempart.provenance.detectors import detect
from rempart.provenance.evidence import ModelName, Setup, Strength

SETTINGS = "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 7, Size: 512x768"


def said(settings: str = SETTINGS, prompt: str = PROMPT, negative: str = AWAY) -> str:
    """A whole text of this form."""
    return f"{prompt}\nNegative prompt: {negative}\n{settings}"


def setup(text: str) -> Setup:
    """What is read of a text."""
    read = only(texts(parameters=text)).setup
    assert read is not None
    return read


def test_a_whole_text_is_read_whole() -> None:
    """Prompt, settings and model; it fits the picture, so it is more than a label."""
    record = only(texts(parameters=said(SETTINGS + ", Model hash: 0123abcd, Model: sea_v1, Version: v1.10.1")))
    assert record.kind == "sd.parameters"
    assert record.claim == "generator_present"
    assert record.strength == Strength.UNSIGNED_STRUCTURED
    assert record.setup == Setup(
        software="A1111 SD-WebUI",
        version="v1.10.1",
        prompt=PROMPT,
        negative=AWAY,
        seed="7",
        sampler="DPM++ 2M",
        width=512,
        height=768,
        models=(ModelName(kind="checkpoint", name="sea_v1", hash="0123abcd"),),
    )
    assert record.cues == ()
    assert record.location.container == "png.tEXt"
    assert record.excerpt.startswith(PROMPT)


@pytest.mark.parametrize(
    ("version", "program"),
    [
        ("Version: v1.10.1", "A1111 SD-WebUI"),
        ("Version: f2.0.1v1.10.1-previous-669-gdfdcbab6", "Forge"),
        ("Version: f1.0.0v2-v1.10.1RC-latest-2498-g5120e679", "reForge"),
        ("Version: f1.3.0-v1.10.1RC-latest-1038-g19395bf9", "EasyReforge"),
        ("Version: classic", "Forge Classic"),
        ("Version: neo", "Forge Neo"),
        ("Version: 56a8aea, App: SD.Next", "SD.Next"),
        ("Version: Fooocus v2.5.5", "Fooocus"),
        ("ADetailer model: sea.pt, ADetailer Version: 24.1.2, Version: neo", "Forge Neo"),
        ("ADetailer model: sea.pt, ADetailer Version: f24.1.2", "A1111 SD-WebUI"),
        ("Seed Mode: Scale Alike", "Draw Things"),
        ('Civitai resources: [{"type":"checkpoint","modelVersionId":1,"modelName":"sea"}]', "Civitai"),
    ],
)
def test_the_program_is_told_by_its_version(version: str, program: str) -> None:
    """By the key of that name alone: extensions have versions of their own."""
    assert setup(said(f"{SETTINGS}, {version}")).software == program


def test_draw_things_marks_what_to_draw_away_from_with_a_dash() -> None:
    """In the last line of the prompt."""
    read = setup(f"{PROMPT}\n-{AWAY}\n{SETTINGS}, Seed Mode: Scale Alike")
    assert (read.prompt, read.negative) == (PROMPT, AWAY)


@pytest.mark.parametrize(
    ("more", "cues"),
    [
        ("Denoising strength: 0.6", ("img2img",)),
        ("Denoising strength: 0.6, Hires upscale: 1.5", ()),
        ("Denoising strength: 0.6, Mask blur: 4", ("inpaint", "mask", "img2img")),
        ('ControlNet 0: "Module: depth, Model: sea"', ("controlnet",)),
        ('ControlNet 0: "Module: ip-adapter_clip, Model: ip-adapter_sd15"', ("controlnet", "ip_adapter")),
        ("ReActor Enabled: True", ("face_swap",)),
        ("App: SD.Next, Operations: txt2img; upscale, Denoising strength: 0.4", ()),
        ("App: SD.Next, Operations: img2img; inpaint", ("img2img", "inpaint")),
        ('Lora hashes: "sea_v1: 0123456789ab"', ("lora",)),
    ],
)
def test_cues_say_that_a_picture_was_given(more: str, cues: tuple[str, ...]) -> None:
    """A second pass over the drawn picture is none."""
    assert only(texts(parameters=said(f"{SETTINGS}, {more}"))).cues == cues


def test_models_of_all_kinds_are_named() -> None:
    """From the settings, the prompt and Civitai's list; one that stands in two places counts once."""
    listed = '[{"type":"lora","modelVersionId":1,"modelName":"ship, {red}"},{"type":"embed","modelVersionId":2}]'
    text = said(
        f'{SETTINGS}, Model: base, Lora hashes: "tower: 0123456789ab", Civitai resources: {listed}, Clip skip: 2',
        prompt=f"{PROMPT} <lora:tower:0.8> <lora:wave:1>",
    )
    read = setup(text)
    assert [(model.kind, model.name, model.hash) for model in read.models] == [
        ("checkpoint", "base", ""),
        ("lora", "tower", "0123456789ab"),
        ("lora", "wave", ""),
        ("lora", "ship, {red}", ""),
        ("embedding", "2", ""),
    ]
    assert read.prompt == f"{PROMPT} <lora:tower:0.8> <lora:wave:1>"


def test_civitai_writes_no_steps_for_some() -> None:
    """Three known keys in the last line are enough."""
    read = only(texts(parameters=f'{PROMPT}\nSeed: 7, Size: 512x768, Civitai resources: [{{"type":"lora"}}]'))
    assert read.kind == "civitai.parameters"
    assert read.setup is not None
    assert read.setup.prompt == PROMPT


def test_a_prompt_may_have_any_lines() -> None:
    """Lines that look like settings belong to the prompt while settings follow; no prompt at all is an empty one."""
    read = setup(said(prompt=f"{PROMPT}\nSteps: 3, Sampler: none, Seed: 1"))
    assert (read.prompt, read.seed) == (f"{PROMPT}\nSteps: 3, Sampler: none, Seed: 1", "7")
    assert (setup(SETTINGS).prompt, setup(SETTINGS).negative) == ("", None)
    assert setup(said().replace("\n", "\r\n")).prompt == PROMPT


def test_a_text_that_does_not_fit_the_picture_is_a_label() -> None:
    """Another shape than stated, a setting that is missing, or a text that was cut."""
    assert only(texts(size=(500, 500), parameters=said())).strength == Strength.UNSIGNED_LABEL
    assert only(texts(size=(256, 384), parameters=said())).strength == Strength.UNSIGNED_STRUCTURED
    assert only(texts(parameters=said().replace("Seed: 7, ", ""))).strength == Strength.UNSIGNED_LABEL
    cut = only(view(field("parameters", said(), truncated=True)))
    assert (cut.strength, cut.limits_hit) == (Strength.UNSIGNED_LABEL, ("field_bytes",))


def test_utf8_where_png_has_latin1_is_mended() -> None:
    """Some writers put it there."""
    wrong = said(prompt="phare à l'aube").encode().decode("latin-1")
    assert setup(wrong).prompt == "phare à l'aube"


@pytest.mark.parametrize(
    "text",
    [
        "Steps: how many there are, and other things",
        "A recipe.\nSteps: 3, Serves: 4, Time: 20",
        "Sampler: a lighthouse keeper's song",
        "Model: EOS 5D, Version: 1.0",
        "",
    ],
)
def test_ordinary_texts_are_none(text: str) -> None:
    """Too few settings of a generator."""
    assert found(view(field("ImageDescription", text, "exif.IFD0"))) == []


def test_the_same_text_in_two_fields_counts_once() -> None:
    """Some writers repeat it."""
    file = view(field("UserComment", said(), "exif.Exif"), field("parameters", said()))
    assert only(file).location.container == "exif.Exif"


@pytest.mark.parametrize(
    "text",
    [
        "Steps: 1, " * 300_000,
        said(SETTINGS + ", " + '"' * 200_000),
        said(SETTINGS + ", a" * 200_000),
        "\n" * 1_000_000 + said(),
        said(prompt="<lora:" * 300_000),
        said(SETTINGS + ", Civitai resources: [" + "[" * 300_000),
    ],
    ids=range(6),
)
def test_long_texts_take_linear_time(text: str) -> None:
    """No text of the allowed length takes a second."""
    begin = time.process_time()
    detect(texts(parameters=text))
    assert time.process_time() - begin < 1
