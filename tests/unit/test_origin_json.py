"""Set-ups written as JSON: each generator's shape, what it names, and what says that a picture was given."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from tests.unit.origin_views import AWAY, PROMPT, field, found, only, texts, view

from rempart.provenance.detectors import detect, json_payloads
from rempart.provenance.detectors.texts import Looking, read_json
from rempart.provenance.evidence import Evidence, Setup, Strength
from rempart.provenance.fields import DEFAULT_LIMITS, Limits

SWARM: dict[str, Any] = {
    "prompt": PROMPT,
    "negativeprompt": AWAY,
    "model": "Sea/base",
    "seed": 7,
    "width": 512,
    "height": 768,
    "swarm_version": "0.9.7.4",
    "sampler": "euler",
}
INVOKE: dict[str, Any] = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": PROMPT,
    "negative_prompt": AWAY,
    "width": 512,
    "height": 768,
    "seed": 7,
    "scheduler": "euler",
    "model": {"name": "base", "hash": "blake3:00"},
    "app_version": "6.10.0",
}
OLD_INVOKE: dict[str, Any] = {
    "model_weights": "base",
    "model_hash": "00",
    "app_id": "invoke-ai/InvokeAI",
    "app_version": "2.3.0",
    "image": {
        "prompt": [{"prompt": f"{PROMPT} [{AWAY}]", "weight": 1.0}],
        "sampler": "euler",
        "seed": 7,
        "width": 512,
        "height": 768,
        "type": "txt2img",
    },
}
FOOOCUS: dict[str, Any] = {
    "prompt": PROMPT,
    "negative_prompt": AWAY,
    "resolution": "(512, 768)",
    "base_model": "base",
    "base_model_hash": "00",
    "sampler": "euler",
    "seed": "7",
    "version": "Fooocus v2.5.5",
}
RUINED: dict[str, Any] = {
    "Prompt": PROMPT,
    "Negative": AWAY,
    "width": 512,
    "height": 768,
    "seed": 7,
    "sampler_name": "euler",
    "base_model_name": "base",
    "base_model_hash": "00",
    "loras": [],
    "software": "RuinedFooocus",
}
EASY: dict[str, Any] = {
    "prompt": PROMPT,
    "negative_prompt": AWAY,
    "seed": 7,
    "use_stable_diffusion_model": "base",
    "sampler_name": "euler",
    "width": 512,
    "height": 768,
}
MATRIX: dict[str, Any] = {
    "PositivePrompt": PROMPT,
    "NegativePrompt": AWAY,
    "Sampler": "euler",
    "CfgScale": 5,
    "Seed": 7,
    "Width": 512,
    "Height": 768,
    "ModelName": "base",
}
TENSOR: dict[str, Any] = {
    "prompt": PROMPT,
    "negativePrompt": AWAY,
    "seed": "7",
    "width": 512,
    "height": 768,
    "samplerName": "euler",
    "baseModel": {"modelFileName": "base", "hash": "00"},
}
DRAW: dict[str, Any] = {
    "c": PROMPT,
    "uc": AWAY,
    "model": "base",
    "sampler": "euler",
    "seed": 7,
    "size": "512x768",
    "strength": 1,
    "v2": {},
}
SPACE: dict[str, Any] = {
    "prompt": PROMPT,
    "negative_prompt": AWAY,
    "resolution": "512 x 768",
    "seed": 7,
    "sampler": "euler",
    "Model": "base",
}

SHAPES = [
    ("swarmui.parameters", "SwarmUI", "parameters", {"sui_image_params": SWARM}),
    ("invokeai.metadata", "InvokeAI", "invokeai_metadata", INVOKE),
    ("invokeai.metadata", "InvokeAI", "sd-metadata", OLD_INVOKE),
    ("fooocus.parameters", "Fooocus", "parameters", FOOOCUS),
    ("fooocus.parameters", "RuinedFooocus", "parameters", RUINED),
    ("easydiffusion.parameters", "Easy Diffusion", "parameters", EASY),
    ("stabilitymatrix.parameters", "Stability Matrix", "parameters-json", MATRIX),
    ("tensorart.parameters", "TensorArt", "generation_data", TENSOR),
    ("drawthings.parameters", "Draw Things", "exif:UserComment", DRAW),
    ("hfspace.parameters", "Hugging Face Space", "parameters", SPACE),
]


def told(record: Evidence) -> Setup:
    """The set-up of a record."""
    assert record.setup is not None
    return record.setup


@pytest.mark.parametrize(("kind", "software", "name", "data"), SHAPES, ids=[row[1] for row in SHAPES])
def test_each_generator_is_told_by_its_shape(kind: str, software: str, name: str, data: dict[str, Any]) -> None:
    """With all that it says; where a keyword is its own, JSON of another format that holds it tells the same."""
    file = view(field(name, json.dumps(data) + ("\0\0" if software == "TensorArt" else "")))
    packed = view(field("UserComment", json.dumps({name: data} if "{" not in name else data), "exif.Exif"))
    for one in (file, *([packed] if name in {"invokeai_metadata", "sd-metadata", "generation_data"} else [])):
        record = only(one)
        setup = told(record)
        assert (record.kind, record.strength) == (kind, Strength.UNSIGNED_STRUCTURED)
        assert (setup.software, setup.prompt, setup.negative) == (software, PROMPT, AWAY)
        assert (setup.seed, setup.sampler, setup.width, setup.height) == ("7", "euler", 512, 768)
        assert [(model.kind, model.name.rpartition("/")[2]) for model in setup.models] == [("checkpoint", "base")]
        assert record.cues == ()


@pytest.mark.parametrize(("kind", "software", "name", "data"), SHAPES, ids=[row[1] for row in SHAPES])
def test_a_shape_that_does_not_fit_the_picture_is_a_label(
    kind: str, software: str, name: str, data: dict[str, Any]
) -> None:
    """Another shape than stated."""
    record = only(view(field(name, json.dumps(data)), size=(700, 500)))
    assert (record.kind, record.strength, told(record).software) == (kind, Strength.UNSIGNED_LABEL, software)


@pytest.mark.parametrize(
    ("name", "data", "cues", "files"),
    [
        (
            "parameters",
            {"sui_image_params": SWARM | {"initimage": "quay.png", "initimagecreativity": 0.4, "maskimage": "m.png"}},
            {"init_image", "img2img", "mask", "inpaint"},
            ("quay.png", "m.png"),
        ),
        ("parameters", {"sui_image_params": SWARM | {"controlnetmodel": "depth"}}, {"controlnet"}, ()),
        ("parameters", {"sui_image_params": SWARM | {"loras": ["tower"]}}, {"lora"}, ()),
        (
            "invokeai_metadata",
            INVOKE | {"generation_mode": "sdxl_inpaint", "init_image": {"image_name": "quay.png"}},
            {"inpaint", "init_image", "img2img"},
            ("quay.png",),
        ),
        (
            "invokeai_metadata",
            INVOKE | {"ipAdapters": [{"image": {"image_name": "face.png"}, "ip_adapter_model": {"model_name": "x"}}]},
            {"ip_adapter"},
            ("face.png",),
        ),
        ("invokeai_metadata", INVOKE | {"loras": [{"model": {"name": "tower"}, "weight": 1}]}, {"lora"}, ()),
        (
            "sd-metadata",
            OLD_INVOKE | {"image": OLD_INVOKE["image"] | {"type": "img2img", "init_image_path": "quay.png"}},
            {"init_image", "img2img"},
            ("quay.png",),
        ),
        ("parameters", FOOOCUS | {"inpaint_mode": "x", "loras": [["tower", 0.5, "00"]]}, {"inpaint", "lora"}, ()),
        ("parameters", EASY | {"init_image": "data:image/png;base64,AA"}, {"init_image", "img2img"}, ()),
        ("generation_data", TENSOR | {"controlNet": {"model": "depth"}}, {"controlnet"}, ()),
        ("UserComment", DRAW | {"strength": 0.6}, {"img2img"}, ()),
        ("smproj", {"ProjectType": "ImageToImage", "State": {}}, {"img2img"}, ()),
    ],
)
def test_cues_say_that_a_picture_was_given(
    name: str, data: dict[str, Any], cues: set[str], files: tuple[str, ...]
) -> None:
    """By each generator's own words for it; a picture inside of the text is no name of a file."""
    record = only(view(field(name, json.dumps(data))))
    assert set(record.cues) == cues
    assert told(record).files == files


