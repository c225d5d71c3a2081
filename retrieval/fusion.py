"""Putting the two legs into one order: a weighted sum of scores, the weight telling how far the dense leg is trusted.

Reciprocal ranks forget how sure each leg is, and trust an encoder in a language that it never learnt. Here each
leg's scores are put between 0 and 1 over its own candidates, and the dense leg weighs by what the collection's own
sentences proved of it (`calibration.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from retrieval.legs import DenseHit
from retrieval.lexical_index import LexicalHit

# The weight of a dense leg that is trusted fully; chosen by measurement (evaluation/DECISIONS.md).
DENSE_WEIGHT = 0.55
LEAST_TRUST = 0.05


@dataclass(frozen=True)
class Fused:
    """A chunk's number with its fused score (0..1), the legs' own scores, and its rank in each leg, from 1.

    `shares` tells what each leg put into the score.
    """

    number: int
    score: float
    legs: Mapping[str, float]
    ranks: Mapping[str, int]
    shares: Mapping[str, float] = field(default_factory=dict)


def fuse(
    dense: Sequence[DenseHit], lexical: Sequence[LexicalHit], trust: float, pending: Collection[int] = ()
) -> list[Fused]:
    """The candidates of both legs, best first. `trust` in the dense leg goes from 0 (no proof) to 1.

    A leg that found nothing leaves the other's order untouched. `pending` chunks have no vector yet, which is not a
    bad one: their words stand in for it.
    """
    weight = DENSE_WEIGHT * max(LEAST_TRUST, trust)
    if not lexical:
        weight = 1.0
    # A keyword score of 0 means that no word is shared, so 0 is its floor; a cosine has no such zero.
    parts = {
        "dense": (weight, _normalised(dense, min((hit.score for hit in dense), default=0.0))),
        "lexical": (1.0 - weight, _normalised(lexical, 0.0)),
    }
    parts["dense"][1].update((number, parts["lexical"][1][number]) for number in pending)
    legs: dict[int, dict[str, float]] = {}
    ranks: dict[int, dict[str, int]] = {}
    both: tuple[tuple[str, Sequence[DenseHit | LexicalHit]], ...] = (("dense", dense), ("lexical", lexical))
    for name, hits in both:
        for rank, hit in enumerate(hits, start=1):
            legs.setdefault(hit.number, {})[name] = hit.score
            ranks.setdefault(hit.number, {})[name] = rank
    fused = []
    for number, found in legs.items():
        shares = {name: part * scores.get(number, 0.0) for name, (part, scores) in parts.items()}
        fused.append(Fused(number, sum(shares.values()), found, ranks[number], shares))
    # Sums of the same numbers in another order differ in the last digits: such scores are equal, here and on a server.
    return sorted(fused, key=lambda hit: (-round(hit.score, 6), hit.number))


def _normalised(hits: Sequence[DenseHit] | Sequence[LexicalHit], floor: float) -> dict[int, float]:
    top = max((hit.score for hit in hits), default=0.0)
    span = top - floor
    return {hit.number: (hit.score - floor) / span if span > 0 else 1.0 for hit in hits}
