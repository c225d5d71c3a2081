"""The same BERT sentence encoder in torch, for many texts: in float32, or with eight-bit matrix products.

Nothing but torch is imported, and only when an encoder is made. The eight-bit products quantise every column of
weights by a scale of its own and the rows that meet them by one scale a batch, after the difference in size between the
columns of these rows has been moved into the weights (SmoothQuant, Xiao et al. 2023).
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from retrieval.bert_arrays import ArrayBert, Layer, batches_by_length
from retrieval.protocol import Vectors

Precision = Literal["float32", "int8"]
_PRODUCTS = ("qkv", "mixed", "wide", "narrow")
# How much of the difference between columns goes into the weights; what comes out of GELU has the largest outliers.
# Cosine to float32 on corpus passages, mean and least: .997 and .995; unsmoothed .9925 and .986 (DECISIONS.md).
_SMOOTHING = {"qkv": 0.5, "mixed": 0.5, "wide": 0.5, "narrow": 0.7}
_ENGINES = ("onednn", "x86", "fbgemm")
Product = Callable[[Any], Any]


class TorchBert:
    """The encoder that `ArrayBert` read, computed by torch. One caller at a time."""

    def __init__(
        self, arrays: ArrayBert, precision: Precision, tokens_at_once: int, examples: Sequence[Sequence[int]]
    ) -> None:
        """`examples` are token ids of ordinary texts; int8 takes the sizes of the columns from them.

        Raises RuntimeError where torch has no eight-bit products on this machine.
        """
        self._arrays = arrays
        self._tokens_at_once = tokens_at_once
        self._words, self._places = _tensor(arrays.words), _tensor(arrays.places)
        self._first_norm = _both(arrays.first_norm)
        self._norms = [(_both(layer.mixed_norm), _both(layer.norm)) for layer in arrays.layers]
        self._products = [_exact_products(layer) for layer in arrays.layers]
        if precision == "int8":
            self._products = self._quantised(examples)

    def embed(self, ids: Sequence[Sequence[int]]) -> Vectors:
        """float32 (len(ids), dimension), unit rows in the order of `ids`, the tokens of each text, special ones too."""
        import torch

        out = np.zeros((len(ids), self._words.shape[1]), np.float32)
        with torch.inference_mode():
            for batch in batches_by_length([len(row) for row in ids], self._tokens_at_once):
                out[batch] = self._embed_batch([ids[place] for place in batch]).numpy()
        return out

    def _embed_batch(self, ids: Sequence[Sequence[int]]) -> Any:
        import torch

        padded, mask = self._arrays.padded(ids)
        seen = torch.from_numpy(mask)
        states = self._forward(torch.from_numpy(padded), None if mask.all() else seen[:, None, None, :])
        # The length of the sum does not matter: it is brought to 1.
        pooled = states[:, 0] if self._arrays.takes_first else torch.einsum("nld,nl->nd", states, seen.float())
        return torch.nn.functional.normalize(pooled, dim=1)

    def _forward(self, ids: Any, mask: Any) -> Any:
        from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

        (count, length), width, heads = ids.shape, self._words.shape[1], self._arrays.heads
        epsilon = self._arrays.epsilon
        rows = (self._words[ids] + self._places[:length]).reshape(count * length, width)
        rows = layer_norm(rows, (width,), *self._first_norm, epsilon)
        for products, (mixed_norm, norm) in zip(self._products, self._norms, strict=True):
            qkv = products["qkv"](rows).view(count, length, 3, heads, width // heads)
            query, key, value = qkv.permute(2, 0, 3, 1, 4)
            attended = scaled_dot_product_attention(query, key, value, attn_mask=mask)
            attended = attended.transpose(1, 2).reshape(count * length, width)
            rows = layer_norm(products["mixed"](attended).add_(rows), (width,), *mixed_norm, epsilon)
            widened = products["narrow"](gelu(products["wide"](rows)))
            rows = layer_norm(widened.add_(rows), (width,), *norm, epsilon)
        return rows.view(count, length, width)

    def _quantised(self, examples: Sequence[Sequence[int]]) -> list[dict[str, Product]]:
        """Run the examples in float32, note the largest value of every column, then quantise."""
        largest: list[dict[str, Any]] = [{} for _ in self._products]
        exact = self._products
        self._products = [_watched(products, seen) for products, seen in zip(exact, largest, strict=True)]
        self.embed(examples)
        with _engine(), warnings.catch_warnings():
            # torch says that a later version will make quantised tensors another way; ours is pinned.
            warnings.simplefilter("ignore", UserWarning)
            return [
                {name: _quantised_product(getattr(layer, name), seen[name], _SMOOTHING[name]) for name in _PRODUCTS}
                for layer, seen in zip(self._arrays.layers, largest, strict=True)
            ]


def _exact_products(layer: Layer) -> dict[str, Product]:
    return {name: _exact_product(*getattr(layer, name)) for name in _PRODUCTS}


def _exact_product(matrix: Vectors, bias: Vectors) -> Product:
    from torch.nn.functional import linear

    weights, added = _tensor(matrix.T), _tensor(bias)
    return lambda rows: linear(rows, weights, added)


def _watched(products: Mapping[str, Product], seen: dict[str, Any]) -> dict[str, Product]:
    import torch

    def watch(name: str) -> Product:
        def product(rows: Any) -> Any:
            largest = rows.abs().amax(0)
            seen[name] = torch.maximum(seen[name], largest) if name in seen else largest
            return products[name](rows)

        return product

    return {name: watch(name) for name in products}


def _quantised_product(layer: tuple[Vectors, Vectors], largest: Any, smoothing: float) -> Product:
    """Rows times matrix in eight bits; each column of `rows` gives a factor of its size to the matrix."""
    import torch

    weights = _tensor(layer[0].T)
    factors = largest.clamp(min=1e-4) ** smoothing / weights.abs().amax(0).clamp(min=1e-5) ** (1.0 - smoothing)
    factors = factors.clamp(min=1e-4)
    weights = weights * factors
    scales = (weights.abs().amax(1) / 127.0).clamp(min=1e-8).double()
    zeros = torch.zeros(len(scales), dtype=torch.long)
    packed = torch.ops.quantized.linear_prepack(
        torch.quantize_per_channel(weights, scales, zeros, 0, torch.qint8), _tensor(layer[1])
    )
    back = factors.reciprocal()
    # The last argument would leave one bit unused, for processors whose eight-bit sums overflow.
    return lambda rows: torch.ops.quantized.linear_dynamic(rows * back, packed, False)


@contextlib.contextmanager
def _engine() -> Iterator[None]:
    """Pack for the first engine that torch was built with; the setting is put back, since others share the process."""
    import torch

    known = torch.backends.quantized
    before = known.engine
    found = next((name for name in _ENGINES if name in known.supported_engines), None)
    if found is None:
        raise RuntimeError("torch was built without eight-bit matrix products")
    known.engine = found
    try:
        yield
    finally:
        known.engine = before


def _tensor(array: Vectors) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _both(pair: tuple[Vectors, Vectors]) -> tuple[Any, Any]:
    return _tensor(pair[0]), _tensor(pair[1])
