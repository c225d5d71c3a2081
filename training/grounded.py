"""The rows that teach a small model to answer from passages: cite, be short, and say when there is no answer.

The recipe is RAFT's (Zhang et al. 2024) with several questions per set of passages: every question stands with
its own passage alone and among distractors, in shuffled places; some stand before passages that hold no answer. Half
of the sets are numbered downwards, as answering shows them ([1], the best, next to the question), half upwards.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.grounded_prompt import REFUSAL, NumberedPassage, grounded_answer, grounded_messages
from core.language import language_of
from core.types import Message
from training.cloze import cloze_questions
from training.examples import Example

# Articles whose hash falls below this share are never trained on: they are what is reported.
HELD_OUT_SHARE = 0.25
REFUSAL_SHARE = 0.15
DOWNWARDS = 0.5
# Passages of a set together stay below this many characters, about a thousand tokens.
MOST_CHARACTERS = 4600
LONGEST_ANSWER = 320
# Questions written over passages of the development files: more of them than come with these.
WRITTEN_FILE = Path(__file__).parent / "written_questions.jsonl"
SHORT_ANSWER = 120
# Beside XQuAD and CLAP NQ; of these only the written ones are asked: their own are answered at length, or yes and no.
WRITTEN_OVER = ("mtrag_un", "pubmedqa")
LONGEST_READ_WHOLE = 1900
# Passages of conversations within these bounds are read alone.
TALK_CHARACTERS = (500, 1300)


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the passage that holds it; `answer` is empty where the passage does not."""

    text: str
    answer: str
    context_id: str


@dataclass(frozen=True)
class Context:
    """A passage of an article."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Passages by id, and the questions about them."""

    contexts: dict[str, Context]
    questions: tuple[Question, ...]

    def about(self, contexts: Sequence[Context]) -> list[Question]:
        """The questions about any of `contexts`."""
        wanted = {context.id for context in contexts}
        return [question for question in self.questions if question.context_id in wanted]


def is_held_out(title: str) -> bool:
    """Whether an article is kept for reporting: a quarter of all titles, by hash, the same for ever."""
    return int(hashlib.sha256(title.encode("utf-8")).hexdigest()[:8], 16) / 2**32 < HELD_OUT_SHARE


def load_corpus(folder: Path, name: str, held_out: bool = False) -> Corpus:
    """Read `<name>.contexts.jsonl` and `<name>.dev.jsonl`; keep the articles on one side of the split.

    The title (where there is none, the id) decides the side.
    """
    rows = [
        row for row in _lines(folder / f"{name}.contexts.jsonl") if is_held_out(row["title"] or row["id"]) == held_out
    ]
    contexts = {row["id"]: Context(row["id"], row["title"].replace("_", " "), row["text"]) for row in rows}
    read = {"pubmedqa": _pubmed_question, "mtrag_un": _talk_question}.get(name, _question)
    questions = [read(row) for row in _lines(folder / f"{name}.dev.jsonl") if _context_id(row) in contexts]
    return Corpus(contexts, tuple(question for question in questions if len(question.answer) <= LONGEST_ANSWER))


def grounded_examples(folder: Path, seed: int = 42) -> list[Example]:
    """One round of the adapter `grounded`: every question alone, among one or two, and twice among three or four.

    Read from the development files in `folder`, the held-out articles left out. Another seed draws other
    distractors, other places and other refusals for the same questions.
    """
    draw = random.Random(seed)  # noqa: S311 - a reproducible recipe, no secret
    xquad = load_corpus(folder, "xquad_en")
    clapnq = load_corpus(folder, "clapnq")
    pubmed = load_corpus(folder, "pubmedqa")
    talks = load_corpus(folder, "mtrag_un")
    rows = [
        *_alone(xquad, draw),
        *_among_distractors(xquad, draw, sizes=(2, 3)),
        *_among_distractors(xquad, draw, sizes=(4, 5)),
        *_among_distractors(xquad, draw, sizes=(5,)),
        *_among_distractors(_with_cloze(_part(clapnq, draw, 45), draw, 3), draw, sizes=(1, 2, 4)),
        *_alone(_part(pubmed, draw, 8), draw, refusal_share=0.0),
        *_alone(_part(talks, draw, 8), draw, refusal_share=0.0),
    ]
    draw.shuffle(rows)
    return rows


