"""Reads a short answer off the passages more than once and takes the one that most speaks for.

A small model writes its likeliest answer word by word and so commits itself to its first word. Here other words that
it held possible, and that go on copying a passage, are followed up as well. A reply counts by what the model gives the
whole of it, by how well its sentence answers the question (the linear model of `orchestrator.extractive`), and less
where it only repeats the question or stands in no passage. The constants were chosen on one half of the questions about
articles never trained on; figures stand in `evaluation/DECISIONS.md`.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.grounded_prompt import REFUSAL
from core.types import DISTANCE, Evidence
from inference.protocol import ChatEngine, GeneratedText, GenerationFinished, GenerationRequest
from orchestrator.events import Source
from orchestrator.extractive import ranked_sentences
from orchestrator.words import squeezed, terms

# Alternatives looked at for each word, and replies followed up beside the first.
LOOKED_AT = 24
FOLLOWED = 4
# Replies less likely than e to this are not followed.
LEAST_LOG_PROBABILITY = -6.0
LONGEST_REPLY = 24
LONGEST_RUN = 160
# In nats: per nat of the sentence, for a reply in the question's own words, for one that no passage holds.
SENTENCE_WEIGHT = 0.25
REPEATING_COSTS = 2.0
INVENTING_COSTS = 1.0
# How sure an answer is, in nats: per standard deviation of the evidence, at none, per nat of the model's own odds.
EVIDENCE_WEIGHT = 0.64
WITHOUT_EVIDENCE = -2.83
READING_WEIGHT = 0.15
# Odds beyond these say no more; so was it fitted.
MOST_NATS = 7.0
LEAST_CONFIDENCE = 0.35
# While vectors are still missing, a question stands out by its words alone, and less.
LEAST_BEFORE_VECTORS = 0.2
_CITATION = re.compile(r"\s*\[\d{0,3}\]?")
_WORD_START = re.compile(r"(?<![^\W_])[^\W_]")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Reply:
    """A reply of the model with its natural-log probability, without that of the end."""

    text: str
    log_probability: float

    @property
    def answer(self) -> str:
        """The reply without its citation."""
        return _CITATION.sub("", self.text).strip()


@dataclass(frozen=True)
class Replies:
    """All replies, the model's own first, and the tokens that reading the others took."""

    replies: tuple[Reply, ...]
    tokens: int = 0


def read_again(
    engine: ChatEngine,
    request: GenerationRequest,
    first: Sequence[GeneratedText],
    passages: Sequence[str],
    is_cancelled: Callable[[], bool],
) -> Replies:
    """Follow the likeliest other beginnings of the reply `first`, which `request` gave with its alternatives.

    `passages` are the texts that were shown. Cancelled, it returns what it has.
    """
    reader = _Reader(engine, request, _CopyTest(passages))
    found = [reader.reply("", 0.0, first)]
    while reader.waiting and len(found) <= FOLLOWED and not is_cancelled():
        log_probability, text = reader.next()
        pieces = reader.continued(text, is_cancelled)
        reply = reader.reply(text, log_probability, pieces)
        if reply.answer and squeezed(reply.answer) not in {squeezed(other.answer) for other in found}:
            found.append(reply)
    return Replies(tuple(found), reader.tokens)


@dataclass(frozen=True)
class Verdict:
    """The reply to give, and how sure it is that the passages answer at all, 0 to 1.

    Under `LEAST_CONFIDENCE` (`LEAST_BEFORE_VECTORS` while vectors are missing) the reply is the refusal.
    """

    reply: Reply
    confidence: float


def judged(
    question: str, replies: Sequence[Reply], refusal: Reply, sources: Sequence[Source], evidence: Evidence
) -> Verdict:
    """Choose among the answers, or `refusal`.

    What the model holds of its answers against what it holds of `refusal` counts, and more what the search holds of
    the passages: a small model is easily talked into an answer by a passage about something near.
    """
    answers = [reply for reply in replies if not is_refusal(reply.text) and reply.answer]
    if not answers:
        return Verdict(refusal, 0.0)
    odds = _log_sum([reply.log_probability for reply in answers]) - refusal.log_probability
    odds = max(-MOST_NATS, min(odds, MOST_NATS))
    distance = evidence.signals.get(DISTANCE)
    if distance is not None:
        odds = EVIDENCE_WEIGHT * distance + WITHOUT_EVIDENCE + READING_WEIGHT * odds
    confidence = 1.0 / (1.0 + math.exp(-odds))
    is_whole = distance is not None and evidence.signals.get("embedded", 1.0) >= 1.0
    refused = confidence < (LEAST_CONFIDENCE if is_whole else LEAST_BEFORE_VECTORS)
    return Verdict(refusal if refused else best_reply(question, answers, sources), confidence)


