"""Questions made from a collection's own sentences, for a person to review: answerable ones, and ones it cannot answer.

By rule a year, a number or a name is asked for, in the words of the sentence, so the answer is known; a model of some
size can write questions in place of the rules. What cannot be answered is a made question with its name exchanged for
another document's, or a question about the wide world; both are checked: no passage that is found holds their words.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from core.language import language_of
from core.types import Chunk, Message, SamplingSettings, Scope
from evaluation.datasets import read_jsonl
from evaluation.exam_rules import asked_by_rule, exchanged, names_in, sentence_with
from evaluation.exam_store import ExamItem, Origin
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest, JsonSchema
from orchestrator.words import squeezed, terms
from retrieval.library import Library
from retrieval.protocol import Searcher

Progress = Callable[[int, int], None]

FOREIGN = Path(__file__).parent / "cases" / "foreign.jsonl"
MOST_CHUNKS = 400
LEAST_TERMS = 4
MOST_OF_A_CHUNK = 3
# A passage that holds this share of a question's terms may hold its answer.
ANSWERED_SHARE = 0.8
LONGEST_WRITTEN = 160
_SHAPE: JsonSchema = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
}
_PROMPT = {
    "en": "Write one question that the passage answers, naming its subject, and the answer in the passage's own words."
    "\n\n{text}",
    "zh": "请根据下面的段落写一个问题（写明主语），并用段落中的原文给出答案。\n\n{text}",
}


@dataclass(frozen=True)
class ExamPlan:
    """How many questions of each kind to propose, and the seed of the draw."""

    answerable: int = 20
    unanswerable: int = 10
    seed: int = 42


def make_questions(
    library: Library,
    collection: str,
    plan: ExamPlan = ExamPlan(),
    engine: ChatEngine | None = None,
    progress: Progress = lambda _done, _total: None,
) -> list[ExamItem]:
    """Propose an exam over `collection`: at most what `plan` says, spread over its documents, the same for one seed.

    `engine` writes the answerable ones where it is large enough to; the rules do it else. `progress` is told the
    chunks read and their number. Raises CollectionNotFoundError.
    """
    draw = random.Random(plan.seed)  # noqa: S311 - a reproducible draw, no secret
    with library.reader(collection) as store:
        chunks = _spread([store.chunks_of_document(record.id) for record in store.documents()], draw)
    writer = engine if engine is not None and not engine.info.is_small else None
    # More than are asked: the unanswerable ones are made of the rest.
    wanted = plan.answerable + 2 * plan.unanswerable
    asked: list[list[ExamItem]] = []
    for place, chunk in enumerate(chunks, start=1):
        progress(place, len(chunks))
        asked.append(list(_asked_of(collection, chunk, draw, writer)))
        if sum(map(bool, asked)) >= wanted:
            break
    # One question of every passage before a second of any.
    made = {squeezed(item.question): item for row in zip_longest(*asked) for item in row if item is not None}
    answerable, spare = list(made.values())[: plan.answerable], list(made.values())[::-1]
    return [*answerable, *_unanswerable(library.searcher(), collection, spare, chunks, plan)]


def question_from_retrieval(collection: str, question: str, chunk: Chunk, answer: str = "") -> ExamItem:
    """The exam question of a search that was tried by hand: kept at once; `chunk` is what should be found.

    Without an answer in words, an answer that cites the chunk's document is right.
    """
    answers = (answer.strip(),) if answer.strip() else ()
    return ExamItem(collection, question.strip(), answers, True, chunk.uri, chunk.text, "retrieval", "kept")


def _spread(by_document: Sequence[Sequence[Chunk]], draw: random.Random) -> list[Chunk]:
    """Chunks in turn from every document, drawn within each, so that a long document is not the whole exam."""
    drawn = [draw.sample(list(chunks), len(chunks)) for chunks in by_document]
    draw.shuffle(drawn)
    return [chunk for row in zip_longest(*drawn) for chunk in row if chunk is not None][:MOST_CHUNKS]


def _asked_of(collection: str, chunk: Chunk, draw: random.Random, writer: ChatEngine | None) -> Iterator[ExamItem]:
    """The questions of a chunk, at most `MOST_OF_A_CHUNK`, drawn among those that say enough to be found by."""
    pairs = _written(writer, chunk.text) if writer else asked_by_rule(chunk.text, draw)
    fit = [pair for pair in pairs if len(set(terms(pair[0]))) >= LEAST_TERMS]
    origin: Origin = "model" if writer else "rule"
    for question, answer in draw.sample(fit, min(len(fit), MOST_OF_A_CHUNK)):
        yield ExamItem(collection, question, (answer,), True, chunk.uri, sentence_with(chunk.text, answer), origin)


def _written(writer: ChatEngine, text: str) -> list[tuple[str, str]]:
    """What the model asks, where its answer stands in the passage word for word."""
    message = Message("user", _PROMPT[language_of(text)].format(text=text))
    request = GenerationRequest((message,), json_schema=_SHAPE, sampling=SamplingSettings(max_tokens=LONGEST_WRITTEN))
    said = "".join(event.text for event in writer.generate(request) if isinstance(event, GeneratedText))
    try:
        pair = json.loads(said)
        question, answer = str(pair["question"]).strip(), str(pair["answer"]).strip()
    except (ValueError, KeyError, TypeError):
        return []
    return [(question, answer)] if answer and squeezed(answer) in squeezed(text) else []


def _unanswerable(
    searcher: Searcher, collection: str, spare: Sequence[ExamItem], chunks: Sequence[Chunk], plan: ExamPlan
) -> list[ExamItem]:
    """Half of them near the subject, the rest about the wide world, in the language that most of the questions have."""
    found: list[ExamItem] = []
    proposals = [*_swapped(collection, spare, chunks)][: 4 * plan.unanswerable]
    for share, items in ((0.5, proposals), (1.0, [*_foreign(collection, spare)])):
        for item in items:
            if len(found) >= round(share * plan.unanswerable):
                break
            if not _may_be_answered(searcher, item):
                found.append(item)
    return found


def _swapped(collection: str, items: Sequence[ExamItem], chunks: Sequence[Chunk]) -> Iterator[ExamItem]:
    for item in items:
        elsewhere = [name for chunk in chunks if chunk.uri != item.uri for name in names_in(chunk.text)]
        question = exchanged(item.question, elsewhere)
        if question:
            yield ExamItem(collection, question, (), False, origin="swapped")


def _foreign(collection: str, items: Sequence[ExamItem]) -> Iterator[ExamItem]:
    asked = [item.language for item in items]
    language = max(sorted(set(asked)), key=asked.count, default="en")
    for row in read_jsonl(FOREIGN):
        if row["language"] == language:
            yield ExamItem(collection, row["question"], (), False, origin="foreign")


def _may_be_answered(searcher: Searcher, item: ExamItem) -> bool:
    wanted = set(terms(item.question))
    found = searcher.retrieve(item.question, Scope(item.collection), 5)
    held = [len(wanted & set(terms(one.chunk.embedded_text))) for one in found.chunks]
    return max(held, default=0) >= ANSWERED_SHARE * len(wanted)
