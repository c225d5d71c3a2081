"""A BERT sentence encoder in NumPy alone: the weights as arrays, the forward pass as in the paper (Devlin et al. 2018).

It begins in a fraction of a second where torch takes eight, so a question is encoded here. It knows what the small
sentence encoders are made of (`model_type` bert, GELU, mean or first-token pooling, unit length) and says so of others.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.protocol import Vectors

Ids = NDArray[np.int64]
# More tokens at once leave the cache of the processor, fewer leave the matrix product too thin (measured).
_TOKENS_AT_ONCE = 2_048
_READABLE_MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class Layer:
    """One layer's arrays; matrices stand ready for `rows @ matrix`, and query, key and value are one matrix."""

    qkv: tuple[Vectors, Vectors]
    mixed: tuple[Vectors, Vectors]
    mixed_norm: tuple[Vectors, Vectors]
    wide: tuple[Vectors, Vectors]
    narrow: tuple[Vectors, Vectors]
    norm: tuple[Vectors, Vectors]


class ArrayBert:
    """The encoder in one folder. Reads everything at once; thread-safe afterwards, since nothing is changed."""

    def __init__(self, folder: Path) -> None:
        """Load `model.safetensors`. Ask `can_read` first."""
        from safetensors.numpy import load_file

        config = _read_json(folder / "config.json")
        tensors = {name.removeprefix("bert."): value for name, value in load_file(folder / "model.safetensors").items()}
        self.heads = int(config["num_attention_heads"])
        self.epsilon = float(config.get("layer_norm_eps", 1e-12))
        self.takes_first = bool(_pooling(folder).get("pooling_mode_cls_token"))
        self.words = _array(tensors, "embeddings.word_embeddings.weight")
        # Every token is of the first segment, so that its vector can be added to the places once for all.
        self.places = (
            _array(tensors, "embeddings.position_embeddings.weight")
            + _array(tensors, "embeddings.token_type_embeddings.weight")[0]
        )
        self.first_norm = _pair(tensors, "embeddings.LayerNorm")
        self.layers = [_layer(tensors, f"encoder.layer.{n}.") for n in range(int(config["num_hidden_layers"]))]

    @staticmethod
    def can_read(folder: Path) -> bool:
        """Whether the model in `folder` is of the kind that is computed here."""
        config, pooling = _read_json(folder / "config.json"), _pooling(folder)
        modules = tuple(str(row.get("type", "")).rsplit(".", 1)[-1] for row in _read_rows(folder / "modules.json"))
        return (
            config.get("model_type") == "bert"
            and config.get("hidden_act") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and modules == _READABLE_MODULES
            and bool(pooling.get("pooling_mode_mean_tokens")) != bool(pooling.get("pooling_mode_cls_token"))
            and (folder / "model.safetensors").is_file()
        )

    def embed(self, ids: Sequence[Sequence[int]]) -> Vectors:
        """float32 (len(ids), dimension), unit rows in the order of `ids`, the tokens of each text, special ones too."""
        out = np.zeros((len(ids), self.words.shape[1]), np.float32)
        for batch in batches_by_length([len(row) for row in ids], _TOKENS_AT_ONCE):
            out[batch] = self._embed_batch([ids[place] for place in batch])
        return out

    def padded(self, ids: Sequence[Sequence[int]]) -> tuple[Ids, NDArray[np.bool_]]:
        """int64 (texts, tokens of the longest) filled up with 0, and where the tokens are."""
        lengths = np.array([len(row) for row in ids])
        filled = np.zeros((len(ids), int(lengths.max())), np.int64)
        for place, row in enumerate(ids):
            filled[place, : len(row)] = row
        return filled, np.arange(filled.shape[1]) < lengths[:, None]

    def _embed_batch(self, ids: Sequence[Sequence[int]]) -> Vectors:
        filled, mask = self.padded(ids)
        states = self._forward(filled, None if mask.all() else mask)
        pooled = states[:, 0] if self.takes_first else np.einsum("nld,nl->nd", states, mask.astype(np.float32))
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), np.float32)

    def _forward(self, ids: Ids, mask: NDArray[np.bool_] | None) -> Vectors:
        """float32 (texts, tokens, dimension) of the last layer; `mask` is False where a place only fills up."""
        count, length = ids.shape
        rows = (self.words[ids] + self.places[:length]).reshape(count * length, -1)
        rows = _normed(rows, self.first_norm, self.epsilon)
        for layer in self.layers:
            mixed = _affine(self._attended(_affine(rows, layer.qkv), (count, length), mask), layer.mixed)
            mixed += rows
            rows = _normed(mixed, layer.mixed_norm, self.epsilon)
            widened = _affine(_gelu(_affine(rows, layer.wide)), layer.narrow)
            widened += rows
            rows = _normed(widened, layer.norm, self.epsilon)
        return rows.reshape(count, length, -1)

    def _attended(self, qkv: Vectors, shape: tuple[int, int], mask: NDArray[np.bool_] | None) -> Vectors:
        """float32 (texts * tokens, dimension) from (texts * tokens, 3 * dimension)."""
        count, length = shape
        width = qkv.shape[1] // 3 // self.heads
        query, key, value = qkv.reshape(count, length, 3, self.heads, width).transpose(2, 0, 3, 1, 4)
        scores = query @ key.swapaxes(-1, -2)
        scores *= np.float32(1.0 / math.sqrt(width))
        if mask is not None:
            scores += np.where(mask, np.float32(0.0), np.float32(-1e9))[:, None, None, :]
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return np.ascontiguousarray((scores @ value).transpose(0, 2, 1, 3)).reshape(count * length, -1)