def test_easy_diffusion_writes_a_chunk_for_each_setting() -> None:
    """Together they are one payload."""
    record = only(texts(**{name: str(value) for name, value in EASY.items()}))
    setup = told(record)
    assert (record.kind, record.strength) == ("easydiffusion.parameters", Strength.UNSIGNED_STRUCTURED)
    assert (setup.prompt, setup.seed, setup.width, setup.height) == (PROMPT, "7", 512, 768)


def test_invokes_oldest_form_is_a_command() -> None:
    """With options of one letter, and what to draw away from in brackets."""
    record = only(texts(Dream=f'"{PROMPT} [{AWAY}]" -s 50 -S 7 -W 512 -H 768 -C 7.5 -A k_lms -I quay.png -f 0.7'))
    setup = told(record)
    assert (record.kind, record.strength) == ("invokeai.metadata", Strength.UNSIGNED_STRUCTURED)
    assert (setup.prompt, setup.negative, setup.seed, setup.sampler) == (PROMPT, AWAY, "7", "k_lms")
    assert (setup.width, setup.height, setup.files) == (512, 768, ("quay.png",))
    assert set(record.cues) == {"init_image", "img2img"}


def test_an_unknown_generator_is_a_label_when_it_has_the_settings_of_all() -> None:
    """A prompt and some settings; the name that it gives itself is quoted."""
    record = only(texts(meta={"Prompt": PROMPT, "Seed": 7, "Steps": 20, "Guidance_Scale": 6, "Software": "Tower"}))
    assert (record.kind, record.strength) == ("sd.parameters", Strength.UNSIGNED_LABEL)
    assert (told(record).prompt, told(record).software, told(record).seed) == (PROMPT, "Tower", "7")