def is_refusal(text: str) -> bool:
    """Whether a reply to the grounded prompt is its refusal, whatever the punctuation."""
    said = squeezed(text)
    return any(squeezed(refusal) in said for refusal in (REFUSAL.en, REFUSAL.zh))


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    return most + math.log(sum(math.exp(value - most) for value in values))


def best_reply(question: str, replies: Sequence[Reply], sources: Sequence[Source]) -> Reply:
    """The reply that the model, the sentence it stands in and its own words most speak for."""
    used = [source for source in sources if source.used]
    ranked = ranked_sentences(question, used)
    total = _log_sum([one.score for one in ranked]) if ranked else 0.0
    lowest = min((one.score for one in ranked), default=0.0)
    held = [(_words(one.text), one.score - total) for one in ranked]
    texts = [_words(source.chunk.chunk.text) for source in used]
    asked = set(terms(question))

    def score(reply: Reply) -> float:
        said, meant = _words(reply.answer), set(terms(reply.answer))
        sentence = next((value for words, value in held if _holds(words, said)), lowest - total)
        repeats = bool(meant) and meant <= asked
        copied = any(_holds(words, said) for words in texts)
        weight = SENTENCE_WEIGHT * sentence - REPEATING_COSTS * repeats - INVENTING_COSTS * (not copied)
        return reply.log_probability + weight

    return max(replies, key=score)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _holds(words: Sequence[str], run: Sequence[str]) -> bool:
    """Whether the words of `run` stand in `words` behind each other."""
    size = len(run)
    return size > 0 and any(words[at : at + size] == run for at in range(len(words) - size + 1))


class _Reader:
    """The beginnings still to be followed, likeliest last."""

    def __init__(self, engine: ChatEngine, request: GenerationRequest, copies: "_CopyTest") -> None:
        self._engine = engine
        self._request = request
        self._copies = copies
        self._seen: set[str] = set()
        self.waiting: list[tuple[float, str]] = []
        self.tokens = 0

    def next(self) -> tuple[float, str]:
        """The likeliest beginning, with its log-probability."""
        self.waiting.sort()
        return self.waiting.pop()

    def continued(self, text: str, is_cancelled: Callable[[], bool]) -> list[GeneratedText]:
        """How the model goes on after `text`."""
        sampling = replace(self._request.sampling, max_tokens=LONGEST_REPLY)
        request = replace(self._request, prompt=self._request.prompt + text, sampling=sampling)
        pieces: list[GeneratedText] = []
        for event in self._engine.generate(request, is_cancelled):
            if isinstance(event, GeneratedText):
                pieces.append(event)
            elif isinstance(event, GenerationFinished):
                self.tokens += event.usage.completion_tokens
        return pieces

    def reply(self, text: str, log_probability: float, pieces: Sequence[GeneratedText]) -> Reply:
        """The whole reply; on the way the other words it might have had are noted."""
        for piece in pieces:
            if piece.logprob is not None:
                self._note(text, log_probability, piece)
                log_probability += piece.logprob
            text += piece.text
        return Reply(text.strip(), log_probability)

    def _note(self, text: str, log_probability: float, piece: GeneratedText) -> None:
        if "[" in text:
            return
        for other, logprob in piece.top_logprobs:
            whole, likely = text + other, log_probability + logprob
            if other == piece.text or likely < LEAST_LOG_PROBABILITY or whole in self._seen:
                continue
            if self._copies(whole):
                self._seen.add(whole)
                self.waiting.append((likely, whole))


class _CopyTest:
    """Whether a beginning goes on copying some passage from the start of a word."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._runs = [
            squeezed(text[match.start() : match.start() + LONGEST_RUN])
            for text in passages
            for match in _WORD_START.finditer(text)
        ]

    def __call__(self, text: str) -> bool:
        # A token may be half a character, and control tokens are named by their signs: neither copies anything.
        if "\ufffd" in text or "<|" in text:
            return False
        begun = squeezed(_CITATION.sub("", text))
        return bool(begun) and any(run.startswith(begun) for run in self._runs)