def wide_examples(folder: Path, seed: int = 31) -> list[Example]:
    """A round over many more passages: their questions are made by rule, those of XQuAD stand among them.

    Where the few real questions are known by heart, other passages are what is left to learn reading from.
    """
    draw = random.Random(seed)  # noqa: S311 - a reproducible recipe, no secret
    xquad, clapnq, talks = (load_corpus(folder, name) for name in ("xquad_en", "clapnq", "mtrag_un"))
    short = [
        context for context in talks.contexts.values() if TALK_CHARACTERS[0] < len(context.text) < TALK_CHARACTERS[1]
    ]
    clap = _asked_about(_with_cloze(clapnq, draw, 6))
    talk = _part(_asked_about(_with_cloze(Corpus({one.id: one for one in short}, ()), draw, 6)), draw, 120)
    more = _with_cloze(xquad, draw, 3)
    rows = [
        *_alone(xquad, draw, 0.1),
        *_alone(_part(clap, draw, 100), draw, 0.08),
        *_alone(talk, draw, 0.08),
        *_among_distractors(more, draw, sizes=(2, 3)),
        *_among_distractors(clap, draw, sizes=(3, 4, 5)),
    ]
    draw.shuffle(rows)
    return rows


def written_examples(folder: Path, seed: int = 3) -> list[Example]:
    """A round over the questions in `WRITTEN_FILE`: every passage alone with all of its own, and among others.

    They ask what the files' own questions do not, nearly one in six for what the passage does not hold. Half of XQuAD's
    own stand among them, and those of CLAP NQ whose answer is short or missing.
    """
    draw = random.Random(seed)  # noqa: S311 - a reproducible recipe, no secret
    written = _written(kept_to_choose_by=False)
    xquad = load_corpus(folder, "xquad_en")
    clapnq, *others = (_written_over(load_corpus(folder, name), written) for name in ("clapnq", *WRITTEN_OVER))
    own = {
        key: [one for one in clapnq.about([clapnq.contexts[key]]) if len(one.answer) <= SHORT_ANSWER]
        for key in clapnq.contexts
    }
    asked = {key: xquad.about([one]) for key, one in xquad.contexts.items()} | own
    half = {key: [one for one in asked[key] if draw.random() < 0.5] for key in xquad.contexts} | own
    rows: list[Example] = []
    everything = {**xquad.contexts, **clapnq.contexts}
    for contexts, share in ((xquad.contexts, 0.06), (clapnq.contexts, 0.03), *((one.contexts, 0.03) for one in others)):
        everything |= contexts
        corpus = Corpus(contexts, tuple(q for key in contexts for q in (*half.get(key, ()), *written.get(key, ()))))
        for context in contexts.values():
            rows += _asked([context], corpus, draw, share)
    questions = [one for key in everything for one in (*asked.get(key, ()), *written.get(key, ()))]
    third = tuple(one for one in questions if draw.random() < 0.36)
    rows += _among_distractors(Corpus(everything, third), draw, sizes=(3, 4, 5))
    return rows


def _written_over(corpus: Corpus, written: Mapping[str, Sequence[Question]]) -> Corpus:
    """The passages that questions were written over and that are read whole."""
    contexts = {
        key: one for key, one in corpus.contexts.items() if key in written and len(one.text) < LONGEST_READ_WHOLE
    }
    return Corpus(contexts, corpus.questions)


def _written(kept_to_choose_by: bool) -> dict[str, list[Question]]:
    """The questions of `WRITTEN_FILE` by passage: those to learn from, or those that versions are chosen by."""
    rows = [row for row in _lines(WRITTEN_FILE) if row["kept_to_choose_by"] == kept_to_choose_by]
    return {
        row["context_id"]: [Question(text, answer, row["context_id"]) for text, answer in row["questions"]]
        for row in rows
    }


def _asked_about(corpus: Corpus) -> Corpus:
    """Without the passages that no question is about."""
    asked = {question.context_id for question in corpus.questions}
    return Corpus({key: one for key, one in corpus.contexts.items() if key in asked}, corpus.questions)


def _alone(corpus: Corpus, draw: random.Random, refusal_share: float = REFUSAL_SHARE) -> Iterator[Example]:
    for context in corpus.contexts.values():
        if len(context.text) <= MOST_CHARACTERS // 3:
            yield from _asked([context], corpus, draw, refusal_share)


