"""Packs: the mask against its definition, the layout against the rows, and the loss against row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.gguf_model import GgufModel
from training.lora import LoraModel
from training.packing import Pack, TokenRow, batches, make_packs
from training.recipe import TrainingRecipe


def row(prompt: list[int], answer: list[int]) -> TokenRow:
    return TokenRow((*prompt, *answer), (*[False] * len(prompt), *[True] * len(answer)))


def seen_by(pack: Pack, place: int) -> list[int]:
    """The tokens that the token at `place` attends to, in order."""
    return [int(pack.ids[other]) for other in np.flatnonzero(pack.mask()[place])]


STEM = list(range(100, 130))
ROWS = [row([*STEM, 1, 2], [3, 4]), row([*STEM, 5], [6]), row([*STEM, 7, 8, 9], [10, 11, 12])]


def test_rows_that_begin_alike_share_their_beginning() -> None:
    (pack,) = make_packs(ROWS, 100, seed=0)
    assert pack.examples == 3
    # Thirty common tokens, the last of which stays with the branches, then 1+4, 1+2 and 1+6 tokens.
    assert len(pack.ids) == 29 + 5 + 3 + 7
    assert sorted(pack.targets.tolist()) == [3, 4, 6, 10, 11, 12]


def test_every_trained_token_sees_its_own_row_up_to_it_and_nothing_else() -> None:
    (pack,) = make_packs(ROWS, 100, seed=0)
    wanted = {
        (token, tuple(one.ids[:place]))
        for one in ROWS
        for place, (token, trained) in enumerate(zip(one.ids, one.trained, strict=True))
        if trained
    }
    found = {
        (int(target), tuple(seen_by(pack, int(source))))
        for source, target in zip(pack.sources, pack.targets, strict=True)
    }
    assert found == wanted


tokens = st.lists(st.integers(0, 3), min_size=1, max_size=12)
pairs = st.lists(st.tuples(tokens, tokens), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(pairs, st.integers(12, 60), st.integers(0, 3))
def test_any_rows_keep_their_context_and_positions(
    made: list[tuple[list[int], list[int]]], size: int, seed: int
) -> None:
    rows = [row([9] * 10 + prompt, answer) for prompt, answer in made]
    packs = make_packs(rows, size, seed)
    assert sum(pack.examples for pack in packs) == len(rows)
    wanted = sorted(
        (one.ids[place], one.ids[:place]) for one in rows for place, trained in enumerate(one.trained) if trained
    )
    found = sorted(
        (int(target), tuple(seen_by(pack, int(source))))
        for pack in packs
        for source, target in zip(pack.sources, pack.targets, strict=True)
    )
    assert found == wanted
    for pack in packs:
        for source in pack.sources:
            # A token's position is the number of tokens that it sees before itself.
            assert pack.positions[source] == len(seen_by(pack, int(source))) - 1


def test_packs_keep_to_the_limit_unless_one_row_is_longer() -> None:
    rows = [row([n] * 20, [n]) for n in range(10)] + [row([77] * 90, [1])]
    packs = make_packs(rows, 50, seed=1)
    assert sorted(len(pack.ids) for pack in packs)[-1] == 91
    assert all(len(pack.ids) <= 50 or pack.examples == 1 for pack in packs)


def test_no_rows_make_no_packs() -> None:
    # A run without held-out rows has nothing to check, and must not try.
    assert make_packs([], 50, seed=1) == []


def test_batches_hold_enough_examples() -> None:
    packs = make_packs([row([n] * 20, [n]) for n in range(10)], 45, seed=1)
    counts = [sum(pack.examples for pack in batch) for batch in batches(packs, 4)]
    assert sum(counts) == 10
    assert all(count >= 4 for count in counts[:-1])


def test_order_follows_the_seed() -> None:
    rows = [row([n] * 20, [n]) for n in range(20)]

    def order(seed: int) -> list[int]:
        return [int(token) for pack in make_packs(rows, 30, seed) for token in pack.targets]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_the_loss_of_a_pack_is_that_of_its_rows(loaded: LoraModel) -> None:
    packs = make_packs(ROWS, 100, seed=0)
    alone = [pack for one in ROWS for pack in make_packs([one], 100, seed=0)]
    assert len(packs) == 1
    assert loaded.held_out_loss(packs) == pytest.approx(loaded.held_out_loss(alone), rel=1e-4)


def test_a_long_answer_has_the_loss_and_the_gradient_of_its_parts(tiny: GgufModel) -> None:
    model = LoraModel(tiny, TrainingRecipe(rank=4, alpha=8.0, threads=1, precision="float32"))
    long = TokenRow(tuple(3 + n % 200 for n in range(620)), (False,) * 20 + (True,) * 600)
    (pack,) = make_packs([long], 1000, 0)
    logits = model.logits(long.ids)[19:-1]
    wanted = np.asarray(long.ids[20:])
    likely = logits[np.arange(600), wanted] - np.log(np.exp(logits).sum(axis=1))
    assert model.held_out_loss([pack]) == pytest.approx(-likely.mean(), rel=1e-4)
    # Six hundred places are three parts; as parts of their own rows they must give the same gradient.
    pieces = [TokenRow(long.ids, tuple(start <= n < start + 200 for n in range(620))) for start in (20, 220, 420)]
    norms = []
    for rows in ([long], pieces):
        model.accumulate([pack for row in rows for pack in make_packs([row], 1000, 0)])
        norms.append(model.step(0.0))
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_teacher_is_followed_by_its_shares(tiny: GgufModel) -> None:
    model = LoraModel(tiny, TrainingRecipe(rank=4, alpha=8.0, threads=1, precision="float32"))
    ids = (5, 6, 7, 8, 9, 10)
    # At place 3 the teacher wavers, at place 4 it said nothing, place 5 is certain.
    likely = {3: ((8, np.log(0.6)), (20, np.log(0.2))), 5: ((10, -1e-9),)}
    taught = TokenRow(ids, (False, False, False, True, True, True), likely)
    (pack,) = make_packs([taught], 100, 0)
    logits = model.logits(ids)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    wanted = 0.75 * logs[2, 8] + 0.25 * logs[2, 20] + logs[3, 9] + logs[4, 10]
    assert model.held_out_loss([pack]) == pytest.approx(-wanted / 3, rel=1e-5)
