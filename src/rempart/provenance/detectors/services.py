"""Services and programs that name themselves: in a tag of their own, a signature, a trailer, or the usual tags."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from rempart.provenance.detectors.texts import Looking, Text, as_text, finding, quoted, read_json
from rempart.provenance.evidence import Evidence, Setup, Strength
from rempart.provenance.fields import Field

READER: Final = "services"

_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"

# A generator's name alone, with a version at most: "Reve" is one, a sentence with the word in it is not.
_NAMES: Final = (
    ("NovelAI", r"NovelAI"),
    ("Midjourney", r"Mid-?journey"),
    ("Ideogram", r"Ideogram(?: AI|\.ai)?"),
    ("Reve", r"Reve(?: AI| Image|\.com|\.art)?"),
    ("Recraft", r"Recraft(?: AI|\.ai)?"),
    ("Krea", r"Krea(?: AI|\.ai)?"),
    ("Leonardo", r"Leonardo(?: AI|\.ai)"),
    ("Draw Things", r"Draw ?Things"),
    ("ComfyUI", r"ComfyUI"),
    ("InvokeAI", r"Invoke ?AI"),
    ("SwarmUI", r"SwarmUI|StableSwarmUI"),
    ("Fooocus", r"(?:Ruined ?)?Fooocus(?:[ -]?MRE)?"),
    ("Easy Diffusion", r"Easy ?Diffusion"),
    ("SD.Next", r"SD\.Next"),
    ("DiffusionBee", r"DiffusionBee"),
    ("Mochi Diffusion", r"Mochi ?Diffusion"),
    ("NMKD", r"NMKD Stable Diffusion GUI|NMKDiffusion"),
    ("Stable Diffusion", r"Stable ?Diffusion(?: Web ?UI| XL| 3(?:\.5)?)?|stable-diffusion-webui|Automatic1111|SDXL"),
    ("Stability Matrix", r"Stability ?Matrix"),
    ("DreamStudio", r"DreamStudio|Stability AI"),
    ("OpenAI", r"OpenAI|DALL[-·. ]?E|ChatGPT|gpt-image|OpenAI Sora"),
    ("xAI Grok", r"Grok(?: Imagine)?|xAI"),
    ("Adobe Firefly", r"Adobe Firefly"),
    ("Google", r"Google (?:Imagen|Gemini|AI)|Nano Banana"),
    ("Black Forest Labs", r"Black Forest Labs|FLUX(?:\.1|\.2)?(?: \[?(?:dev|pro|schnell)\]?)?"),
    ("Microsoft", r"Bing Image Creator|Microsoft Designer|Image Creator from (?:Microsoft )?Designer"),
    ("Doubao", r"Doubao|豆包"),
    ("Jimeng", r"Jimeng|即梦(?:AI)?|Dreamina|Seedream"),
    ("Kling", r"Kling(?: AI)?|可灵(?:AI)?"),
    ("Hailuo", r"Hailuo(?: AI)?"),
    ("Tongyi", r"Tongyi Wanxiang|通义万相|Qwen-Image"),
    ("Ernie", r"ERNIE-ViLG|文心一格"),
    ("NightCafe", r"NightCafe(?: Studio| Creator)?"),
    ("Playground", r"Playground AI"),
    ("PixAI", r"PixAI(?:\.art)?"),
    ("SeaArt", r"SeaArt(?:\.ai| AI)?"),
    ("TensorArt", r"Tensor\.?Art"),
    ("Civitai", r"Civitai"),
)
_NAMED: Final = tuple(
    (name, re.compile(rf"(?:{pattern})(?:[ /_-]{{1,3}}(?:v|V|version )?\d[\w.]{{0,12}})?", re.IGNORECASE))
    for name, pattern in _NAMES
)
_MAX_NAME = 60

_GOOGLE = re.compile(r"(Made|Edited|Created|Generated) with Google(?: AI| Gemini)\W{0,2}", re.IGNORECASE)
_JOB = re.compile(rf"\s*Job ID: ({_UUID})\s*\Z")
_OPTION = re.compile(r"\s--([a-z]{1,12})(?: ([^-\s][^\s]{0,400}))?")
_LINK = re.compile(r"https?://[^\s]{1,400}")
_SIGNATURE = re.compile(r"\s*Signature: ([A-Za-z0-9+/]{80,4000}={0,2})\s*\Z")
_PEG = b"PEg_Info{"
_TAIL = 1024 * 1024
_HOST = re.compile(r"[A-Za-z0-9_.:/-]{1,200}")


def read_names(texts: list[Text], _looking: Looking) -> Iterator[Evidence]:
    """A label for each generator that names itself as the software or the camera."""
    seen: set[str] = set()
    for text in texts:
        said = text.text.strip()
        if not said or len(said) > _MAX_NAME:
            continue
        name = next((name for name, pattern in _NAMED if pattern.fullmatch(said)), None)
        if name and name not in seen:
            seen.add(name)
            yield finding(
                text,
                READER,
                "exif.generator",
                "generator_present",
                Strength.UNSIGNED_LABEL,
                "unsigned_label",
                generator=said,
                setup=Setup(software=name),
            )


def read_google(texts: list[Text], _looking: Looking) -> Iterator[Evidence]:
    """The credit line of Google's generators; one that says *edited* tells of a picture that was there before."""
    for text in texts:
        found = _GOOGLE.fullmatch(text.text.strip()[:_MAX_NAME])
        if found:
            yield finding(
                text,
                READER,
                "google.credit",
                "generator_present",
                Strength.UNSIGNED_LABEL,
                "unsigned_label",
                generator="Google AI",
                cues=("edited_picture",) if found[1].casefold() == "edited" else (),
                setup=Setup(software="Google AI"),
            )
            return


