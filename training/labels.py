"""Labels where there are few: from corrections, from the documents themselves, from a larger model as a teacher."""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.grounded_prompt import REFUSAL, NumberedPassage, grounded_answer, grounded_messages
from core.language import language_of
from core.types import Chunk, Message, SamplingSettings
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest
from training.cloze import cloze_questions
from training.contestants import ask
from training.examples import Example, Likely, pair

QUESTIONS_A_PASSAGE = 3
MOST_DISTRACTORS = 3
REFUSAL_SHARE = 0.15
# An answer that loses less than this (nats in all) without its passage was not taken from it.
LEAST_SUPPORT = 2.0
CITATION = re.compile(r"\s*\[\d{1,3}\]")


@dataclass(frozen=True)
class Feedback:
    """What a person thought of an answer: `correction` is what they wrote instead, empty where they liked it."""

    question: str
    answer: str
    correction: str = ""


def from_feedback(rows: Iterable[Feedback]) -> list[Example]:
    """Corrected and liked answers as examples; a correction wins over an answer that was liked."""
    found: dict[str, Example] = {}
    for row in sorted(rows, key=lambda one: bool(one.correction)):
        wanted = (row.correction or row.answer).strip()
        if row.question.strip() and wanted:
            found[row.question.strip()] = pair(row.question.strip(), wanted)
    return list(found.values())


def from_documents(
    chunks: Sequence[Chunk], near: Callable[[str], Sequence[Chunk]], seed: int = 42
) -> Iterator[Example]:
    """The RAFT recipe over a user's own passages: question, passages with real distractors, short answer with `[n]`.

    `near` gives the passages that a search brings for a question: these distract as in real use. A share of the
    questions stands before the distractors alone and wants the refusal.
    """
    draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    for chunk in chunks:
        for question, answer in cloze_questions(chunk.text, QUESTIONS_A_PASSAGE, draw):
            others = [one for one in near(question) if one.id != chunk.id and answer.lower() not in one.text.lower()]
            yield _example(question, answer, chunk, others[:MOST_DISTRACTORS], draw)


def _example(question: str, answer: str, chunk: Chunk, others: Sequence[Chunk], draw: random.Random) -> Example:
    refused = bool(others) and draw.random() < REFUSAL_SHARE
    shown = list(others) if refused else [chunk, *others]
    draw.shuffle(shown)
    passages = [NumberedPassage(number, one.title, one.text) for number, one in enumerate(shown, 1)]
    language = language_of(question)
    reply = REFUSAL.in_(language) if refused else grounded_answer(answer, shown.index(chunk) + 1)
    return Example((*grounded_messages(question, passages, language), Message("assistant", reply)))


def support(engine: ChatEngine, example: Example) -> float:
    """How many nats the answer of a grounded example loses when all its passages are left out."""
    answer = CITATION.sub("", example.answer)
    question = example.question.rsplit("\n\n", 1)[-1]
    with_them = engine.render(example.prompt)
    without = engine.render((example.messages[0], Message("user", question)))
    return sum(engine.log_probabilities(with_them, answer)) - sum(engine.log_probabilities(without, answer))


def is_supported(engine: ChatEngine, example: Example) -> bool:
    """Whether a grounded example is a good one: a refusal, or an answer that needs its passages."""
    return example.answer in (REFUSAL.en, REFUSAL.zh) or support(engine, example) >= LEAST_SUPPORT


def from_teacher(
    teacher: ChatEngine, prompts: Iterable[tuple[Message, ...]], max_tokens: int = 256, top: int = 0
) -> Iterator[Example]:
    """Distillation: the answers of a larger model to the user's own questions; empty ones are left out.

    With `top` > 0, also that many most likely tokens at each place (Hinton et al. 2015, cut to the top): only for a
    teacher whose vocabulary is the base's.
    """
    for messages in prompts:
        if not top:
            answer = ask(teacher, messages, max_tokens)
            if answer:
                yield Example((*messages, Message("assistant", answer)))
            continue
        request = GenerationRequest(
            messages=messages, sampling=SamplingSettings(max_tokens=max_tokens), top_logprobs=top
        )
        said = [event for event in teacher.generate(request) if isinstance(event, GeneratedText)]
        answer = "".join(event.text for event in said)
        if answer.strip():
            places = tuple((event.token_ids[0], _ids_of(teacher, event)) for event in said if len(event.token_ids) == 1)
            yield Example((*messages, Message("assistant", answer)), teacher=places)


def _ids_of(teacher: ChatEngine, event: GeneratedText) -> Likely:
    """The likely tokens by id. The engine names them by text; one that is no whole character has no name of its own."""
    found = ((teacher.tokenize(text), logarithm) for text, logarithm in event.top_logprobs if "\ufffd" not in text)
    return tuple((ids[0], logarithm) for ids, logarithm in found if len(ids) == 1)
