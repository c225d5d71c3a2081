"""Short answers read more than once: which other replies are followed, and which one is taken."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Settings
from core.grounded_prompt import REFUSAL
from core.language import Bilingual
from core.types import DISTANCE, Chunk, Evidence, Question, SamplingSettings, ScoredChunk, Timings, Usage
from inference.fakes import FAKE_INFO, FakeEngine
from inference.protocol import GeneratedText, GenerationEvent, GenerationFinished, GenerationRequest
from orchestrator.build import assistant_over
from orchestrator.events import Source
from orchestrator.reading import FOLLOWED, LEAST_CONFIDENCE, MOST_NATS, Reply, best_reply, judged, read_again
from tests.orchestrator.parts import Passages, end

SMALL = replace(FAKE_INFO, n_parameters=135_000_000, languages=("en",))
PASSAGE = "The old bridge opened in 1870 and the tower, far from it, opened in 1889."
PROMPT = "PROMPT:"


class TreeEngine(FakeEngine):
    """A model of known probabilities: `tree` tells of each beginning of a reply which pieces may follow."""

    def __init__(self, tree: Mapping[str, Mapping[str, float]], refusal: float = -20.0) -> None:
        super().__init__(info=SMALL, score=lambda _prompt, text: refusal / self.count_tokens(text))
        self.tree = tree

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[GenerationEvent]:
        self.requests.append(request)
        # What stands behind the opening of the assistant's turn is the reply so far.
        text = request.prompt.rpartition("<|im_start|>assistant\n")[2].removeprefix(PROMPT)
        given = 0
        while (choices := self.tree.get(text)) and given < request.sampling.max_tokens:
            ranked = sorted(choices.items(), key=lambda item: -item[1])
            top = tuple((piece, math.log(share)) for piece, share in ranked[: request.top_logprobs])
            given += 1
            text += ranked[0][0]
            yield GeneratedText(ranked[0][0], (given,), top[0][1] if top else None, top)
        yield GenerationFinished("stop", Usage(9, given), Timings())


def read(tree: Mapping[str, Mapping[str, float]], is_cancelled: Callable[[], bool] = lambda: False):
    engine = TreeEngine(tree)
    request = GenerationRequest(prompt=PROMPT, sampling=SamplingSettings(), top_logprobs=24)
    first = [event for event in engine.generate(request) if isinstance(event, GeneratedText)]
    return read_again(engine, request, first, [PASSAGE], is_cancelled), engine


TREE = {
    "": {"1889": 0.5, "1870": 0.3, "1999": 0.15, "ower": 0.05},
    "1889": {" [1]": 1.0},
    "1870": {" [1]": 1.0},
    "1999": {" [1]": 1.0},
    "ower": {" [1]": 1.0},
}


def test_only_other_beginnings_that_copy_a_passage_are_followed() -> None:
    found, _ = read(TREE)
    # 1999 stands in no passage, and "ower" only inside a word.
    assert [reply.text for reply in found.replies] == ["1889 [1]", "1870 [1]"]


def test_each_reply_has_the_probability_of_its_words() -> None:
    found, _ = read({**TREE, "1870": {" and": 0.6, " [1]": 0.4}, "1870 and": {" the": 0.5}, "1870 and the": {}})
    by_text = {reply.text: reply.log_probability for reply in found.replies}
    assert by_text["1889 [1]"] == pytest.approx(math.log(0.5))
    assert by_text["1870 and the"] == pytest.approx(math.log(0.3 * 0.6 * 0.5))


def test_the_tokens_of_all_readings_are_counted() -> None:
    found, engine = read(TREE)
    assert len(engine.requests) == 2
    assert found.tokens == 1


def test_a_cancelled_reading_keeps_what_it_has() -> None:
    found, engine = read(TREE, lambda: True)
    assert [reply.text for reply in found.replies] == ["1889 [1]"]
    assert len(engine.requests) == 1


def test_no_more_than_a_few_are_followed() -> None:
    words = ("old", "bridge", "opened", "in", "and", "the", "tower", "far")
    tree = {"": {"1889": 0.4, **{word: 0.05 for word in words}}, "1889": {" [1]": 1.0}}
    found, engine = read(tree | {word: {" [1]": 1.0} for word in words})
    assert len(found.replies) == FOLLOWED + 1
    assert len(engine.requests) == FOLLOWED + 1


def source(text: str = PASSAGE) -> Source:
    chunk = Chunk("c", "d", text, 0, 0, len(text), title="Bridge")
    return Source(1, ScoredChunk(chunk, 1.0), True, Bilingual("used", "已使用"))


def test_a_reply_that_no_passage_holds_gives_way() -> None:
    replies = [Reply("5.2 [1]", math.log(0.5)), Reply("56.2 [1]", math.log(0.4))]
    text = "Of them 56.2 were Catholics."
    assert best_reply("How many?", replies, [source(text)]).answer == "56.2"


def test_a_reply_that_repeats_the_question_gives_way() -> None:
    replies = [Reply("the tower [1]", math.log(0.6)), Reply("1889 [1]", math.log(0.3))]
    text = "The tower opened in 1889."
    assert best_reply("When did the tower open?", replies, [source(text)]).answer == "1889"


def test_the_sentence_that_answers_lends_weight() -> None:
    replies = [Reply("1870 [1]", math.log(0.51)), Reply("1889 [1]", math.log(0.49))]
    text = "The old bridge, rusty by now, dates from 1870. The radio tower on the hill opened in 1889."
    assert best_reply("When did the radio tower on the hill open?", replies, [source(text)]).answer == "1889"


def test_the_likeliest_stays_where_nothing_speaks_against_it() -> None:
    replies = [Reply("1889 [1]", math.log(0.7)), Reply("1870 [1]", math.log(0.3))]
    unused = replace(source(), used=False)
    assert best_reply("When?", replies, [unused]) == replies[0]


FOUND = Evidence("strong", 0.9)


def test_the_confidence_is_the_share_of_the_answers_against_the_refusal() -> None:
    replies = [Reply("1889 [1]", math.log(0.3)), Reply("1870 [1]", math.log(0.1))]
    sure = judged("When?", replies, Reply(REFUSAL.en, math.log(0.1)), [source()], FOUND)
    assert sure.confidence == pytest.approx(0.8)
    assert sure.reply == replies[0]
    faint = [Reply("1889 [1]", math.log(0.08)), Reply("1870 [1]", math.log(0.02))]
    unsure = judged("When?", faint, Reply(REFUSAL.en, math.log(0.9)), [source()], FOUND)
    assert unsure.confidence == pytest.approx(0.1)
    assert unsure.reply.text == REFUSAL.en


def test_the_confidence_rises_with_the_evidence_and_with_the_models_own_odds() -> None:
    def confidence(distance: float, share: float) -> float:
        evidence = Evidence("weak", 0.5, {DISTANCE: distance})
        reply, refusal = Reply("1889 [1]", math.log(share)), Reply(REFUSAL.en, math.log(1 - share))
        return judged("When?", [reply], refusal, [source()], evidence).confidence

    steps = [confidence(distance, 0.5) for distance in (-1.0, 2.0, 5.0, 12.0)]
    assert steps == sorted(steps)
    assert steps[0] < LEAST_CONFIDENCE < steps[2]
    assert confidence(3.0, 0.1) < confidence(3.0, 0.5) < confidence(3.0, 0.9)
    # A reading that is certain makes up for some of the evidence, not for all of it.
    assert confidence(-1.0, 1 - 1e-9) < LEAST_CONFIDENCE


def test_less_is_asked_for_while_vectors_are_missing() -> None:
    reply, refusal = Reply("1889 [1]", math.log(0.35)), Reply(REFUSAL.en, math.log(0.65))
    whole = Evidence("weak", 0.5, {DISTANCE: 3.2})
    early = Evidence("weak", 0.5, {DISTANCE: 3.2, "embedded": 0.0})
    told = [judged("When?", [reply], refusal, [source()], evidence) for evidence in (whole, early)]
    assert 0.2 < told[0].confidence == told[1].confidence < LEAST_CONFIDENCE
    assert [verdict.reply for verdict in told] == [refusal, reply]


def test_a_model_that_only_refuses_is_believed() -> None:
    only = judged("When?", [Reply(REFUSAL.en, -0.1)], Reply(REFUSAL.en, -0.1), [source()], FOUND)
    assert (only.reply.text, only.confidence) == (REFUSAL.en, 0.0)


def asked(home: Path, engine: TreeEngine, adapter: str = ""):
    who = assistant_over(Settings(home=home), engine, Passages([PASSAGE]), grounded="grounded")
    return end(list(who.answer(Question("When did the tower open?", mode="rag", adapter=adapter))))


def test_retrieval_mode_gives_the_reply_that_most_speaks_for(tmp_path: Path) -> None:
    tree = {"": {"the tower": 0.5, "1889": 0.4}, "the tower": {" [1]": 1.0}, "1889": {" [1]": 1.0}}
    answer = asked(tmp_path, TreeEngine(tree))
    assert answer.text == "1889 [1]"
    assert [citation.number for citation in answer.citations] == [1]
    assert answer.confidence == pytest.approx(1 / (1 + math.exp(-MOST_NATS)))
    # Two tokens of the first reply, one of the other.
    assert answer.usage.completion_tokens == 3


def test_retrieval_mode_refuses_where_the_refusal_is_likelier(tmp_path: Path) -> None:
    tree = {"": {"1889": 0.05}, "1889": {" [1]": 1.0}}
    answer = asked(tmp_path, TreeEngine(tree, refusal=math.log(0.9)))
    assert answer.kind == "refusal"
    assert answer.confidence == pytest.approx(0.05 / 0.95)


def test_the_model_as_it_is_can_be_asked_for(tmp_path: Path) -> None:
    engine = TreeEngine({"": {"1889": 1.0}, "1889": {" [1]": 1.0}})
    answer = asked(tmp_path, engine, adapter="none")
    assert (answer.text, answer.adapter, answer.confidence) == ("1889 [1]", "", None)
    assert [request.adapter for request in engine.requests] == [""]
