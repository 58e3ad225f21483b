"""How each family of guard models is asked, and what of its answers is understood.

An answer that is not understood gives None: nothing unexpected is ever taken for "safe".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rempart.prompts.ratings import VIOLATION


class _Alternative(msgspec.Struct):
    token: str
    logprob: float


class _Token(_Alternative):
    top_logprobs: list[_Alternative] = []


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    """One answer of a chat interface, as far as it matters here."""

    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class Completion(msgspec.Struct):
    """The answers to one request."""

    choices: list[Choice]


class Dialect(msgspec.Struct, frozen=True):
    """One family of models."""

    ask: Callable[[str, str], dict[str, Any]]
    """From the text and the policy to the parts of the request that differ."""
    read: Callable[[Choice], dict[str, float] | None]
    """From an answer to probabilities by concept."""
    needs_policy: bool


_CHILD_SAFETY = "S4"
"""The category that Llama Guard has for what rempart is about, in its versions 2 to 4."""

_UNSAFE = re.compile(r"unsafe\s+(S\d{1,2}(?:\s*,\s*S\d{1,2})*)")

_FORM = (
    'Answer with one JSON object and nothing else: {"violation": 1} if the text goes against this policy, '
    '{"violation": 0} if it does not.'
)

_ALTERNATIVES = 10
_LEAST_MASS = 0.5
"""Share of the probability that "yes" and "no" must have between them for the answer to be one of them."""


def _ask_llama_guard(text: str, _policy: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 100}


def _read_llama_guard(choice: Choice) -> dict[str, float] | None:
    said = _complete(choice)
    if said == "safe":
        return {VIOLATION: 0.0}
    unsafe = _UNSAFE.fullmatch(said or "")
    if unsafe is None:
        return None
    return {VIOLATION: float(_CHILD_SAFETY in re.split(r"\s*,\s*", unsafe[1]))}


def _ask_safeguard(text: str, policy: str) -> dict[str, Any]:
    return {
        "messages": [{"role": "system", "content": f"{policy}\n\n{_FORM}"}, {"role": "user", "content": text}],
        "reasoning_effort": "low",
        "max_tokens": 1024,
    }


def _read_safeguard(choice: Choice) -> dict[str, float] | None:
    try:
        said = msgspec.json.decode(_complete(choice) or "")
    except msgspec.MsgspecError:
        return None
    violation = said.get("violation") if isinstance(said, Mapping) else said
    return {VIOLATION: float(violation)} if isinstance(violation, int) and violation in {0, 1} else None


def _ask_shieldgemma(text: str, policy: str) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": text}],
        "chat_template_kwargs": {"guideline": policy},
        "max_tokens": 1,
        "logprobs": True,
        "top_logprobs": _ALTERNATIVES,
    }


def _read_shieldgemma(choice: Choice) -> dict[str, float] | None:
    tokens = (choice.logprobs and choice.logprobs.content) or []
    if not tokens:
        return None
    mass = {"yes": 0.0, "no": 0.0}
    for alternative in tokens[0].top_logprobs:
        word = alternative.token.strip().lower()
        if alternative.logprob > 0:
            return None
        if word in mass:
            mass[word] += math.exp(alternative.logprob)
    total = mass["yes"] + mass["no"]
    return {VIOLATION: min(1.0, mass["yes"] / total)} if total >= _LEAST_MASS else None


def _complete(choice: Choice) -> str | None:
    """What the model said, if it came to its end."""
    return (choice.message.content or "").strip() if choice.finish_reason == "stop" else None


DIALECTS: Mapping[str, Dialect] = {
    "llama_guard": Dialect(_ask_llama_guard, _read_llama_guard, needs_policy=False),
    "safeguard": Dialect(_ask_safeguard, _read_safeguard, needs_policy=True),
    "shieldgemma": Dialect(_ask_shieldgemma, _read_shieldgemma, needs_policy=True),
}
