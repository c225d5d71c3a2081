"""Packs: several examples in one row, without padding, sharing the tokens that they begin with.

Examples of one task nearly always begin alike: the same instruction, the same passages under several questions. A pack
holds such a beginning once and lets every example attend to it and to itself, which gives the same loss as row by row
for a fraction of the tokens.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.examples import Likely

# Below this many shared tokens a branch costs more in bookkeeping than it saves.
LEAST_SHARED = 8


@dataclass(frozen=True)
class TokenRow:
    """One example in tokens. `trained[i]` tells whether the model is taught to write `ids[i]`; never the first one.

    `likely[i]`, where there is one, is what a teacher held likely there: (token, natural-log probability) pairs.
    """

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    likely: Mapping[int, Likely] = field(default_factory=dict)

    @property
    def trained_tokens(self) -> int:
        """How many tokens carry loss."""
        return sum(self.trained)


@dataclass(frozen=True)
class Pack:
    """Rows laid out one behind the other.

    `ids`, `positions`, `segments`: int64 (n,). `parents`: int64 (segments,), the segment that a segment may look back
    to, itself where there is none. `sources` (k,) are the places whose output is trained, `targets` (k,) the token ids
    wanted there. `likely` is None where every target is certain; else ids int64 and weights float32 (k, m): the tokens
    wanted at each place and how much, each row of weights summing to 1.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    segments: NDArray[np.int64]
    parents: NDArray[np.int64]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    examples: int
    likely: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """Bool (n, n): whether token i may look at token j."""
        own = self.segments[:, None] == self.segments[None, :]
        shared = self.parents[self.segments][:, None] == self.segments[None, :]
        order = np.arange(len(self.ids))
        allowed: NDArray[np.bool_] = (own | shared) & (order[:, None] >= order[None, :])
        return allowed


@dataclass(frozen=True)
class _Group:
    """Rows with `shared` first tokens in common."""

    rows: tuple[TokenRow, ...]
    shared: int

    @property
    def tokens(self) -> int:
        return self.shared + sum(len(row.ids) - self.shared for row in self.rows)


def make_packs(rows: Sequence[TokenRow], pack_tokens: int, seed: int) -> list[Pack]:
    """Lay out all rows in packs of at most `pack_tokens` (one row alone may be longer), in an order drawn by `seed`."""
    if not rows:
        return []
    draw = random.Random(seed)  # noqa: S311 - a reproducible order, no secret
    groups = list(_groups(rows, pack_tokens, draw))
    draw.shuffle(groups)
    packs: list[Pack] = []
    waiting: list[_Group] = []
    for group in groups:
        if waiting and sum(one.tokens for one in waiting) + group.tokens > pack_tokens:
            packs.append(_lay_out(waiting))
            waiting = []
        waiting.append(group)
    if waiting:
        packs.append(_lay_out(waiting))
    return packs


def batches(packs: Sequence[Pack], batch_examples: int) -> list[list[Pack]]:
    """Packs grouped so that each batch holds at least `batch_examples` examples (the last one may hold fewer)."""
    found: list[list[Pack]] = [[]]
    for pack in packs:
        if sum(one.examples for one in found[-1]) >= batch_examples:
            found.append([])
        found[-1].append(pack)
    return [batch for batch in found if batch]


def _groups(rows: Sequence[TokenRow], pack_tokens: int, draw: random.Random) -> Iterator[_Group]:
    """Runs of rows that begin alike, each cut into groups that fit a pack, in an order drawn anew for every epoch."""
    for run, shared in _runs(rows):
        draw.shuffle(run)
        group: list[TokenRow] = []
        for row in run:
            if group and _Group((*group, row), shared).tokens > pack_tokens:
                yield _Group(tuple(group), shared if len(group) > 1 else 0)
                group = []
            group.append(row)
        yield _Group(tuple(group), shared if len(group) > 1 else 0)


def _runs(rows: Sequence[TokenRow]) -> Iterator[tuple[list[TokenRow], int]]:
    """Sorting brings rows with a common beginning together; yield them with the length of that beginning.

    Two neighbours stay together unless one of them shares clearly more with its neighbour on the other side.
    """
    ordered = sorted(rows, key=lambda row: row.ids)
    common = [0, *(_common(one, other) for one, other in pairwise(ordered)), 0]
    start = 0
    for place in range(1, len(common)):
        best = max(common[place - 1 : place + 2])
        if place == len(ordered) or common[place] < LEAST_SHARED or common[place] < best * 0.8:
            run = ordered[start:place]
            yield run, min(common[start + 1 : place], default=0)
            start = place


def _common(one: TokenRow, other: TokenRow) -> int:
    """Number of first tokens that both rows share and neither trains on, leaving the last of them unshared.

    The last common token stays with the branches: its output is what predicts each branch's first token.
    """
    count = 0
    for a, b, trained_a, trained_b in zip(one.ids, other.ids, one.trained, other.trained, strict=False):
        if a != b or trained_a or trained_b:
            break
        count += 1
    return max(0, count - 1)


def _lay_out(groups: Sequence[_Group]) -> Pack:
    ids: list[int] = []
    positions: list[int] = []
    segments: list[int] = []
    parents: list[int] = []
    sources: list[int] = []
    likely: list[Likely] = []

    def append(row: TokenRow, start: int, end: int, parent: int | None) -> None:
        segment = len(parents)
        parents.append(segment if parent is None else parent)
        for place in range(start, end):
            if row.trained[place]:
                sources.append(len(ids) - 1)
                likely.append(row.likely.get(place, ()))
            ids.append(row.ids[place])
            positions.append(place)
            segments.append(segment)

    for group in groups:
        stem = len(parents) if group.shared else None
        if group.shared:
            append(group.rows[0], 0, group.shared, None)
        for row in group.rows:
            append(row, group.shared, len(row.ids), stem)
    tokens, sought = np.asarray(ids, dtype=np.int64), np.asarray(sources, dtype=np.int64)
    # The output at a place predicts the token behind it, which stands next to it in the layout.
    targets = tokens[sought + 1]
    return Pack(
        ids=tokens,
        positions=np.asarray(positions, dtype=np.int64),
        segments=np.asarray(segments, dtype=np.int64),
        parents=np.asarray(parents, dtype=np.int64),
        sources=sought,
        targets=targets,
        examples=sum(len(group.rows) for group in groups),
        likely=_weighted(likely, targets) if any(likely) else None,
    )


def _weighted(likely: Sequence[Likely], targets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The tokens wanted at each place and their shares; the target alone where no teacher said more."""
    width = max(len(one) for one in likely)
    ids = np.repeat(targets[:, None], width, axis=1)
    weights = np.zeros(ids.shape, dtype=np.float32)
    weights[:, 0] = 1.0
    for place, one in enumerate(likely):
        if one:
            tokens, logs = zip(*one, strict=True)
            shares = np.exp(np.asarray(logs))
            ids[place, : len(one)] = tokens
            # What the teacher gave to all other tokens is left out, and the rest made whole again.
            weights[place, : len(one)] = shares / shares.sum()
    return ids, weights
