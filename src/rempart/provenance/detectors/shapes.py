"""Where each generator that writes its set-up as JSON puts what it says: a row a shape, and its cues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from rempart.provenance.detectors.texts import at_path

MAX_LISTED: Final = 200
"""Models and files of one payload that are named."""

_MAX_NAME = 1024
"""Length up to which a text is the name of a file."""

Data = Mapping[str, Any]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Where a generator puts its settings.

    Paths have dots between keys; of several the first that says something counts.

    Attributes:
        names: keywords of the fields that it writes to; any, where none are given.
        keys: one of these groups of paths must be there; with ``names`` given, none need be.
        equal: a path and what must stand there at the beginning.
        loras: paths of lists of models; entries are names, pairs, or objects.
        cues: what else says that a picture was given.
    """

    kind: str
    software: str
    names: frozenset[str] = frozenset()
    keys: tuple[tuple[str, ...], ...] = ()
    equal: tuple[str, str] = ("", "")
    version: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ("prompt",)
    negative: tuple[str, ...] = ("negative_prompt",)
    seed: tuple[str, ...] = ("seed",)
    sampler: tuple[str, ...] = ("sampler",)
    width: tuple[str, ...] = ("width",)
    height: tuple[str, ...] = ("height",)
    size: tuple[str, ...] = ()
    model: tuple[str, ...] = ("model",)
    model_hash: tuple[str, ...] = ()
    loras: tuple[str, ...] = ("loras",)
    cues: Callable[[Data], tuple[list[str], list[str]]] | None = None
    whole: bool = True
    """Whether a whole payload of this shape is more than a label."""


def _some(value: object) -> bool:
    """Whether a setting says something."""
    return value not in (None, False, "", 0, "None", "none", "Disabled", [], {})


def _names(value: object) -> list[str]:
    """Names of files in a value: a string, an object with a name, or a list of these."""
    found: list[str] = []
    for one in value[:MAX_LISTED] if isinstance(value, list) else [value]:
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, Mapping):
            inner = one.get("image", one)
            name = inner.get("image_name") if isinstance(inner, Mapping) else inner
            if isinstance(name, str):
                found.append(name)
    return [name for name in found if len(name) <= _MAX_NAME and not name.startswith("data:")]


def _by_keys(table: Mapping[str, tuple[str, ...]]) -> Callable[[Data], tuple[list[str], list[str]]]:
    """A reader of cues: where a path says something, its cues hold, and what it names are files."""

    def cues(data: Data) -> tuple[list[str], list[str]]:
        found: list[str] = []
        files: list[str] = []
        for path, words in table.items():
            value = at_path(data, path)
            if _some(value):
                found.extend(words)
                if "image" in path or "mask" in path or "adapter" in path.casefold() or "control" in path:
                    files.extend(_names(value))
        return found, files

    return cues


def _invoke(data: Data) -> tuple[list[str], list[str]]:
    """InvokeAI says in a word what it did, and lists the pictures that guided it."""
    cues, files = _INVOKE_KEYS(data)
    mode = str(data.get("generation_mode", "")).casefold()
    cues.extend(word for word in ("img2img", "inpaint") if word in mode)
    if "outpaint" in mode:
        cues.append("inpaint")
    return cues, files


def _invoke_old(data: Data) -> tuple[list[str], list[str]]:
    cues, files = _INVOKE_OLD_KEYS(data)
    if at_path(data, "image.type") == "img2img":
        cues.append("img2img")
    return cues, files


def _swarm(data: Data) -> tuple[list[str], list[str]]:
    inner = data.get("sui_image_params")
    given = inner if isinstance(inner, Mapping) else {}
    cues, files = _SWARM_KEYS(data)
    if any(str(key).startswith("controlnet") for key in given):
        cues.append("controlnet")
    if any("ipadapter" in str(key) or "promptimage" in str(key) or "revision" in str(key) for key in given):
        cues.append("ip_adapter")
    if "<segment:" in str(given.get("prompt", "")) or "maskimage" in given:
        cues.append("mask")
    return cues, files


def _project(data: Data) -> tuple[list[str], list[str]]:
    kind = str(data.get("ProjectType", "")).casefold()
    return [
        word
        for sign, word in (("imagetoimage", "img2img"), ("inpaint", "inpaint"), ("upscale", "load_image"))
        if sign in kind
    ], []


def _fooocus(data: Data) -> tuple[list[str], list[str]]:
    cues, files = _FOOOCUS_KEYS(data)
    if any("inpaint" in str(key) and _some(value) for key, value in data.items()):
        cues.append("inpaint")
    return cues, files


def _draw_things(data: Data) -> tuple[list[str], list[str]]:
    strength = data.get("strength")
    cues, files = _DRAW_THINGS_KEYS(data)
    if isinstance(strength, int | float) and 0 < strength < 1:
        cues.append("img2img")
    return cues, files