@pytest.mark.parametrize(
    "data",
    [
        {"prompt": PROMPT},
        {"prompt": PROMPT, "seed": 1},
        {"c": 1, "uc": 2},
        {"model": "EOS", "resolution": "72"},
        {"software": "GIMP"},
        {"Model": "EOS"},
        {"Label": "1"},
        [],
        7,
        "text",
    ],
)
def test_other_json_is_none(data: object) -> None:
    """A word or two in common with a generator is not enough."""
    assert found(view(field("UserComment", json.dumps(data), "exif.Exif"))) == []


@pytest.mark.parametrize("name", ["invokeai_metadata", "generation_data", "parameters-json", "smproj", "sd-metadata"])
def test_a_broken_text_under_a_generators_own_keyword_is_a_label(name: str) -> None:
    """The keyword says who wrote it; a depth that is not read is told and claims nothing."""
    record = only(view(field(name, '{"prompt": ')))
    assert (record.strength, record.caveat, record.claim) == (
        Strength.UNSIGNED_LABEL,
        "payload_broken",
        "generator_present",
    )
    deep = detect(view(field(name, '{"a":' * 20_000)))
    assert [(one.kind, one.claim, one.limits_hit) for one in deep] == [("reader.failure", "none", ("json_too_deep",))]


@pytest.mark.parametrize(
    "value",
    [None, True, -1, 1e300, 10**400, [], {}, [[]], {"prompt": {}}, "\ud800", "x" * 100_000, [{"image": {"image": 1}}]],
    ids=range(12),
)
@pytest.mark.parametrize(("kind", "software", "name", "data"), SHAPES, ids=[row[1] for row in SHAPES])
def test_odd_values_anywhere_break_nothing(
    kind: str, software: str, name: str, data: dict[str, Any], value: object
) -> None:
    """Each setting in turn is something else."""
    inner = data.get("sui_image_params", data)
    for key in inner:
        odd = inner | {key: value, "loras": [value], "init_image": value}
        records = found(view(field(name, json.dumps({"sui_image_params": odd} if inner is not data else odd))))
        assert all(one.kind == kind for one in records if one.kind not in {"sd.parameters", "hfspace.parameters"})
        assert all(len(one.excerpt) <= 240 for one in records), software


