"""Passages that were read before are put into other prompts: exact where nothing stands before, told in the usage."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from core.config import load_settings
from core.grounded_prompt import NumberedPassage, grounded_messages, grounded_parts
from core.types import SamplingSettings
from inference.engine import LoadedModel
from inference.engine_options import LoadOptions
from inference.local_engine import LocalEngine
from inference.prefix_cache import PrefixCache
from inference.protocol import ChatEngine, GenerationRequest
from inference.runtime import open_engine
from inference.stored_passages import FIRST_TOKENS, StoredPassages, token_ranges
from tests.inference.collect import finished, text_of

TOWER = "The iron tower of the town was opened in 1889 by the mayor. " * 3
BRIDGE = "The stone bridge over the river was painted red in the summer. " * 3
MARKET = "The market in the square sells apples, pears and plums on Friday. " * 3


@pytest.fixture(scope="module")
def storing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    settings = load_settings(home=tmp_path_factory.mktemp("storing"), n_ctx=2048, stored_passages=True)
    opened = open_engine(settings)
    assert isinstance(opened, LocalEngine)
    yield opened
    opened.close()


def asked(engine: ChatEngine, question: str, texts: Sequence[str]) -> GenerationRequest:
    """The grounded prompt with `texts` in that order, the last under number 1."""
    numbered = [NumberedPassage(len(texts) - place, "Town", text) for place, text in enumerate(texts)]
    prompt = engine.render(grounded_messages(question, numbered, "en"))
    spans, at = [], 0
    for part in grounded_parts(question, numbered, "en"):
        if part.source is not None:
            at = prompt.index(part.text, at)
            spans.append((at, at + len(part.text)))
    return GenerationRequest(prompt=prompt, passages=tuple(spans), sampling=SamplingSettings(max_tokens=12))


def passage_tokens(engine: ChatEngine, request: GenerationRequest, place: int) -> int:
    start, end = request.passages[place]
    # One character more on either side, for at the end of a text two line feeds become one token.
    return engine.count_tokens(request.prompt[: end + 1]) - engine.count_tokens(request.prompt[: start + 1])


def test_the_first_passage_needs_no_move_and_the_answer_is_the_same(engine: LocalEngine, storing: LocalEngine):
    first = asked(storing, "When was the tower opened?", [TOWER, BRIDGE])
    assert text_of(engine.generate(first)) == text_of(storing.generate(first))
    # Another passage in between, so that nothing of the beginning but the instructions is still there.
    list(storing.generate(asked(storing, "What is sold?", [MARKET, BRIDGE])))
    second = asked(storing, "In which year was the tower opened?", [TOWER, MARKET])
    events = list(storing.generate(second))
    assert text_of(events) == text_of(engine.generate(second))


def test_the_usage_tells_what_was_not_read(storing: LocalEngine):
    request = asked(storing, "What colour is the bridge?", [MARKET, TOWER, BRIDGE])
    end = finished(storing.generate(request))
    stored = sum(passage_tokens(storing, request, place) - FIRST_TOKENS for place in (0, 1))
    assert end.usage.stored_tokens == stored
    assert end.usage.prompt_tokens == storing.count_tokens(request.prompt)
    again = finished(storing.generate(request))
    assert (again.usage.stored_tokens, again.usage.cached_tokens) == (0, again.usage.prompt_tokens - 1)


def test_a_passage_under_another_number_is_the_same_passage(model: LoadedModel):
    cache = PrefixCache(model, 0)
    stored = StoredPassages(model, cache)
    head = model.tokenize("Read this.\n")
    last = model.tokenize("[1] Town\n" + MARKET + "\n")
    sizes = []
    for number in (3, 2):
        cache.forget()
        passage = model.tokenize(f"[{number}] Town\n" + TOWER + "\n")
        ends = [len(head), len(head) + len(passage), len(head) + len(passage) + len(last)]
        _, taken = stored.lay_out([*head, *passage, *last], list(pairwise(ends)), "", reader(model, cache))
        assert taken == len(passage) - FIRST_TOKENS
        sizes.append(stored.bytes)
    assert sizes[0] == sizes[1]


def test_new_passages_behind_a_known_one_are_stored_too(storing: LocalEngine):
    list(storing.generate(asked(storing, "When?", [TOWER + BRIDGE, MARKET, TOWER])))
    # The first passage is known in its place; the one behind it is new there, and then is known anywhere.
    behind = finished(storing.generate(asked(storing, "Which colour?", [TOWER + BRIDGE, BRIDGE + MARKET, TOWER])))
    assert behind.usage.stored_tokens > 0
    moved = asked(storing, "What is sold?", [BRIDGE + MARKET, TOWER + BRIDGE, TOWER])
    end = finished(storing.generate(moved))
    assert end.usage.stored_tokens == sum(passage_tokens(storing, moved, at) - FIRST_TOKENS for at in (0, 1))


def test_without_the_setting_every_passage_is_read(engine: LocalEngine):
    assert finished(engine.generate(asked(engine, "When?", [MARKET, TOWER, BRIDGE]))).usage.stored_tokens == 0


def reader(model: LoadedModel, cache: PrefixCache) -> Callable[[Sequence[int]], None]:
    """What computes tokens behind the live ones."""

    def read(tokens: Sequence[int]) -> None:
        if tokens:
            model.decode(tokens, len(cache.live))
            cache.extend(tokens)

    return read


@pytest.fixture(scope="module")
def model(model_path: Path) -> Iterator[LoadedModel]:
    loaded = LoadedModel(LoadOptions(path=str(model_path), n_ctx=1024, n_threads=1, stored_passages=True))
    yield loaded
    loaded.close()


def test_the_budget_holds_and_a_moved_passage_lies_where_it_should(model: LoadedModel):
    cache = PrefixCache(model, 0)
    cache.forget()
    head, *passages = [model.tokenize(text) for text in ("Read this.\n", TOWER, BRIDGE, MARKET)]
    one = 25_000 * (len(head) + max(map(len, passages)))
    stored = StoredPassages(model, cache, budget_bytes=2 * one)

    read = reader(model, cache)
    tokens = [*head, *passages[0], *passages[1], *passages[2]]
    ends = [len(head)]
    for passage in passages:
        ends.append(ends[-1] + len(passage))
    _, taken = stored.lay_out(tokens, list(pairwise(ends)), "", read)
    assert taken == len(passages[0]) + len(passages[1]) - 2 * FIRST_TOKENS
    assert cache.live == tokens[: ends[2]]
    # llama.cpp itself refuses a token that does not follow the last one of its sequence.
    read(tokens[ends[2] :])
    for words in (TOWER, BRIDGE, MARKET):
        other = [*head, *model.tokenize(words + "Again."), *passages[0]]
        cache.forget()
        middle = len(other) - len(passages[0])
        stored.lay_out(other, [(len(head), middle), (middle, len(other))], "", read)
        assert 0 < stored.bytes <= 2 * one


def test_ranges_fall_between_tokens_or_there_are_none(model: LoadedModel):
    text = "Häuser am Fluß.\n[1] 塔\nThe tower is old.\n\nQuestion: when?"
    tokens = model.tokenize(text)
    start, end = text.index("[1]"), text.index("Question")
    [(first, last)] = token_ranges(model, text, tokens, [(start, end)])
    assert b"".join(model.piece(token) for token in tokens[first:last]).decode() == text[start:end]
    assert token_ranges(model, text, tokens, [(start + 1, text.index("ower"))]) == []