_INVOKE_KEYS: Final = _by_keys(
    {
        "init_image": ("init_image", "img2img"),
        "ref_images": ("ip_adapter",),
        "ipAdapters": ("ip_adapter",),
        "canvas_v2_metadata.referenceImages": ("ip_adapter",),
        "canvas_v2_metadata.controlLayers": ("controlnet",),
        "canvas_v2_metadata.inpaintMasks": ("mask",),
        "controlnets": ("controlnet",),
        "t2iAdapters": ("controlnet",),
        "controlLayers": ("controlnet",),
    }
)
_INVOKE_OLD_KEYS: Final = _by_keys(
    {
        "image.init_image_path": ("init_image", "img2img"),
        "image.mask_image_path": ("mask", "inpaint"),
        "image.init_img": ("init_image", "img2img"),
        "image.init_mask": ("mask", "inpaint"),
        "init_img": ("init_image", "img2img"),
        "init_mask": ("mask", "inpaint"),
    }
)
_SWARM_KEYS: Final = _by_keys(
    {
        "sui_image_params.initimage": ("init_image", "img2img"),
        "sui_image_params.initimagecreativity": ("init_image", "img2img"),
        "sui_image_params.maskimage": ("mask", "inpaint"),
        "sui_image_params.videoinitimage": ("init_image",),
    }
)
_FOOOCUS_KEYS: Final = _by_keys(
    {
        "uov_method": ("img2img",),
        "image_prompts": ("ip_adapter",),
        "input_image": ("init_image",),
        "Input image": ("init_image",),
        "cn_selection": ("controlnet",),
        "control_net": ("controlnet",),
    }
)
_EASY_KEYS: Final = _by_keys(
    {
        "init_image": ("init_image", "img2img"),
        "Initial Image": ("init_image", "img2img"),
        "mask": ("mask", "inpaint"),
        "prompt_strength": ("img2img",),
        "control_image": ("controlnet",),
        "use_controlnet_model": ("controlnet",),
        "use_face_correction_image": ("face_swap",),
    }
)
_DRAW_THINGS_KEYS: Final = _by_keys(
    {
        "control": ("controlnet",),
        "controls": ("controlnet",),
        "v2.controls": ("controlnet",),
        "face_restoration_source": ("face_swap",),
    }
)
_TENSORART_KEYS: Final = _by_keys(
    {
        "controlNet": ("controlnet",),
        "controlNets": ("controlnet",),
        "imageUrl": ("init_image", "img2img"),
        "initImage": ("init_image", "img2img"),
        "initImageUrl": ("init_image", "img2img"),
        "maskImage": ("mask", "inpaint"),
        "ipAdapter": ("ip_adapter",),
    }
)
_ANY_KEYS: Final = _by_keys(
    {
        "init_image": ("init_image", "img2img"),
        "initImage": ("init_image", "img2img"),
        "input_image": ("init_image", "img2img"),
        "image_prompt": ("ip_adapter",),
        "mask": ("mask", "inpaint"),
        "mask_image": ("mask", "inpaint"),
        "controlnet": ("controlnet",),
    }
)

