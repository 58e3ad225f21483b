"""A scorer behind an OpenAI-compatible chat interface that the operator runs, such as vLLM's or Ollama's."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import Any

import msgspec

from rempart.errors import ConfigError, RemoteError
from rempart.net import AllowedHost, Client
from rempart.prompts.ratings import MAX_CHARACTERS, ScoreResult, ScorerUnavailable, Scores
from rempart.prompts.scorers.dialects import DIALECTS, Completion
from rempart.settings import ScorerSettings

_MAX_ANSWER_BYTES = 256 * 1024
_MAX_FILE_BYTES = 64 * 1024

# What opens a control token of a chat format, such as <|x|> or <y>. With a space it is text like any other, so that a
# prompt cannot end its own turn and speak for the scorer.
_CONTROL = re.compile(r"<(?=[|/\w])")


class RemoteScorer:
    """Asks a guard model; which one, and how, is in the settings."""

    def __init__(self, settings: ScorerSettings) -> None:
        """Read the key and the policy, and check that the address can be asked.

        Raises:
            ConfigError: a setting is missing or does not fit, or a file cannot be used.
        """
        if not settings.url or not settings.model:
            raise ConfigError(f"the {settings.kind} scorer needs a url and a model")
        self._dialect = DIALECTS[settings.kind]
        if self._dialect.needs_policy != bool(settings.policy_file):
            needs = "needs a policy_file" if self._dialect.needs_policy else "has a policy of its own, no policy_file"
            raise ConfigError(f"the {settings.kind} scorer {needs}")
        self._url = f"{settings.url.rstrip('/')}/chat/completions"
        self._seconds = settings.seconds
        self._policy = _read(settings.policy_file, "policy") if settings.policy_file else ""
        key = _read(settings.key_file, "key") if settings.key_file else ""
        if not re.fullmatch(r"[\x21-\x7e]*", key):
            raise ConfigError(f"the key in {settings.key_file} must be one line of printable ASCII")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = Client(
            [AllowedHost.of(settings.url, private=settings.private)],
            ca_file=Path(settings.ca_file).expanduser() if settings.ca_file else None,
        )
        self.model = settings.model
        self.digest = hashlib.sha256(msgspec.json.encode(self._body(""), order="sorted")).hexdigest()

    def score(self, text: str) -> ScoreResult:
        """Ask about one text; see :class:`~rempart.prompts.ratings.Scorer`."""
        start = time.monotonic()
        try:
            if len(text) > MAX_CHARACTERS:
                return ScorerUnavailable(self.model, "too_long")
            return self._ask(text, start)
        except RemoteError:
            seconds = time.monotonic() - start
            return ScorerUnavailable(self.model, "timeout" if seconds >= self._seconds else "network", seconds)
        except Exception:  # noqa: BLE001 -- a scorer must not stop the screen; the error may quote the prompt
            return ScorerUnavailable(self.model, "error", time.monotonic() - start)

    def _ask(self, text: str, start: float) -> ScoreResult:
        answer = self._client.request(
            "POST",
            self._url,
            json=self._body(text),
            headers=self._headers,
            max_bytes=_MAX_ANSWER_BYTES,
            seconds=self._seconds,
        )
        seconds = time.monotonic() - start
        if answer.status != 200:  # noqa: PLR2004 -- HTTP's own number
            return ScorerUnavailable(self.model, "status", seconds)
        try:
            completion = msgspec.json.decode(answer.content, type=Completion)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ScorerUnavailable(self.model, "answer", seconds)
        choices = completion.choices
        probabilities = self._dialect.read(choices[0]) if len(choices) == 1 else None
        if probabilities is None:
            return ScorerUnavailable(self.model, "answer", seconds)
        return Scores(self.model, self.digest, probabilities, seconds)

    def _body(self, text: str) -> dict[str, Any]:
        plain = text.encode("utf-8", "replace").decode()  # lone surrogates cannot be sent
        return {
            "model": self.model,
            "temperature": 0,
            "stream": False,
            **self._dialect.ask(_CONTROL.sub("< ", plain), self._policy),
        }


def _read(name: str, what: str) -> str:
    """The text of a small file, without the space around it."""
    try:
        with Path(name).expanduser().open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        raise ConfigError(f"cannot read the scorer's {what} {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the scorer's {what} {name} is not UTF-8 text") from None
    if not text or len(content) > _MAX_FILE_BYTES:
        raise ConfigError(f"the scorer's {what} {name} must hold text, at most {_MAX_FILE_BYTES} bytes")
    return text
