"""The router, follow-ups, sentences, grounding, the bill and markup."""

import numpy as np
import pytest

from core.types import CONCRETE_MODES, Message, Question, Timings, Usage
from inference.fakes import FakeEngine
from orchestrator.bill import Price, bill_of, cost
from orchestrator.compare import Outcome, Way, compare, outcome_of
from orchestrator.events import AnswerCompleted, Citation, ContextAssembled, PromptSpan, RouteChosen, ThinkingDelta
from orchestrator.extractive import extractive_answer
from orchestrator.grounding import GroundingScorer, meter, prompt_without
from orchestrator.markup import inert
from orchestrator.query_rewriter import depends_on_history, standalone_query
from orchestrator.router import Router, fit_weights
from orchestrator.routing_signals import SIGNAL_NAMES, AdapterDomain, Probe, signals_of
from orchestrator.sentence_features import N_FEATURES, candidates, sentence_features
from orchestrator.thinking import ThinkingSplitter
from tests.orchestrator.parts import BRIDGE, RIVER, TOWER, Passages, ask, assistant, source

TASK = "Label a message of a customer. 给客户的留言打标签。"
ADAPTERS = (AdapterDomain("tickets", TASK, ("Label this message: x",)),)
FULL = Probe(Passages([TOWER, RIVER]).retrieve("q", Question("q").scope, 5), ("calculator", "current_time"), ADAPTERS)
EARLIER = (Message("user", "How long is the Yangtze river?"), Message("assistant", "6300 km."))


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("What is 17% of 2,400?", "tools"),
        ("3847乘以29等于多少？", "tools"),
        ("When did the tower in Paris open?", "rag"),
        ("长江全长多少公里，发源于哪里？", "rag"),
        ("Write a poem about autumn", "prompt"),
        ("写一首关于秋天的诗", "prompt"),
        ("Label this message: my card is lost", "finetuned"),
        ("给这条留言打标签：卡丢了", "finetuned"),
        ("what is seventeen plus three", "tools"),
        ("how many teaspoons are in two tablespoons", "tools"),
        ("which timezone is Lisbon in", "tools"),
        ("明天几号", "tools"),
        ("Which category fits: my card is lost", "finetuned"),
        ("这句话属于什么类别：卡丢了", "finetuned"),
        ("what does quixotic mean", "prompt"),
        ("how would I say good night in Italian", "prompt"),
    ],
)
def test_each_mode_is_found_and_has_a_receipt(text: str, mode: str):
    route = Router().route(Question(text), FULL)
    assert route.mode == mode
    assert route.signals
    assert route.runner_up not in (None, mode)
    assert 0.25 <= route.confidence <= 1.0


def test_the_users_choice_wins():
    route = Router().route(Question("What is 1+1?", mode="prompt"), FULL)
    assert (route.mode, route.chosen_by, route.confidence) == ("prompt", "user", 1.0)


def test_a_mode_with_nothing_to_work_with_is_never_chosen():
    assert Router().route(Question("What is 17% of 2,400?"), Probe()).mode == "prompt"


@pytest.mark.parametrize(
    "text",
    [
        "Is it a calculated risk?",
        "An excellent stabletop",
        "提几点建议",
        "Tokenism in film",
        "A one-plus phone",
        "First-class timezoned wordiness",
        "Cupboards and inchworms",
    ],
)
def test_no_keyword_inside_another_word_decides(text: str):
    found = signals_of(Question(text), Probe())
    assert {name for name, value in found.items() if value} <= {"explanation", "creation", "says_little"}


def test_a_vote_decides_between_near_equals():
    rows = [dict.fromkeys(SIGNAL_NAMES, 0.0)] * 4
    even = fit_weights(rows, list(CONCRETE_MODES), steps=1)
    asked: list[str] = []

    def vote(_question: Question, modes):  # noqa: ANN001
        asked.extend(modes)
        return modes[1]

    route = Router(even, vote).route(Question("Hm"), FULL)
    assert (route.mode, route.runner_up, route.chosen_by) == (asked[1], asked[0], "vote")


def test_weights_are_learnt_from_cases():
    first = {**dict.fromkeys(SIGNAL_NAMES, 0.0), "clock": 1.0}
    second = {**dict.fromkeys(SIGNAL_NAMES, 0.0), "creation": 1.0}
    weights = fit_weights([first, second], ["tools", "prompt"], steps=300)
    scores = weights.matrix @ np.array([first[name] for name in SIGNAL_NAMES]) + weights.bias
    assert CONCRETE_MODES[int(scores.argmax())] == "tools"


@pytest.mark.parametrize(
    ("text", "depends"),
    [
        ("And in winter?", True),
        ("Which cities does it pass?", True),
        ("它流经哪些城市？", True),
        ("那黄河呢？", True),
        ("Who wrote Pride and Prejudice in England?", False),
        ("黄河的长度是多少公里？", False),
        ("Is it true that penguins live in Antarctica near whales?", False),
    ],
)
def test_only_follow_ups_that_lean_are_rewritten(text: str, depends: bool):
    assert depends_on_history(Question(text, EARLIER)) is depends
    carried = standalone_query(Question(text, EARLIER)).startswith("How long is the Yangtze river?")
    assert carried is depends
    assert standalone_query(Question(text)) == text