def test_json_is_looked_at_before_it_is_read() -> None:
    """Its length, its depth outside of texts, and the number of its parts."""
    limits = Limits(field_bytes=1_000_000, depth=8)
    assert read_json("[" * 8 + "]" * 8, limits).problem == ""
    assert read_json("[" * 9 + "]" * 9, limits).problem == "too_deep"
    assert read_json(json.dumps(["[" * 100, '"[[[[[[[[[[']), limits).problem == ""
    assert read_json("[" + "[]," * 100 + "1]", limits).problem == ""
    assert read_json("[" + "[]," * 450_000 + "1]", DEFAULT_LIMITS).problem == "too_large"
    assert read_json(" " * 1_000_001, limits).problem == "too_large"
    assert read_json("1" * 5000, limits).problem == "not_json"
    assert read_json('"' + "\\" * 999_999, limits).problem == "not_json"


def test_many_records_are_cut_and_told() -> None:
    """A file of a thousand payloads gives no thousand records."""
    begin = time.process_time()
    records = detect(view(*(field("parameters", json.dumps(SPACE | {"seed": seed})) for seed in range(1000))))
    assert time.process_time() - begin < 1
    assert len(records) == 65
    assert (records[-1].kind, records[-1].limits_hit) == ("reader.failure", ("records",))


def test_every_record_can_be_written() -> None:
    """JSON may name halves of characters; a whole pair is one character, a half is replaced."""
    name = "\\ud83d\\ude00 \\ud800"
    said = json.dumps(SPACE | {"prompt": "HERE", "Model": "HERE"}).replace("HERE", name)
    record = only(texts(parameters=said))
    assert told(record).prompt == "\U0001f600 \ufffd"
    assert told(record).models[0].name == "\U0001f600 \ufffd"
    assert msgspec.json.decode(msgspec.json.encode(record), type=Evidence) == record


def test_a_prompt_of_enormous_length_is_cut_and_told() -> None:
    """Nobody writes one but to get past a reader."""
    record = only(texts(parameters=SPACE | {"prompt": "sea " * 100_000}))
    assert record.limits_hit == ("prompt",)
    assert len(told(record).prompt or "") == 100_000


def test_a_defect_of_one_detector_is_a_record_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message is not told, because it may quote what it read."""

    def broken(*given: object) -> None:
        raise ValueError(PROMPT, given)

    monkeypatch.setattr(json_payloads, "_record", broken)
    file = view(
        field("parameters", f"{PROMPT}\nSteps: 1, Sampler: x, Seed: 1, Size: 512x768"), field("x", json.dumps(SPACE))
    )
    records = detect(file)
    assert {one.kind for one in records} == {"reader.failure", "sd.parameters"}
    assert not any(PROMPT in one.excerpt for one in records if one.kind == "reader.failure")


def test_nothing_shows_the_prompt_by_accident() -> None:
    """What is printed of texts and records are names and lengths."""
    file = view(field("parameters", json.dumps(SPACE)))
    looking = Looking(file, DEFAULT_LIMITS)
    shown = repr((file, looking.texts, looking.json(looking.texts[0].text), detect(file), detect(file)[0].setup))
    assert "lighthouse" not in shown


def test_the_same_file_gives_the_same_records() -> None:
    """Whatever was looked at between."""
    files = [view(field(name, json.dumps(data))) for _, _, name, data in SHAPES]
    first = [detect(file) for file in files]
    assert [detect(file) for file in reversed(files)] == first[::-1]
