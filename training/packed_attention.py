"""Attention over a pack without computing what its mask forbids.

A dense mask would have every example compared with every other one of the pack. Here a beginning is attended to
causally, and the branches look at it and each at itself: the same numbers for a fraction of the products.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.packing import Pack

if TYPE_CHECKING:
    import torch

NAME = "fourfold_packed"


@dataclass(frozen=True)
class Family:
    """A beginning and the branches behind it, which lie next to each other: lengths in tokens, `stem` 0 for none.

    `mask`: bool (branch tokens, stem + branch tokens), where a branch token may look.
    """

    stem: int
    branches: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all of it."""
        return self.stem + sum(self.branches)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """All of the beginning, and the own branch up to the token itself."""
        branch = np.repeat(np.arange(len(self.branches)), self.branches)
        own = np.tril(branch[:, None] == branch[None, :])
        return np.concatenate((np.ones((len(branch), self.stem), dtype=bool), own), axis=1)


def layout_of(pack: Pack) -> tuple[Family, ...]:
    """The families of a pack in order; a segment without relatives is a family of one branch and no stem."""
    lengths, parents = np.bincount(pack.segments).tolist(), pack.parents.tolist()
    stems = set(parent for place, parent in enumerate(parents) if parent != place)
    found: list[Family] = []
    for place, parent in enumerate(parents):
        if place in stems:
            found.append(Family(lengths[place], ()))
        elif parent == place:
            found.append(Family(0, (lengths[place],)))
        else:
            found[-1] = Family(found[-1].stem, (*found[-1].branches, lengths[place]))
    return tuple(found)


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

    families: tuple[Family, ...] = options.get("layout") or (Family(0, (query.shape[2],)),)
    shared = query.shape[1] // key.shape[1]
    sizes = [family.tokens for family in families]
    whole = (query, key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1))
    queries, keys, values = (torch.split(tensor, sizes, dim=2) for tensor in whole)
    outs = [
        out
        for family, q, k, v in zip(families, queries, keys, values, strict=True)
        for out in _attended(family, q, k, v, scaling)
    ]
    return torch.cat(outs, dim=2).transpose(1, 2), None


def _attended(
    family: Family, query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", scaling: float
) -> "Iterator[torch.Tensor]":
    """The stem by itself, then all its branches at once: a copy of the stem's keys for each would fill the memory."""
    import torch

    attend = torch.nn.functional.scaled_dot_product_attention
    if len(family.branches) == 1 and not family.stem:
        yield attend(query, key, value, is_causal=True, scale=scaling)
        return
    stem = family.stem
    yield attend(query[:, :, :stem], key[:, :, :stem], value[:, :, :stem], is_causal=True, scale=scaling)
    mask = torch.from_numpy(family.mask).to(query.device)
    yield attend(query[:, :, stem:], key, value, attn_mask=mask, scale=scaling)
