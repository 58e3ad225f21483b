"""Screening prompts. No prompt is kept, logged or repeated in an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from anyio import to_thread
from litestar import post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from rempart.people import Permission
from rempart.prompts import PromptVerdict
from rempart.web.described import problems
from rempart.web.guards import PERMISSION
from rempart.web.services import Services, key_of, services_of
from rempart.web.v1.budget import take_more
from rempart.web.v1.writes import AnyRequest

MOST_PROMPTS: Final = 256
_INLINE_CHARACTERS: Final = 2_000  # a millisecond's worth; what takes longer must not hold up others

Text = Annotated[str, Meta(description="Text as it was typed, or a ComfyUI workflow as JSON.")]
Syntax = Literal[
    "auto", "plain", "a1111", "comfyui", "novelai", "midjourney", "invokeai", "dynamicprompts", "fooocus", "horde"
]
Texts = Annotated[list[str], Meta(max_length=256)]


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt with all that goes to the image generator beside it.

    Attributes:
        negative: what the picture shall not show.
        styles: texts that the front-end adds.
        names: of checkpoints, LoRAs and embeddings.
        has_reference_image: whether a picture goes with it, which no text screen can judge.
        syntax: the front-end that it was written for.
    """

    prompt: Annotated[Text, Meta(examples=["a lighthouse at dusk, oil painting"])]
    negative: str = ""
    styles: Texts = []
    names: Texts = []
    has_reference_image: bool = False
    syntax: Syntax = "auto"


class Prompts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several prompts."""

    items: Annotated[list[Prompt], Meta(min_length=1, max_length=MOST_PROMPTS)]


class PromptVerdicts(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict for each prompt, in their order."""

    results: list[PromptVerdict]


@post(
    "/screen",
    opt={PERMISSION: Permission.SCREEN_PROMPTS},
    status_code=200,
    tags=["screen"],
    responses=problems(body=True),
)
async def screen(request: AnyRequest, data: JSONBody[Prompt]) -> PromptVerdict:
    """Screen one prompt: allow, review or refuse, with all that led to it."""
    return (await _screened(request, (data,)))[0]


@post(
    "/screen/batch",
    opt={PERMISSION: Permission.SCREEN_PROMPTS},
    status_code=200,
    tags=["screen"],
    responses=problems(body=True),
)
async def screen_batch(request: AnyRequest, data: JSONBody[Prompts]) -> PromptVerdicts:
    """Screen several prompts; each counts as a request of its own."""
    await take_more(request, len(data.items) - 1)
    return PromptVerdicts(results=await _screened(request, data.items))


async def _screened(request: AnyRequest, prompts: Sequence[Prompt]) -> list[PromptVerdict]:
    services, key = services_of(request.scope), key_of(request)
    short = sum(len(one.prompt) + len(one.negative) for one in prompts) <= _INLINE_CHARACTERS
    if short and not any(one.styles or one.names for one in prompts) and not services.settings.prompts.scorers:
        verdicts = _screen(services, prompts)
    else:
        verdicts = await to_thread.run_sync(_screen, services, prompts)
    for verdict in verdicts:
        services.counter.count(key.id, "prompt", verdict.verdict)
    return verdicts


def _screen(services: Services, prompts: Sequence[Prompt]) -> list[PromptVerdict]:
    return [
        services.screener.screen(
            one.prompt,
            one.negative,
            styles=one.styles,
            names=one.names,
            has_reference_image=one.has_reference_image,
            syntax=one.syntax,
        )
        for one in prompts
    ]


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (screen, screen_batch)