def read_midjourney(texts: list[Text], _looking: Looking) -> Iterator[Evidence]:
    """Midjourney's description: the prompt with its options, then the job's id, which XMP repeats as the picture's."""
    ids = {text.text.strip().casefold() for text in texts if text.name in {"digimageguid", "imageuniqueid"}}
    by = any(text.name == "author" for text in texts)
    for text in texts:
        near = max(0, len(text.text) - _MAX_NAME - 40)
        found = _JOB.search(text.text, near) if text.name not in {"digimageguid", "author"} else None
        if found is None:
            continue
        said = text.text[: found.start()].strip()
        options = {match[1]: (match[2] or "") for match in _OPTION.finditer(" " + said)}
        begin = re.search(r"\s--[a-z]", " " + said)
        prompt = said[: begin.start()].strip() if begin else said
        cues = ["init_image"] if _LINK.match(prompt) else []
        cues += ["ip_adapter"] if options.keys() & {"cref", "oref", "sref"} else []
        files = [match[0] for match in _LINK.finditer(said)][:16]
        setup = Setup(
            software="Midjourney",
            version=f"niji {options['niji']}" if "niji" in options else quoted(options.get("v", "")),
            prompt=prompt,
            negative=quoted(options["no"]) if "no" in options else None,
            seed=quoted(options.get("seed", "")),
            files=tuple(dict.fromkeys(quoted(name) for name in files)),
        )
        whole = bool(said) and (by or found[1].casefold() in ids) and (not ids or found[1].casefold() in ids)
        yield finding(
            text,
            READER,
            "midjourney.description",
            "generator_present",
            Strength.UNSIGNED_STRUCTURED if whole else Strength.UNSIGNED_LABEL,
            "unsigned_payload" if whole else "unsigned_label",
            generator="Midjourney",
            cues=tuple(cues),
            setup=setup,
        )
        return


def read_grok(texts: list[Text], _looking: Looking) -> Iterator[Evidence]:
    """A signature line of xAI beside an artist that is a UUID; its key is not public, so nobody here can verify it."""
    artists = [text.text.strip() for text in texts if text.name == "artist"]
    for text in texts:
        found = _SIGNATURE.match(text.text) if text.name != "artist" else None
        if found is None:
            continue
        try:
            base64.b64decode(found[1], validate=True)
        except (binascii.Error, ValueError):
            continue
        if any(re.fullmatch(_UUID, artist) for artist in artists):
            yield finding(
                text,
                READER,
                "grok.signature",
                "generator_present",
                Strength.UNSIGNED_STRUCTURED,
                "unverifiable_signature",
                generator="xAI Grok",
                setup=Setup(software="xAI Grok"),
            )
            return


def read_samsung(_texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """Samsung's trailer of pictures that its AI functions changed: ``PEg_Info{"genAIType": n}`` behind the end."""
    places = [(one, one.data, one.offset) for one in looking.view.fields if one.container == "trailer"]
    if not places:
        content = looking.view.content
        start = max(0, len(content) - _TAIL)
        at = content.rfind(_PEG, start)
        places = (
            [(Field(container="trailer", name="", data=content[at:], offset=at), content[at:], at)] if at >= 0 else []
        )
    for field, data, offset in places:
        at = data.rfind(_PEG)
        end = data.find(b"}", at) + 1
        if at < 0 or end <= at or end - at > 4096:  # noqa: PLR2004 -- it is short
            continue
        raw = data[at + len(_PEG) - 1 : end]
        said = read_json(raw.decode("utf-8", "replace"), looking.limits).value
        kind = as_text(said.get("genAIType")) if isinstance(said, dict) else ""
        if kind in {"", "0", "-1"}:
            continue
        place = Field(container=field.container, name="PEg_Info", data=raw, offset=offset + at if offset >= 0 else -1)
        yield finding(
            place,
            READER,
            "samsung.trailer",
            "generator_present",
            Strength.UNSIGNED_LABEL,
            "unsigned_label",
            generator=f"Samsung Galaxy AI genAIType {kind}",
            cues=("edited_picture",),
            setup=Setup(software="Samsung Galaxy AI"),
            excerpt=raw.decode("utf-8", "replace"),
        )
        return


def read_bytedance(texts: list[Text], looking: Looking) -> Iterator[Evidence]:
    """ByteDance's own note, older than the standard label: a type and a source under the key ``aigc_info``."""
    for text in texts:
        said = looking.json_object(text.text).get("aigc_info")
        if not isinstance(said, dict):
            continue
        source = as_text(said.get("source_info"))
        kind = said.get("aigc_label_type")
        if any(pattern.match(source) for _, pattern in _NAMED) or (isinstance(kind, int) and kind > 0):
            yield finding(
                text,
                READER,
                "exif.generator",
                "generator_present",
                Strength.UNSIGNED_LABEL,
                "unsigned_label",
                generator=source or "ByteDance",
                setup=Setup(software=source or "ByteDance"),
            )
            return


def read_host(texts: list[Text], _looking: Looking) -> Iterator[Evidence]:
    """A job's id at a host of programs of all kinds: says where a file came from, not what made the picture."""
    for text in texts:
        if _HOST.fullmatch(text.text.strip()):
            yield finding(
                text,
                READER,
                "host.marker",
                "host_present",
                Strength.UNSIGNED_LABEL,
                "host_marker",
                generator="Hugging Face job",
            )
            return
