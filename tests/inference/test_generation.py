"""The real model: what it writes, token by token, against llama-cpp-python's own loop."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import PromptTooLongError
from core.types import Message, SamplingSettings
from inference.local_engine import LocalEngine
from inference.protocol import GeneratedText, GenerationRequest
from tests.inference.collect import chat, finished, text_of

QUESTION = "Write one sentence about the sea."


@pytest.fixture(scope="session")
def reference(model_path: Path):
    """llama-cpp-python's high-level class: another loop over the same library."""
    from llama_cpp import Llama

    return Llama(str(model_path), n_ctx=512, n_batch=512, n_threads=2, flash_attn=True, logits_all=True, verbose=False)


def test_greedy_tokens_equal_those_of_the_reference_loop(engine: LocalEngine, reference: Any):
    prompt = engine.render([Message("user", QUESTION)])
    request = GenerationRequest(prompt=prompt, sampling=SamplingSettings(max_tokens=32))
    ours = [
        token for event in engine.generate(request) if isinstance(event, GeneratedText) for token in event.token_ids
    ]
    reference.reset()
    theirs: list[int] = []
    for token in reference.generate(engine.tokenize(prompt), temp=0.0):
        if len(theirs) == 32 or token == reference.token_eos():
            break
        theirs.append(token)
    assert ours == theirs


def test_the_penalty_of_repetitions_is_that_of_the_reference_loop(engine: LocalEngine, reference: Any):
    prompt = "The river, the river, the river, the river,"
    written: dict[float, list[int]] = {}
    for penalty in (1.0, 1.3):
        sampling = SamplingSettings(max_tokens=80, repeat_penalty=penalty)
        events = engine.generate(GenerationRequest(prompt=prompt, sampling=sampling))
        written[penalty] = [token for event in events if isinstance(event, GeneratedText) for token in event.token_ids]
    reference.reset()
    theirs: list[int] = []
    for token in reference.generate(engine.tokenize(prompt), temp=0.0, repeat_penalty=1.3):
        if len(theirs) == 80 or token == reference.token_eos():
            break
        theirs.append(token)
    assert written[1.3] == theirs
    assert written[1.3] != written[1.0]


def test_tokens_that_were_gathered_are_all_there_and_are_the_text(engine: LocalEngine, reference: Any):
    events = list(engine.generate(chat(QUESTION, max_tokens=40)))
    ids = [token for event in events if isinstance(event, GeneratedText) for token in event.token_ids]
    assert len(ids) == finished(events).usage.completion_tokens
    assert reference.detokenize(ids).decode() == text_of(events)


def test_log_probabilities_equal_a_softmax_over_the_reference_logits(engine: LocalEngine, reference: Any):
    import numpy as np

    prompt, continuation = "The sea is", " deep and blue, and the wind is strong."
    head, tail = engine.tokenize(prompt), engine.tokenize(continuation)
    reference.reset()
    reference.eval(head + tail)
    rows = reference.scores[len(head) - 1 : len(head) + len(tail) - 1].astype(np.float64)
    logs = rows - np.log(np.exp(rows - rows.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
    expected = (logs - rows.max(axis=1, keepdims=True))[range(len(tail)), tail]
    assert engine.log_probabilities(prompt, continuation) == pytest.approx(expected, abs=0.05)


def test_usage_counts_exactly_and_the_second_time_the_prompt_is_cached(engine: LocalEngine):
    request = chat("Count me exactly, please.", max_tokens=5)
    prompt_tokens = engine.count_tokens(engine.render(request.messages))
    first, second = finished(engine.generate(request)), finished(engine.generate(request))
    assert first.usage.prompt_tokens == prompt_tokens
    assert first.usage.completion_tokens == 5
    assert second.usage.cached_tokens == prompt_tokens - 1
    assert first.reason == "length"


def test_a_cached_prefix_does_not_change_the_answer(engine: LocalEngine):
    warm = text_of(engine.generate(chat(QUESTION, max_tokens=24)))
    engine.close()
    cold = text_of(engine.generate(chat(QUESTION, max_tokens=24)))
    assert warm == cold


def test_a_conversation_that_was_left_comes_back_warm(engine: LocalEngine):
    long_one = chat("Tell me about ships. " + "Ships sail on the sea. " * 40, max_tokens=4)
    other = chat("Tell me about birds. " + "Birds fly in the air. " * 40, max_tokens=4)
    answers = [list(engine.generate(request)) for request in (long_one, other, long_one)]
    assert finished(answers[2]).usage.cached_tokens >= finished(answers[0]).usage.prompt_tokens - 1
    assert text_of(answers[2]) == text_of(answers[0])


def test_the_same_seed_gives_the_same_text_and_another_seed_another(engine: LocalEngine):
    texts = [
        text_of(engine.generate(chat(QUESTION, max_tokens=16, temperature=1.0, seed=seed))) for seed in (7, 7, 8, 9)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_without_a_seed_the_one_that_was_drawn_is_reported_and_repeats(engine: LocalEngine):
    events = list(engine.generate(chat(QUESTION, max_tokens=12, temperature=1.0, seed=None)))
    seed = finished(events).seed
    assert text_of(engine.generate(chat(QUESTION, max_tokens=12, temperature=1.0, seed=seed))) == text_of(events)


def test_a_stop_string_ends_the_text_before_it(engine: LocalEngine):
    full = text_of(engine.generate(chat(QUESTION, max_tokens=24)))
    stop = full.split()[3]
    events = list(engine.generate(chat(QUESTION, max_tokens=24, stop=(stop,))))
    assert text_of(events) == full[: full.index(stop)]
    assert finished(events).reason == "stop"


def test_top_log_probabilities_are_ranked_and_hold_the_greedy_token_first(engine: LocalEngine):
    request = GenerationRequest(
        messages=(Message("user", QUESTION),), sampling=SamplingSettings(max_tokens=4), top_logprobs=5
    )
    pieces = [event for event in engine.generate(request) if isinstance(event, GeneratedText)]
    for piece in pieces:
        values = [logprob for _, logprob in piece.top_logprobs]
        assert values == sorted(values, reverse=True)
        assert piece.logprob == pytest.approx(values[0])
        assert len(values) == 5


def test_characters_arrive_whole(engine: LocalEngine):
    wanted = "你好，世界🙂 naïve"
    request = GenerationRequest(prompt="Say:", grammar=f'start: "{wanted}"', sampling=SamplingSettings(max_tokens=64))
    pieces = [event.text for event in engine.generate(request) if isinstance(event, GeneratedText)]
    assert "".join(pieces) == wanted
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_prompt_beyond_the_context_is_refused_with_the_numbers(engine: LocalEngine):
    with pytest.raises(PromptTooLongError, match=r"the model reads 2048") as caught:
        list(engine.generate(chat("word " * 3000)))
    assert "2048" in caught.value.message.zh


def test_what_the_model_says_of_itself(engine: LocalEngine):
    info = engine.info
    assert (info.architecture, info.quantisation, info.n_layers, info.n_vocab) == ("llama", "Q4_1", 30, 49152)
    assert info.n_parameters == 134_515_008
    assert info.sha256.startswith("b179c952")
    assert info.languages == ("en",)
    assert info.device
