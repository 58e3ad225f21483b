"""The target of what tells generators by their texts: fields of any name that say anything."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from fuzz.target import Target
from rempart.provenance.detectors import MAX_RECORDS, TABLE, detect
from rempart.provenance.detectors.texts import PROMPT_CHARACTERS, QUOTE_CHARACTERS
from rempart.provenance.evidence import EXCERPT_CHARACTERS, Evidence
from rempart.provenance.fields import Field, FileView, Limits

_LIMITS: Final = Limits(field_bytes=1 << 12, depth=12)
_BETWEEN = b"\x1e"
_SIZE = 512, 768


def told(data: bytes) -> None:
    """Whatever fields say, each record is bounded, and no detector fails but where it says which limit was met.

    The fields are parted by a record separator, each a name, a zero byte and its text.
    """
    fields = []
    for part in data.split(_BETWEEN):
        name, _, said = part.partition(b"\0")
        text = said.decode("utf-8", "surrogateescape")
        fields.append(Field(container="png.tEXt", name=name.decode("latin-1"), data=said, text=text))
    view = FileView(format="jpeg", content=data, size=len(data), width=_SIZE[0], height=_SIZE[1], fields=tuple(fields))
    records = detect(view, _LIMITS)
    assert len(records) <= len(TABLE) * (MAX_RECORDS + 1)
    for one in records:
        _is_sound(one)
    assert detect(view, _LIMITS) == records


def _is_sound(one: Evidence) -> None:
    assert one.kind != "reader.failure" or one.limits_hit, f"a detector has a defect: {one.reader}"
    assert len(one.excerpt) <= EXCERPT_CHARACTERS
    assert len(one.generator) <= QUOTE_CHARACTERS
    assert repr(one) == f"<Evidence {one.kind} {one.claim} {one.strength}>"
    if one.setup is not None:
        assert len(one.setup.prompt or "") <= PROMPT_CHARACTERS
        assert all(len(model.name) <= QUOTE_CHARACTERS for model in one.setup.models)
        assert all(len(name) <= QUOTE_CHARACTERS for name in one.setup.files)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Evidence) == one


_SIZES: dict[str, Any] = {"width": 512, "height": 768, "seed": 7}
_RUN: dict[str, Any] = {
    "1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "latent_image": ["3", 0], "seed": 7}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "sea"}},
    "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["4", 0], "width": 512, "height": 768}},
    "4": {"class_type": "LoadImage", "inputs": {"image": "quay.png"}},
}
_DRAWN: dict[str, Any] = {
    "nodes": [
        {"id": 1, "type": "KSampler", "pos": [0, 0], "size": [9, 9], "inputs": [{"name": "positive", "link": 1}]},
        {"id": 2, "type": "EmptyLatentImage", "pos": {"0": 5, "1": 5}, "size": [9, 9], "widgets_values": [512, 768, 1]},
    ],
    "links": [[1, 2, 0, 1, 0]],
}
_PAYLOADS: tuple[tuple[str, object], ...] = (
    ("parameters", "sea\nNegative prompt: fog\nSteps: 20, Sampler: Euler, Seed: 7, Size: 512x768, Version: v1.10.1"),
    ("UserComment", 'sea\nSeed: 7, Size: 512x768, Civitai resources: [{"type":"lora","modelName":"ship"}], Steps: 2'),
    ("prompt", _RUN),
    ("workflow", _DRAWN),
    ("Make", "workflow:" + json.dumps(_DRAWN)),
    ("UserComment", {"prompt": _RUN, "workflow": json.dumps(_DRAWN)}),
    ("UserComment", _RUN | {"extraMetadata": json.dumps({"prompt": "sea"} | _SIZES)}),
    ("parameters", {"sui_image_params": {"prompt": "sea", "loras": ["ship"]} | _SIZES, "sui_models": [{"name": "x"}]}),
    ("invokeai_metadata", {"positive_prompt": "sea", "generation_mode": "img2img", "loras": [{"lora": "x"}]} | _SIZES),
    ("sd-metadata", {"app_id": "invoke-ai/x", "image": {"prompt": [{"prompt": "sea [fog]"}]} | _SIZES}),
    ("Dream", '"sea [fog]" -s 50 -S 7 -W 512 -H 768 -I quay.png'),
    ("parameters", {"base_model": "x", "full_prompt": ["sea"], "resolution": "(512, 768)", "loras": [["x", 1, "00"]]}),
    ("use_stable_diffusion_model", "x"),
    ("parameters-json", {"PositivePrompt": "sea", "CfgScale": 5}),
    ("smproj", {"ProjectType": "ImageToImage", "State": {}}),
    ("generation_data", {"prompt": "sea", "baseModel": {"modelFileName": "x"}, "models": [{"type": "LORA"}]}),
    ("exif:UserComment", {"c": "sea", "uc": "fog", "sampler": "x", "v2": {}, "size": "512x768"}),
    ("parameters", {"Model": "x", "resolution": "512 x 768", "prompt": "sea"}),
    ("Comment", {"prompt": "sea", "noise_schedule": "x", "signed_hash": "AA==", "steps": 2} | _SIZES),
    ("Description", "sea --v 6 --no fog Job ID: 4800156b-8880-4786-9056-7ca3da449d8c"),
    ("Artist", "4800156b-8880-4786-9056-7ca3da449d8c"),
    ("ImageDescription", "Signature: " + "A" * 88),
    ("photoshop:Credit", "Edited with Google AI"),
    ("Software", "ComfyUI 0.3"),
    ("hf-job-id", "4800156b"),
    ("Iptc4xmpExt:DigitalSourceType", "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"),
    ("Iptc4xmpExt:AISystemUsed", "Tower"),
    ("TC260:AIGC", {"Label": "2", "ContentProducer": "0019", "ProduceID": "x"}),
    ("UserComment", {"AIGC": {"Label": 3}, "aigc_info": {"aigc_label_type": 1}}),
    ("", 'AIGC{"Label":"1"} PEg_Info{"genAIType":8}'),
)


def _seeds() -> list[bytes]:
    """Each payload alone, and all together."""
    parts = [
        name.encode() + b"\0" + (said if isinstance(said, str) else json.dumps(said)).encode()
        for name, said in _PAYLOADS
    ]
    return [*parts, _BETWEEN.join(parts)]


WORDS: Final = (
    *(
        b"Steps: ",
        b"Negative prompt: ",
        b", Seed: 7",
        b"<lora:x:1>",
        b"Version: ",
        b"Civitai resources: [",
        b'"class_type"',
    ),
    *(
        b'"nodes"',
        b'"links"',
        b"workflow:",
        b"prompt:",
        b'"inputs"',
        b'{"',
        b'": [',
        b"[[[[",
        b"}}",
        b'\\"',
        b"\xff",
        _BETWEEN,
    ),
    *(
        b"parameters\0",
        b"UserComment\0",
        b"Comment\0",
        b"prompt\0",
        b"AIGC\0",
        b'"Label"',
        b"AIGC{",
        b"PEg_Info{",
        b"NaN",
    ),
    *(b"1e999", b"9" * 30, b"-1", b"null", b"true", b"0x", b"512x768", b"\\ud800", b"--v 6", b"Job ID: "),
)

DETECT: Final = Target(told, _seeds, WORDS, longest=16384)
