"""Parameters as text: what A1111's web UI, its descendants and all who imitate them write.

A prompt, a line ``Negative prompt: …`` and a last part ``Steps: 20, Sampler: …, Seed: …``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rempart.provenance.detectors.texts import Looking, Text, as_text, fits, payload, quoted, size_in
from rempart.provenance.evidence import Evidence, ModelName, Setup

READER: Final = "a1111"

_MAX_TAIL = 64_000
"""Length of the last part that is read."""

_KEYS = re.compile(
    r"(?:\A|[\n,])\s{0,4}(Steps|Sampler|Seed|CFG scale|Size|Model hash|Model|Version|App|Clip skip|Created Date"
    r"|Civitai resources|Civitai metadata|Denoising strength|Schedule type|Distilled CFG Scale): ?"
)
_STEPS = re.compile(r"(?:\A|\n)[ \t]{0,4}Steps: ?\d{1,5}, ")
_OTHER = re.compile(r"(?:\A|\n)[ \t]{0,4}[A-Z][A-Za-z ]{2,20}: [^\n,]{0,80}, ")
_ENOUGH_KEYS = 3
_PART = re.compile(r'(?:[^,"]|"[^"\\]*(?:\\.[^"\\]*)*"?)+', re.DOTALL)
_NEGATIVE = re.compile(r"(?:\A|\n)Negative prompt: ?")
_LORA = re.compile(r"<(?:lora|lyco):([^:<>\n]{1,200})[:>]")
_LISTED = re.compile(r"\s*([^:,]{1,200}?)\s*:\s*([0-9A-Fa-f]{6,64})")
_RESOURCES = "Civitai resources: "

# The value of ``Version`` -> the program. ``ADetailer Version`` and the like are other keys.
_VERSIONS: Final = (
    (re.compile(r"v\d"), "A1111 SD-WebUI"),
    (re.compile(r"classic\b"), "Forge Classic"),
    (re.compile(r"neo\b"), "Forge Neo"),
    (re.compile(r"f\d+(?:\.\d+){1,2}-v"), "EasyReforge"),
    (re.compile(r"f\d+(?:\.\d+){1,2}v\d+-v"), "reForge"),
    (re.compile(r"f\d"), "Forge"),
    (re.compile(r"Fooocus"), "Fooocus"),
    (re.compile(r"ComfyUI"), "ComfyUI"),
    (re.compile(r"vladmandic|SD\.Next"), "SD.Next"),
)

# Beginnings of keys, in lower case -> the cue that they are.
_CUE_KEYS: Final = (
    (("mask blur", "masked content", "inpaint area", "masked area", "inpaint"), ("inpaint", "mask")),
    (("image cfg scale", "init image", "init size", "init resize"), ("img2img", "init_image")),
    (("controlnet", "control net", "t2i-adapter"), ("controlnet",)),
    (("ip-adapter", "ipadapter", "ip adapter"), ("ip_adapter",)),
    (("reactor", "roop", "faceswap", "face swap"), ("face_swap",)),
    (("instantid", "pulid", "photomaker", "faceid", "face id"), ("face_id",)),
)
_KINDS: Final = {
    "Civitai": "civitai.parameters",
    "Fooocus": "fooocus.parameters",
    "Draw Things": "drawthings.parameters",
}


def read(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """A record for each text that is of this form; the same text in two fields counts once."""
    seen: set[str] = set()
    for text in texts:
        if text.text not in seen:
            seen.add(text.text)
            found = _one(text, looking)
            if found is not None:
                yield found


def _one(text: Text, looking: Looking) -> Evidence | None:
    said = text.text.replace("\r\n", "\n")
    start = _tail(said)
    if start is None:
        return None
    prompt, negative = _prompts(said[:start])
    tail = said[start : start + _MAX_TAIL]
    resources, pairs = _pairs(tail, looking)
    software = _software(pairs, tail)
    if software == "Draw Things" and negative is None:
        prompt, negative = _dashed(prompt)
    width, height = size_in(pairs.get("Size", ""))
    models = _models(pairs, prompt, resources)
    setup = Setup(
        software=software,
        version=quoted(pairs.get("Version", "")),
        prompt=prompt,
        negative=negative,
        seed=quoted(pairs.get("Seed", "")),
        sampler=quoted(pairs.get("Sampler", "")),
        width=width,
        height=height,
        models=models,
        files=tuple(quoted(pairs[key]) for key in ("Init image", "Input image") if pairs.get(key)),
    )
    whole = "Steps" in pairs and "Seed" in pairs and width > 0 and fits(looking.view, width, height)
    whole |= bool(resources) and fits(looking.view, width, height)
    kind = _KINDS.get(software, "sd.parameters")
    return payload(text, READER, kind, setup, whole=whole, cues=_cues(pairs, models))


def _tail(said: str) -> int | None:
    """Where the last part begins: the last line that begins with a key and has enough known keys from there on."""
    starts = [[match.start() for match in pattern.finditer(said)][-1:] for pattern in (_STEPS, _OTHER)]
    for start in (*starts[0], *starts[1]):
        if len({key[1] for key in _KEYS.finditer(said[start : start + _MAX_TAIL])}) >= _ENOUGH_KEYS:
            return start
    return None


def _prompts(said: str) -> tuple[str, str | None]:
    """What is drawn towards and what away from."""
    split = _NEGATIVE.search(said)
    if split is None:
        return said.strip(), None
    return said[: split.start()].strip(), said[split.end() :].strip()


def _dashed(prompt: str) -> tuple[str, str | None]:
    """Draw Things writes what to draw away from as a last line that begins with a dash."""
    lines = prompt.split("\n")
    if len(lines) > 1 and lines[-1].startswith("-"):
        return "\n".join(lines[:-1]).strip(), lines[-1][1:].strip()
    return prompt, None


def _pairs(tail: str, looking: Looking) -> tuple[list[object], dict[str, str]]:
    """Civitai's list of resources, and the keys and values of the last part; of two equal keys the first counts."""
    resources: list[object] = []
    begin = tail.find(_RESOURCES + "[")
    if begin >= 0:
        listed = tail[begin + len(_RESOURCES) :]
        end = listed.find("}]")
        end = end + 2 if end >= 0 else listed.find("]") + 1
        value = looking.json(listed[:end]).value
        resources = value if isinstance(value, list) else []
        tail = tail[:begin] + listed[end:]
    pairs: dict[str, str] = {}
    for part in _PART.finditer(tail):
        key, colon, value = part[0].partition(":")
        if colon:
            pairs.setdefault(key.strip(), value.strip().strip('"'))
    return resources, pairs


