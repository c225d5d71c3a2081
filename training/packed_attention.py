"""Attention over a pack without computing what its mask forbids.

A dense mask would have every example compared with every other one of the pack. Here a beginning is attended to
causally, and every branch looks at its beginning and at itself: the same numbers for a fraction of the products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.packing import Pack

if TYPE_CHECKING:
    import torch

NAME = "fourfold_packed"


@dataclass(frozen=True)
class Layout:
    """How long each segment of a pack is, in order, and which segment it may look back to (itself: none)."""

    lengths: tuple[int, ...]
    parents: tuple[int, ...]


def layout_of(pack: Pack) -> Layout:
    """The layout of a pack; its segments lie one behind the other."""
    return Layout(tuple(np.bincount(pack.segments).tolist()), tuple(pack.parents.tolist()))


def register() -> None:
    """Make the attention known to transformers under `NAME`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)


def packed_attention(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: Any,
    scaling: float,
    **options: Any,
) -> "tuple[torch.Tensor, None]":
    """Attention in transformers' form: `query` (1, heads, n, d), `key` and `value` (1, kv heads, n, d).

    `options["layout"]` is the pack's; without one the whole row is causal. Returns (1, n, heads, d).
    """
    import torch

    layout: Layout = options.get("layout") or Layout((query.shape[2],), (0,))
    shared = query.shape[1] // key.shape[1]
    parts = [
        torch.split(tensor, list(layout.lengths), dim=2)
        for tensor in (query, key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1))
    ]
    attended = [_segment(parts, place, parent, scaling) for place, parent in enumerate(layout.parents)]
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _segment(parts: "Sequence[Sequence[torch.Tensor]]", place: int, parent: int, scaling: float) -> "torch.Tensor":
    import torch

    queries, keys, values = parts
    attend = torch.nn.functional.scaled_dot_product_attention
    query = queries[place]
    if parent == place:
        return attend(query, keys[place], values[place], is_causal=True, scale=scaling)
    own, stem = query.shape[2], keys[parent].shape[2]
    # All of the beginning, and the branch itself up to each token.
    mask = torch.ones(own, stem + own, dtype=torch.bool, device=query.device).tril(stem)
    return attend(
        query,
        torch.cat((keys[parent], keys[place]), dim=2),
        torch.cat((values[parent], values[place]), dim=2),
        attn_mask=mask,
        scale=scaling,
    )