def batches_by_length(lengths: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """Places of texts grouped by length, longest first, so that a batch of at most `most_tokens` carries no padding.

    No more batches than that takes, and of about one size: a last one of a text or two costs as much as half a batch.
    """
    ordered = sorted(range(len(lengths)), key=lambda place: lengths[place], reverse=True)
    falling = [lengths[place] for place in ordered]
    fewest = len(_ends_of_batches(falling, most_tokens))
    least, most = 1, most_tokens
    while least < most:
        middle = (least + most) // 2
        if len(_ends_of_batches(falling, middle)) > fewest:
            least = middle + 1
        else:
            most = middle
    start = 0
    for end in _ends_of_batches(falling, most):
        yield ordered[start:end]
        start = end


def _ends_of_batches(falling: Sequence[int], most_tokens: int) -> list[int]:
    """Where batches end that take as many texts as `most_tokens` lets them, one at least."""
    ends, end = [], 0
    while end < len(falling):
        end = min(len(falling), end + max(1, most_tokens // max(1, falling[end])))
        ends.append(end)
    return ends


def _affine(rows: Vectors, weights: tuple[Vectors, Vectors]) -> Vectors:
    product: Vectors = rows @ weights[0]
    product += weights[1]
    return product


def _normed(rows: Vectors, weights: tuple[Vectors, Vectors], epsilon: float) -> Vectors:
    """Layer normalisation; `rows` is overwritten."""
    rows -= rows.mean(axis=-1, keepdims=True)
    variance = np.einsum("nd,nd->n", rows, rows)[:, None] / np.float32(rows.shape[-1])
    rows /= np.sqrt(variance + np.float32(epsilon))
    rows *= weights[0]
    rows += weights[1]
    return rows


def _gelu(x: Vectors) -> Vectors:
    """The Gaussian error linear unit; erf by Abramowitz and Stegun 7.1.26, whose error is below 1.5e-7."""
    z = np.abs(x) * np.float32(math.sqrt(0.5))
    t = np.float32(1.0) / (np.float32(1.0) + np.float32(0.3275911) * z)
    tail = np.full_like(t, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail *= t
        tail += np.float32(coefficient)
    tail *= t
    tail *= np.exp(-z * z)
    # Half the tail on the other side of zero: Phi(-|x|) = tail / 2.
    tail *= np.float32(0.5)
    return np.asarray(np.where(x >= 0, x - x * tail, x * tail), np.float32)


def _layer(tensors: Mapping[str, Any], prefix: str) -> Layer:
    attention = f"{prefix}attention."
    parts = [_linear(tensors, f"{attention}self.{name}") for name in ("query", "key", "value")]
    return Layer(
        qkv=(np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts])),
        mixed=_linear(tensors, f"{attention}output.dense"),
        mixed_norm=_pair(tensors, f"{attention}output.LayerNorm"),
        wide=_linear(tensors, f"{prefix}intermediate.dense"),
        narrow=_linear(tensors, f"{prefix}output.dense"),
        norm=_pair(tensors, f"{prefix}output.LayerNorm"),
    )


def _linear(tensors: Mapping[str, Any], name: str) -> tuple[Vectors, Vectors]:
    return np.ascontiguousarray(_array(tensors, f"{name}.weight").T), _array(tensors, f"{name}.bias")


def _pair(tensors: Mapping[str, Any], name: str) -> tuple[Vectors, Vectors]:
    return _array(tensors, f"{name}.weight"), _array(tensors, f"{name}.bias")


def _array(tensors: Mapping[str, Any], name: str) -> Vectors:
    return np.asarray(tensors[name], np.float32)


def _pooling(folder: Path) -> dict[str, Any]:
    return _read_json(next(iter(sorted(folder.glob("*_Pooling/config.json"))), folder / "none"))


def _read_json(path: Path) -> dict[str, Any]:
    loaded = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return loaded if isinstance(loaded, dict) else {}


def _read_rows(path: Path) -> list[dict[str, Any]]:
    loaded = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [row for row in loaded if isinstance(row, dict)] if isinstance(loaded, list) else []