def _software(pairs: dict[str, str], tail: str) -> str:
    if _RESOURCES in tail or "Civitai metadata: " in tail:
        return "Civitai"
    app = pairs.get("App", "")
    if app:
        return quoted(app)
    version = pairs.get("Version", "")
    for pattern, name in _VERSIONS:
        if pattern.match(version):
            return name
    return "Draw Things" if "Seed Mode" in pairs else "A1111 SD-WebUI"


def _models(pairs: dict[str, str], prompt: str, resources: list[object]) -> tuple[ModelName, ...]:
    """The models that are named; a LoRA in the prompt counts once."""
    found: dict[tuple[str, str], ModelName] = {}

    def add(kind: str, name: str, digest: str = "") -> None:
        if name and (kind, name) not in found:
            found[kind, name] = ModelName(kind=kind, name=quoted(name), hash=quoted(digest))

    add("checkpoint", pairs.get("Model", ""), pairs.get("Model hash", ""))
    for key, kind in (("Lora hashes", "lora"), ("TI hashes", "embedding"), ("TI", "embedding")):
        for match in _LISTED.finditer(pairs.get(key, "")[:4096]):
            add(kind, match[1].strip(' "'), match[2])
    for match in _LORA.finditer(prompt):
        add("lora", match[1])
    for resource in resources[:200]:
        if isinstance(resource, dict):
            kind = {"checkpoint": "checkpoint", "lora": "lora", "lycoris": "lora", "dora": "lora"}.get(
                str(resource.get("type", "")).casefold(), "other"
            )
            kind = "embedding" if str(resource.get("type", "")).casefold() in {"embed", "textualinversion"} else kind
            add(kind, as_text(resource.get("modelName")) or as_text(resource.get("modelVersionId")))
    return tuple(found.values())


def _cues(pairs: dict[str, str], models: tuple[ModelName, ...]) -> tuple[str, ...]:
    """What says that a picture was given: a second pass over the drawn picture is none."""
    cues: list[str] = []
    keys = [key.casefold() for key in pairs]
    for beginnings, words in _CUE_KEYS:
        if any(key.startswith(beginnings) for key in keys):
            cues.extend(words)
    again = any(key.startswith(("hires", "hr ")) or key == "refine" for key in keys)
    operations = pairs.get("Operations", "").casefold()
    if "img2img" in operations or ("denoising strength" in keys and not again and not operations):
        cues.append("img2img")
    if "inpaint" in operations:
        cues.append("inpaint")
    if any("ip-adapter" in value.casefold() or "ip_adapter" in value.casefold() for value in pairs.values()):
        cues.append("ip_adapter")
    if any(model.kind == "lora" for model in models):
        cues.append("lora")
    return tuple(cues)