def test_the_best_sentences_come_first_word_for_word():
    answer = extractive_answer("When did the bridge open?", [source(1, BRIDGE), source(2, TOWER)])
    first, second = answer.citations
    assert BRIDGE[first.passage_start : first.passage_end] == "The bridge opened in 1932."
    assert answer.text[: first.start].strip() == "The bridge opened in 1932."
    assert answer.text[second.start : second.end] == f"[{second.number}]"


def test_sentence_features_have_one_row_each():
    pool = candidates([TOWER, RIVER])
    rows = sentence_features("塔是何时建成的？", pool, [2.0, 1.0])
    assert rows.shape == (len(pool), N_FEATURES) == (6, 26)
    assert np.isfinite(rows).all()


def _grounded() -> tuple[ContextAssembled, AnswerCompleted]:
    prompt = "S[one][two]Q"
    spans = (
        PromptSpan(0, 1, "system", 1),
        PromptSpan(1, 6, "source", 1, 1),
        PromptSpan(6, 11, "source", 1, 2),
        PromptSpan(11, 12, "question", 1),
    )
    cited = Citation(2, 5, 8, 0, 9, True, 0, 3)
    context = ContextAssembled(prompt, spans, {}, 100)
    return context, AnswerCompleted("word [2].", "model", Usage(), Timings(), (cited,))


def test_leaving_a_source_out_gives_its_weight_and_names_the_wrong_citation():
    context, answer = _grounded()
    engine = FakeEngine(score=lambda prompt, _text: -1.0 if "[one]" in prompt else -3.0)
    found = GroundingScorer(engine).score(context, answer)
    tokens = engine.count_tokens("word.")
    assert found.weights == {2: 0.0, 1: 2.0 * tokens}
    assert found.nats_per_token == pytest.approx(2.0)
    assert found.disagreements == (2,)
    assert prompt_without(context.prompt, context.spans, [1]) == "S[two]Q"


def test_the_meter_is_nought_without_gain_and_a_half_at_its_constant():
    assert (meter(-1.0), meter(0.0), meter(0.35)) == (0.0, 0.0, 0.5)


def test_the_bill_counts_by_origin_and_price():
    context = ContextAssembled("p", (), {"source": 80, "question": 20}, 100)
    end = AnswerCompleted("a", "model", Usage(100, 50, 30), Timings(generate=0.5, total=2.0))
    bill = bill_of([context, ThinkingDelta("one two"), end], FakeEngine(), [Price("x", 2.0, 4.0)])
    assert bill.prompt_by_origin == {"source": 80, "question": 20}
    assert (bill.thinking_tokens, bill.tokens_per_second) == (2, 100.0)
    assert bill.costs == {"x": pytest.approx(0.0004)}
    assert cost(Usage(1_000_000, 0), Price("x", 2.0, 4.0)) == 2.0


def test_ways_are_compared_side_by_side(tmp_path):  # noqa: ANN001
    who, _, _ = assistant(tmp_path, [TOWER], "The tower opened in 1889 [1].")
    seen = list(compare(who, Question("When did the tower open?"), [Way("rag"), Way("finetuned")]))
    outcomes = [item for _, item in seen if isinstance(item, Outcome)]
    assert [item.kind for item in outcomes] == ["model", "failed"]
    assert outcomes[0].supported == outcomes[0].citations == 1
    assert outcome_of(Way("rag"), ask(who, "When did the tower open?"), 1.0).evidence == "strong"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See ![x](https://evil.invalid/?q=1) here [1].", "See x here [1]."),
        ("Click [here](javascript:alert(1)", "Click here"),
        ("<img src=x onerror=y>Hi", "Hi"),
        ("Read https://evil.invalid/a now", "Read (…) now"),
        ("Data: 3 < 5 and file: none [2]", "Data: 3 < 5 and file: none [2]"),
    ],
)
def test_markup_is_made_inert(text: str, shown: str):
    assert inert(text) == shown


def test_a_marker_of_thoughts_may_be_split():
    splitter = ThinkingSplitter()
    deltas = [delta for piece in ("<th", "ink>a", "b</thi", "nk>", "c < d") for delta in splitter.feed(piece)]
    deltas += splitter.finish()
    assert "".join(delta.text for delta in deltas if isinstance(delta, ThinkingDelta)) == "ab"
    assert "".join(delta.text for delta in deltas if not isinstance(delta, ThinkingDelta)) == "c < d"


def test_a_heading_is_not_a_sentence_to_quote():
    texts = [item.text for item in candidates(["# Opening hours\n\nWe open at nine.", "# Only a heading"])]
    assert texts == ["We open at nine.", "# Only a heading"]


def test_the_documents_answer_where_the_model_does_not_write_the_language(tmp_path):  # noqa: ANN001
    who, _, _ = assistant(tmp_path, [TOWER], "unreadable")
    (chosen,) = [event for event in ask(who, "写一首关于海的诗", mode="auto") if isinstance(event, RouteChosen)]
    assert (chosen.route.mode, chosen.route.runner_up) == ("rag", "prompt")
    assert chosen.route.signals[0].name == "language"
