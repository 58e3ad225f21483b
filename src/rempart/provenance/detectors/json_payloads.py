"""Set-ups that generators write as JSON, or as one text chunk a setting, read by the rows of ``shapes``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from rempart.provenance.detectors.novelai_text import OWN_KEYS
from rempart.provenance.detectors.shapes import (
    ANY,
    ENOUGH_SETTINGS,
    MAX_LISTED,
    PROMPTS,
    SETTINGS,
    SHAPES,
    SOFTWARE_KEYS,
    UNIQUE,
    Data,
    Shape,
)
from rempart.provenance.detectors.texts import (
    Looking,
    Text,
    as_size,
    as_text,
    at_path,
    broken,
    fits,
    payload,
    quoted,
    size_in,
)
from rempart.provenance.evidence import Evidence, ModelName, Setup

READER: Final = "json"

_LORA = re.compile(r"<(?:lora|lyco):([^:<>\n]{1,200})[:>]")


def read(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """A record for each text that is JSON of a known shape, or of none but with the settings of a generator."""
    for text in texts:
        if text.name in {"invokeai_graph", "invokeai_workflow", "workflow"} or not text.text.lstrip().startswith("{"):
            continue
        found = looking.json(text.text)
        if found.problem:
            if text.name in UNIQUE:
                shape = next(shape for shape in SHAPES if text.name in shape.names)
                yield broken(text, READER, shape.kind, shape.software, found.problem)
            elif text.name in {"parameters", "usercomment", "comment"} and found.problem != "not_json":
                yield broken(text, READER, "sd.parameters", "", found.problem)
            continue
        data = found.value
        if not isinstance(data, dict) or any(isinstance(one, dict) and "class_type" in one for one in data.values()):
            continue
        known = next((shape for shape in SHAPES if _is(shape, text.name, data)), None)
        if known is not None:
            yield _record(text, known, data, looking)
        elif _is_setup(data):
            yield _record(text, ANY, {str(key).casefold(): value for key, value in data.items()}, looking)


def read_dream(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """InvokeAI's oldest form: the command that was given, such as ``"a lighthouse" -s 50 -S 7 -W 512 -H 512``."""
    for text in texts:
        found = _DREAM.match(text.text)
        if found is None:
            continue
        given = {match[1]: match[2] for match in _OPTION.finditer(text.text[found.end() : found.end() + 4096])}
        prompt, negative = _bracketed(found[1])
        width, height = as_size(given.get("W")), as_size(given.get("H"))
        cues = [words for option, words in (("I", "init_image"), ("f", "img2img"), ("M", "mask")) if option in given]
        files = tuple(quoted(given[option].strip('"')) for option in ("I", "M") if option in given)
        setup = Setup(
            software="InvokeAI",
            prompt=prompt,
            negative=negative,
            seed=quoted(given.get("S", "")),
            sampler=quoted(given.get("A", "")),
            width=width,
            height=height,
            files=files,
        )
        whole = {"s", "S"} <= given.keys() and fits(looking.view, width, height)
        yield payload(text, READER, "invokeai.metadata", setup, whole=whole, cues=tuple(cues))


_DREAM = re.compile(r'(?:dream> ?)?"([^"]{0,100000})"', re.DOTALL)
_OPTION = re.compile(r'\s-{1,2}(\w{1,30})[ =]?("[^"]{0,400}"|[^\s-][^\s]{0,400})')