def _among_distractors(corpus: Corpus, draw: random.Random, sizes: Sequence[int]) -> Iterator[Example]:
    """Cut all passages into sets, half of them from one article (the hardest distractors), half mixed."""
    waiting = sorted(corpus.contexts.values(), key=lambda context: context.id)
    while waiting:
        size = draw.choice(sizes)
        first = waiting.pop(draw.randrange(len(waiting)))
        near = sorted(waiting, key=lambda other: -_likeness(first, other))
        pool = near[: size * 2] if draw.random() < 0.6 else draw.sample(waiting, min(len(waiting), size * 2))
        chosen = [first, *draw.sample(pool, min(size - 1, len(pool)))]
        while len(chosen) > 1 and sum(len(context.text) for context in chosen) > MOST_CHARACTERS:
            chosen.pop()
        waiting = [context for context in waiting if context not in chosen]
        draw.shuffle(chosen)
        yield from _asked(chosen, corpus, draw, REFUSAL_SHARE)


def _asked(shown: Sequence[Context], corpus: Corpus, draw: random.Random, refusal_share: float) -> Iterator[Example]:
    """The questions about the passages shown, and some about passages of the same articles that are not shown."""
    places = range(len(shown), 0, -1) if draw.random() < DOWNWARDS else range(1, len(shown) + 1)
    numbers = {context.id: number for number, context in zip(places, shown, strict=True)}
    numbered = [NumberedPassage(numbers[context.id], context.title, context.text) for context in shown]
    own = corpus.about(shown)
    for question in own:
        reply = grounded_answer(question.answer, numbers[question.context_id]) if question.answer else ""
        yield _example(question.text, numbered, reply)
    count = sum(draw.random() < refusal_share for _ in own)
    for question in draw.sample(_near_misses(shown, corpus, draw), count) if count else ():
        yield _example(question.text, numbered, "")


def _near_misses(shown: Sequence[Context], corpus: Corpus, draw: random.Random) -> list[Question]:
    """Questions whose passage is not shown and whose answer no shown passage holds, half from the same articles."""
    titles = {context.title for context in shown}
    text = " ".join(context.text for context in shown).lower()
    ids = {context.id for context in shown}
    away = [
        question
        for question in corpus.questions
        if question.context_id not in ids and question.answer and question.answer.lower() not in text
    ]
    near = [question for question in away if corpus.contexts[question.context_id].title in titles]
    return near + draw.sample(away, min(len(away), max(20, len(near) // 2)))


def _example(question: str, passages: Sequence[NumberedPassage], reply: str) -> Example:
    language = language_of(question)
    messages = grounded_messages(question, passages, language)
    return Example((*messages, Message("assistant", reply or REFUSAL.in_(language))))


def _with_cloze(corpus: Corpus, draw: random.Random, per_passage: int) -> Corpus:
    """Add questions made from the passages' own sentences: more answers to learn from each passage already read."""
    made = [
        Question(question, answer, context.id)
        for context in corpus.contexts.values()
        for question, answer in cloze_questions(context.text, per_passage, draw)
    ]
    return Corpus(corpus.contexts, (*corpus.questions, *made))


def _part(corpus: Corpus, draw: random.Random, count: int) -> Corpus:
    ids = draw.sample(sorted(corpus.contexts), min(count, len(corpus.contexts)))
    contexts = {key: corpus.contexts[key] for key in ids}
    return Corpus(contexts, tuple(one for one in corpus.questions if one.context_id in contexts))


def _likeness(one: Context, other: Context) -> float:
    """Share of words in common; passages of one article count as nearer than any other."""
    a, b = set(one.text.lower().split()), set(other.text.lower().split())
    return len(a & b) / max(1, len(a | b)) + (one.title == other.title)


def _question(row: dict[str, Any]) -> Question:
    answers = [answer for answer in row["answers"] if answer] if row.get("answerable", True) else []
    return Question(row["question"], min(answers, key=len) if answers else "", row["context_id"])


def _pubmed_question(row: dict[str, Any]) -> Question:
    return Question(row["question"], str(row["answers"][0]).capitalize(), row["context_id"])


def _talk_question(row: dict[str, Any]) -> Question:
    """The first turn of a conversation; its answer is empty where the passages do not hold it."""
    answer = row["answers"][0].strip() if row["answerability"] == ["ANSWERABLE"] else ""
    return Question(row["turns"][0]["text"].strip().strip('"'), answer, row["context_ids"][0])


def _context_id(row: dict[str, Any]) -> str:
    """The one passage that a question is about; empty where there are several, or earlier turns."""
    if "turns" in row:
        return row["context_ids"][0] if len(row["turns"]) == 1 and len(row["context_ids"]) == 1 else ""
    return str(row.get("context_id", ""))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