SHAPES: Final = (
    Shape(
        kind="swarmui.parameters",
        software="SwarmUI",
        keys=(("sui_image_params",),),
        version=("sui_image_params.swarm_version",),
        prompt=("sui_image_params.prompt",),
        negative=("sui_image_params.negativeprompt",),
        seed=("sui_image_params.seed",),
        sampler=("sui_image_params.sampler", "sui_image_params.comfyuisampler"),
        width=("sui_image_params.width",),
        height=("sui_image_params.height",),
        model=("sui_image_params.model",),
        loras=("sui_image_params.loras", "sui_image_params.lora"),
        cues=_swarm,
    ),
    Shape(
        kind="invokeai.metadata",
        software="InvokeAI",
        names=frozenset({"invokeai_metadata"}),
        keys=(("generation_mode", "positive_prompt"), ("app_version", "positive_prompt")),
        version=("app_version",),
        prompt=("positive_prompt",),
        negative=("negative_prompt",),
        sampler=("scheduler",),
        model=("model.name", "model.model_name", "model.key"),
        model_hash=("model.hash",),
        cues=_invoke,
    ),
    Shape(
        kind="invokeai.metadata",
        software="InvokeAI",
        names=frozenset({"sd-metadata", "sd_metadata"}),
        equal=("app_id", "invoke-ai/"),
        version=("app_version",),
        prompt=("image.prompt",),
        negative=("image.negative_prompt",),
        seed=("image.seed",),
        sampler=("image.sampler",),
        width=("image.width",),
        height=("image.height",),
        model=("model_weights", "model"),
        model_hash=("model_hash",),
        cues=_invoke_old,
    ),
    Shape(
        kind="stabilitymatrix.parameters",
        software="Stability Matrix",
        names=frozenset({"parameters-json"}),
        keys=(("PositivePrompt", "CfgScale"),),
        prompt=("PositivePrompt",),
        negative=("NegativePrompt",),
        seed=("Seed",),
        sampler=("Sampler",),
        width=("Width",),
        height=("Height",),
        model=("ModelName",),
        model_hash=("ModelHash",),
    ),
    Shape(
        kind="stabilitymatrix.parameters",
        software="Stability Matrix",
        names=frozenset({"smproj"}),
        keys=(("ProjectType", "State"),),
        version=("Version",),
        prompt=(),
        negative=(),
        seed=("State.Seed", "State.SeedCard.Seed"),
        cues=_project,
        whole=False,
    ),
    Shape(
        kind="tensorart.parameters",
        software="TensorArt",
        names=frozenset({"generation_data"}),
        negative=("negativePrompt",),
        sampler=("samplerName", "sampler"),
        model=("baseModel.modelFileName", "baseModel.label"),
        model_hash=("baseModel.hash",),
        loras=("models",),
        cues=_TENSORART_KEYS,
    ),
    Shape(
        kind="fooocus.parameters",
        software="RuinedFooocus",
        equal=("software", "RuinedFooocus"),
        prompt=("Prompt", "prompt"),
        negative=("Negative", "negative_prompt"),
        sampler=("sampler_name",),
        model=("base_model_name",),
        model_hash=("base_model_hash",),
        cues=_fooocus,
    ),
    Shape(
        kind="fooocus.parameters",
        software="Fooocus",
        keys=(("base_model", "prompt"), ("base_model", "full_prompt"), ("Base Model", "Prompt")),
        version=("version", "Version"),
        prompt=("prompt", "full_prompt", "Prompt"),
        negative=("negative_prompt", "full_negative_prompt", "Negative Prompt"),
        seed=("seed", "Seed"),
        sampler=("sampler", "Sampler"),
        size=("resolution", "Resolution"),
        model=("base_model", "Base Model"),
        model_hash=("base_model_hash",),
        cues=_fooocus,
    ),
    Shape(
        kind="easydiffusion.parameters",
        software="Easy Diffusion",
        keys=(("use_stable_diffusion_model",), ("Stable Diffusion model", "Prompt")),
        prompt=("prompt", "Prompt", "original_prompt"),
        negative=("negative_prompt", "Negative Prompt"),
        seed=("seed", "Seed"),
        sampler=("sampler_name", "Sampler"),
        width=("width", "Width"),
        height=("height", "Height"),
        model=("use_stable_diffusion_model", "Stable Diffusion model"),
        loras=("use_lora_model", "LoRA model"),
        cues=_EASY_KEYS,
    ),
    Shape(
        kind="drawthings.parameters",
        software="Draw Things",
        keys=(("c", "uc", "sampler"), ("c", "model", "sampler", "seed"), ("c", "v2")),
        version=("v2.version",),
        prompt=("c",),
        negative=("uc",),
        size=("size",),
        width=("v2.width",),
        height=("v2.height",),
        model=("model", "v2.model"),
        loras=("lora", "v2.loras"),
        cues=_draw_things,
    ),
    Shape(
        kind="hfspace.parameters",
        software="Hugging Face Space",
        keys=(("Model", "resolution"), ("Model", "prompt", "num_inference_steps")),
        size=("resolution",),
        model=("Model", "Model.Model"),
        model_hash=("Model hash", "Model.Model hash"),
        cues=_ANY_KEYS,
    ),
    Shape(
        kind="civitai.parameters",
        software="Civitai",
        keys=(("resources", "prompt", "cfgScale"), ("civitaiResources", "prompt"), ("extra.airs",)),
        negative=("negativePrompt",),
        model=(),
        cues=_ANY_KEYS,
    ),
)

# What settings are called in payloads of programs that have no row of their own; two of the last are asked for.
PROMPTS: Final = ("prompt", "positive_prompt", "positiveprompt", "positive", "text_prompts", "caption")
SETTINGS: Final = (
    ("seed",),
    ("steps", "num_inference_steps", "sampling_steps", "ddim_steps"),
    ("cfg_scale", "cfgscale", "cfg", "guidance_scale", "guidance", "scale"),
    ("sampler", "sampler_name", "scheduler"),
    ("model", "checkpoint", "model_name", "ckpt", "sd_model", "model_hash"),
    ("negative_prompt", "negativeprompt", "uc", "negative", "negative_prompts"),
)
ENOUGH_SETTINGS: Final = 2
ANY: Final = Shape(
    kind="sd.parameters",
    software="",
    version=("version", "app_version"),
    prompt=PROMPTS,
    negative=("negative_prompt", "negativeprompt", "negative_prompts", "negative", "uc"),
    sampler=("sampler", "sampler_name", "scheduler"),
    size=("size", "resolution"),
    model=("model", "checkpoint", "model_name", "ckpt", "sd_model"),
    model_hash=("model_hash",),
    cues=_ANY_KEYS,
    whole=False,
)
SOFTWARE_KEYS: Final = ("software", "app", "generator", "app_name", "application")
UNIQUE: Final = frozenset().union(*(shape.names for shape in SHAPES))
"""Keywords that one generator alone writes."""