def read_chunks(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """Easy Diffusion writes a text chunk for each setting."""
    first: dict[str, Text] = {}
    for text in texts:
        first.setdefault(text.field.name, text)
    data = {name: text.text for name, text in first.items()}
    shape = next(shape for shape in SHAPES if shape.software == "Easy Diffusion")
    if _is(shape, "", data):
        at = first.get("use_stable_diffusion_model") or first["Stable Diffusion model"]
        yield _record(at, shape, data, looking)


def _is(shape: Shape, name: str, data: Data) -> bool:
    path, beginning = shape.equal
    if path:
        value = at_path(data, path)
        return isinstance(value, str) and value.startswith(beginning)
    if shape.names and name in shape.names:
        return True
    return any(all(at_path(data, key) is not None for key in group) for group in shape.keys)


def _is_setup(data: Data) -> bool:
    """Whether an object has a prompt and enough of the settings that all generators have."""
    keys = {str(key).casefold().replace(" ", "_") for key in data}
    if keys.isdisjoint(PROMPTS) or not keys.isdisjoint(OWN_KEYS):
        return False
    return sum(not keys.isdisjoint(names) for names in SETTINGS) > ENOUGH_SETTINGS


def _record(text: Text, shape: Shape, data: Data, looking: Looking) -> Evidence:
    prompt = _prompt(data, shape.prompt)
    negative = _prompt(data, shape.negative)
    if negative is None and prompt is not None and shape.equal[0] == "app_id":
        prompt, negative = _bracketed(prompt)
    width, height = (as_size(_first(data, paths)) for paths in (shape.width, shape.height))
    if not (width and height) and shape.size:
        width, height = size_in(_first(data, shape.size))
    cues, files = shape.cues(data) if shape.cues is not None else ([], [])
    models = _models(data, shape, prompt or "")
    if any(model.kind == "lora" for model in models):
        cues = [*cues, "lora"]
    setup = Setup(
        software=shape.software or as_text(_first(data, SOFTWARE_KEYS)),
        version=as_text(_first(data, shape.version)),
        prompt=prompt,
        negative=negative,
        seed=as_text(_first(data, shape.seed)),
        sampler=as_text(_first(data, shape.sampler)),
        width=width,
        height=height,
        models=models,
        files=tuple(dict.fromkeys(quoted(name) for name in files))[:MAX_LISTED],
    )
    whole = shape.whole and prompt is not None and fits(looking.view, width, height)
    return payload(text, READER, shape.kind, setup, whole=whole, cues=tuple(cues))


def _first(data: Data, paths: tuple[str, ...]) -> object:
    for path in paths:
        value = at_path(data, path)
        if value is not None and value not in ("", []):
            return value
    return None


def _prompt(data: Data, paths: tuple[str, ...]) -> str | None:
    """A prompt: a text, or a list of texts or of objects with one each."""
    value = _first(data, paths)
    if isinstance(value, list):
        parts = [one.get("prompt") if isinstance(one, Mapping) else one for one in value]
        return "\n".join(part for part in parts if isinstance(part, str)) if parts else None
    if isinstance(value, str):
        return value
    return "" if any(at_path(data, path) is not None for path in paths) else None


def _bracketed(said: str) -> tuple[str, str | None]:
    """InvokeAI once wrote what to draw away from in square brackets."""
    away = re.findall(r"\[([^\[\]]*)\]", said)
    return re.sub(r"\[[^\[\]]*\]", " ", said).strip() if away else said, ", ".join(away) if away else None


def _models(data: Data, shape: Shape, prompt: str) -> tuple[ModelName, ...]:
    found: dict[tuple[str, str], ModelName] = {}

    def add(kind: str, name: str, digest: str = "") -> None:
        if name and len(found) < MAX_LISTED:
            found.setdefault((kind, name), ModelName(kind=kind, name=quoted(name), hash=quoted(digest)))

    named = _named(data, shape.model)
    if named != "None":
        add("checkpoint", named, _named(data, shape.model_hash))
    for path in shape.loras:
        value = at_path(data, path)
        for one in value[:MAX_LISTED] if isinstance(value, list) else [value]:
            kind, name, sum_ = _lora(one)
            if name not in {"", "None"}:
                add(kind, name, sum_)
    for match in _LORA.finditer(prompt):
        add("lora", match[1])
    listed = data.get("sui_models")
    for one in listed[:MAX_LISTED] if isinstance(listed, list) else ():
        if isinstance(one, Mapping):
            param = str(one.get("param", ""))
            kind = "lora" if "lora" in param else "checkpoint" if param == "model" else "other"
            add(kind, as_text(one.get("name")), as_text(one.get("hash")))
    return tuple(found.values())


def _named(data: Data, paths: tuple[str, ...]) -> str:
    """The first of some paths where a name stands."""
    return next((name for path in paths if (name := as_text(at_path(data, path)))), "")


_LORA_NAMES = (
    *("name", "file", "model", "lora", "model_name", "modelFileName", "model.name", "model.model_name"),
    *("lora.model_name", "lora.name", "model.key", "label"),
)


def _lora(one: object) -> tuple[str, str, str]:
    """Kind, name and hash of an entry of a list of LoRAs: a name, a list that begins with it, or an object."""
    if isinstance(one, str):
        return "lora", as_text(one), ""
    if isinstance(one, list):
        return "lora", as_text(one[0]) if one else "", as_text(one[2]) if len(one) > 2 else ""  # noqa: PLR2004 -- name, weight, hash
    if not isinstance(one, Mapping):
        return "lora", "", ""
    said = str(one.get("type", "")).casefold()
    kind = "lora" if not said or "lora" in said or "lyco" in said else "checkpoint" if "check" in said else "other"
    return kind, _named(one, _LORA_NAMES), _named(one, ("hash", "model.hash", "model_hash"))
