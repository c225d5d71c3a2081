"""Which prompt does best? Variants of instruction, examples, order and format, scored on a development part.

Successive halving: every variant answers a few rows, the better half answers more, until one is left; its score is then
taken on rows that no choice has seen.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.language import Bilingual, language_of
from core.types import Message
from inference.protocol import ChatEngine
from training.contestants import Reply, ask, spread_over_labels, with_shots
from training.exam import longest_answer
from training.examples import Example
from training.scoring import Score, accuracy, label_mark, mean_score, token_f1

FIRST_ROWS = 10
MOST_ROWS = 40
THOUGHT_TOKENS = 120
INSTRUCTIONS = (
    Bilingual("", ""),
    Bilingual("Answer with the label only, nothing else.", "只回答类别名称，不要写别的。"),
    Bilingual(
        "You are an expert. Read carefully and give only the final answer.", "你是专家。请仔细阅读，只给出最终答案。"
    ),
)
STEP_BY_STEP = Bilingual(
    "Think step by step, then write the answer on a last line of its own.", "请一步一步思考，最后单独一行写出答案。"
)

_NAMES = (
    Bilingual("plain", "直接提问"),
    Bilingual("instruction", "指令"),
    Bilingual(" examples as turns", " 个样例作为对话"),
    Bilingual(" examples as text", " 个样例写在提问前"),
)
_STEPS = Bilingual("step by step", "逐步思考")
_REVERSED = Bilingual(" reversed", "（倒序）")


@dataclass(frozen=True)
class PromptVariant:
    """A way to ask: a system instruction, examples as earlier turns, or the examples as text in one turn."""

    name: str
    instruction: str = ""
    shots: tuple[Example, ...] = ()
    inline: bool = False
    last_line: bool = False

    def messages(self, example: Example) -> tuple[Message, ...]:
        """The chat that asks `example` in this way."""
        prompt = with_shots(example, () if self.inline else self.shots)
        if self.inline and self.shots:
            shown = "\n\n".join(f"{shot.question} {shot.answer}".strip() for shot in self.shots)
            last = prompt[-1]
            prompt = (*prompt[:-1], Message(last.role, f"{shown}\n\n{last.content}"))
        if not self.instruction:
            return prompt
        return (Message("system", self.instruction), *(one for one in prompt if one.role != "system"))


@dataclass(frozen=True)
class VariantScore:
    """How a variant did on `score.n` development rows."""

    variant: PromptVariant
    score: Score


@dataclass(frozen=True)
class SearchReport:
    """The plain prompt and the best one on the held-out rows, and all variants on the development rows, best first."""

    plain: Score
    best: Score
    winner: PromptVariant
    ranking: tuple[VariantScore, ...]


def variants(train: Sequence[Example], seed: int) -> list[PromptVariant]:
    """The variants to try, the plain prompt first."""
    draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    language = language_of(train[0].question)
    short = sorted(train, key=lambda example: len(example.question))[: max(20, len(train) // 2)]
    draw.shuffle(short)
    few = tuple(spread_over_labels(short, 4))
    more = tuple(spread_over_labels(short, 8))
    # A person reads the names, as those of templates.
    plain, instruction, as_turns, as_text = (name.in_(language) for name in _NAMES)
    found = [PromptVariant(plain)]
    found += [PromptVariant(f"{instruction} {n}", text.in_(language)) for n, text in enumerate(INSTRUCTIONS[1:], 1)]
    found.append(PromptVariant(_STEPS.in_(language), STEP_BY_STEP.in_(language), last_line=True))
    for count, shots in (("4", few), ("8", more)):
        for name, turned in ((count, shots), (f"{count}{_REVERSED.in_(language)}", shots[::-1])):
            found.append(PromptVariant(f"{name}{as_turns}", shots=turned))
            found.append(PromptVariant(f"{name}{as_text}", shots=turned, inline=True))
    both = Bilingual("instruction 1, 8 examples", "指令 1 加 8 个样例").in_(language)
    found.append(PromptVariant(both, INSTRUCTIONS[1].in_(language), more))
    return found


def search(
    engine: ChatEngine,
    train: Sequence[Example],
    development: Sequence[Example],
    held_out: Sequence[Example],
    seed: int = 42,
    on_round: Callable[[int, int], None] = lambda _variants, _rows: None,
) -> SearchReport:
    """Find the best prompt for a task. The three parts must not overlap."""
    labels = sorted({row.label for row in (*train, *development, *held_out) if row.label})
    max_tokens = longest_answer([*train, *development], engine.count_tokens)

    def scored(variant: PromptVariant, rows: Sequence[Example]) -> VariantScore:
        marks = list(_marks(engine, variant, rows, labels, max_tokens))
        return VariantScore(variant, accuracy(marks) if labels else mean_score(marks))

    left, rows, ranking = variants(train, seed), FIRST_ROWS, list[VariantScore]()
    while True:
        on_round(len(left), min(rows, len(development)))
        results = sorted((scored(one, development[:rows]) for one in left), key=lambda one: -one.score.mean)
        keep = max(1, len(results) // 2)
        # Those that stayed are ranked anew; those that left keep their place behind them.
        ranking = results + ranking[len(results) :]
        if keep == len(results) or rows >= min(MOST_ROWS, len(development)):
            break
        left, rows = [one.variant for one in results[:keep]], rows * 2
    winner = ranking[0].variant
    return SearchReport(
        scored(PromptVariant("plain"), held_out).score, scored(winner, held_out).score, winner, tuple(ranking)
    )


def _marks(
    engine: ChatEngine, variant: PromptVariant, rows: Sequence[Example], labels: Sequence[str], max_tokens: int
) -> Iterator[float]:
    reply = Reply(engine, max_tokens, labels)
    for row in rows:
        answer = (_last_line if variant.last_line else Reply.__call__)(reply, variant.messages(row))
        yield label_mark(answer, row.answer, labels) if labels else token_f1(answer, row.answer)


def _last_line(reply: Reply, messages: Sequence[Message]) -> str:
    """What stands behind the model's thoughts, which take tokens of their own."""
    lines = ask(reply.engine, messages, reply.max_tokens + THOUGHT_TOKENS).splitlines()
    return lines[-1] if lines else ""
