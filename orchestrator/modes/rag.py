"""Retrieval mode: passages first, then an answer that stands on them, or a refusal."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from core.config import Settings
from core.grounded_prompt import INSTRUCTION, REFUSAL, PromptPart, grounded_parts
from core.language import Bilingual
from core.types import DISTANCE, Chunk, Evidence, Retrieval, Usage
from inference.protocol import ChatEngine, GenerationRequest
from orchestrator.citations import CheckedAnswer, check_answer
from orchestrator.context import Draft, Piece, assemble, budget, draft, prompt_tokens
from orchestrator.events import (
    AnswerCompleted,
    AnswerEvent,
    AnswerKind,
    ContextAssembled,
    Source,
    SourcesFound,
    TextDelta,
)
from orchestrator.extractive import extractive_answer
from orchestrator.focus import focused
from orchestrator.generation import Generated, generate
from orchestrator.kept_passages import KeptPassages
from orchestrator.markup import inert
from orchestrator.modes.base import CONSIDERED, limit_notices, sampling_of, step_by_step, writes
from orchestrator.passages import closest_sources, numbered_sources, passages_of, with_whole_document
from orchestrator.prompts import texts
from orchestrator.prompts.texts import fill
from orchestrator.query_rewriter import search_text
from orchestrator.reading import LOOKED_AT, Reply, is_refusal, judged, read_again
from orchestrator.turn import Turn
from retrieval.protocol import Searcher

# A small model reads one passage where it stands this far above the next (scores are between 0 and 1), else two.
CLEAR_LEAD = 0.3
PASSAGES_OF_SMALL = 2
# Asked for in place of an adapter: the model as it is.
NO_ADAPTER = "none"
# Evidence below it (standard deviations above foreign questions) is not quoted where no model weighs what it says.
LEAST_QUOTED = 0.5
# Share of the room that a document may take to be shown whole.
WHOLE_SHARE = 0.5

# (collection, id of a document) -> its text, empty where it cannot be had.
TextOf = Callable[[str, str], str]


def _is_worth_quoting(evidence: Evidence) -> bool:
    return evidence.signals.get(DISTANCE, LEAST_QUOTED) >= LEAST_QUOTED


def no_text(_collection: str, _document_id: str) -> str:
    """Where only passages can be had."""
    return ""


class RagMode:
    """Answers from the passages that a search brings; `adapter` names the one trained on the grounded prompt."""

    def __init__(
        self,
        engine: ChatEngine,
        searcher: Searcher,
        settings: Settings,
        adapter: Callable[[], str] = str,
        text_of: TextOf = no_text,
    ) -> None:
        self._text_of = text_of
        self._kept = KeptPassages()
        self._engine = engine
        self._searcher = searcher
        self._settings = settings
        self._adapter = adapter

    def answer(self, turn: Turn) -> Iterator[AnswerEvent]:
        """Yield SourcesFound, then a refusal, an extractive answer, or ContextAssembled with a checked answer."""
        turn = self._with_retrieval(turn)
        found = turn.retrieval
        chosen, must_quote = turn.question.options.extractive, not writes(self._engine, turn.language)
        if found is None or found.evidence.level == "none" or (must_quote and not _is_worth_quoting(found.evidence)):
            yield from self._refuse_before_the_model(turn)
            return
        if chosen or must_quote:
            sources = numbered_sources(found.chunks, turn.question.options.top_k or self._settings.top_k)
            yield _sources_found(sources, found)
            yield from self._extract(turn, sources, texts.EXTRACTIVE_CHOSEN if chosen else texts.EXTRACTIVE_LANGUAGE)
            return
        sources = numbered_sources(found.chunks, turn.question.options.top_k or self._most_passages(found))
        shown = self._fitting(turn, sources)
        sources, context = self._context(turn, self._kept.arranged(turn.question.conversation_id, shown))
        self._kept.remember(turn.question.conversation_id, sources)
        yield _sources_found(sources, found)
        yield context
        yield from self._generate(turn, sources, context)

    def _with_retrieval(self, turn: Turn) -> Turn:
        if turn.retrieval is not None:
            return turn
        started = time.monotonic()
        wanted = search_text(turn.question.text, turn.query)
        found = self._searcher.retrieve(wanted, turn.question.scope, CONSIDERED)
        return replace(turn, retrieval=found, retrieve_seconds=time.monotonic() - started)

    def _most_passages(self, found: Retrieval) -> int:
        """As many as the settings say; a small model is led astray by every passage more than it needs."""
        if not self._engine.info.is_small:
            return self._settings.top_k
        scores = [item.score for item in found.chunks[:2]]
        is_clear = len(scores) == 2 and scores[0] - scores[1] > CLEAR_LEAD
        return 1 if is_clear else min(self._settings.top_k, PASSAGES_OF_SMALL)

    def _fitting(self, turn: Turn, sources: Sequence[Source]) -> tuple[Source, ...]:
        """A short document whole; for a small model the few sentences that matter."""
        if self._engine.info.is_small:
            return focused(turn.query, sources)
        return with_whole_document(sources, lambda chunk: self._whole(turn, chunk))

    def _whole(self, turn: Turn, chunk: Chunk) -> str:
        """The text of the chunk's document, where it is short enough to be shown as a whole; else nothing."""
        room = int(WHOLE_SHARE * budget(self._engine, sampling_of(turn, self._settings).max_tokens))
        text = self._text_of(turn.question.scope.collection, chunk.document_id)
        # No token of a text that is worth reading has more than ten characters on the average.
        return text if len(text) <= 10 * room and self._engine.count_tokens(text) <= room else ""

    def _context(self, turn: Turn, sources: Sequence[Source]) -> tuple[tuple[Source, ...], ContextAssembled]:
        """Drop the lowest-ranked sources until the prompt fits; their number stays, with the reason."""
        tokens = budget(self._engine, sampling_of(turn, self._settings).max_tokens)
        kept = list(sources)
        while (used := [source for source in kept if source.used]) and prompt_tokens(
            self._engine, _drafts(turn, kept)
        ) > tokens:
            last = kept.index(used[-1])
            kept[last] = replace(used[-1], used=False, reason=fill(texts.NO_ROOM, tokens=tokens))
        left_out = [_left_out(source) for source in kept if not source.used]
        return tuple(kept), assemble(self._engine, _drafts(turn, kept), tokens, left_out)

    def _generate(self, turn: Turn, sources: Sequence[Source], context: ContextAssembled) -> Iterator[AnswerEvent]:
        request = GenerationRequest(
            prompt=context.prompt,
            sampling=sampling_of(turn, self._settings),
            adapter=self._adapter_of(turn),
            conversation_id=turn.question.conversation_id,
            passages=_passages(context) if self._settings.stored_passages else (),
        )
        again = self._reads_again(turn, request)
        request = replace(request, top_logprobs=LOOKED_AT if again else 0)
        generated = yield from generate(self._engine, request, turn.is_cancelled)
        confidence: float | None = None
        if again and generated.reason == "stop":
            generated, confidence = self._read_again(turn, request, generated, sources)
        cancelled = generated.reason == "cancelled"
        if not cancelled and is_refusal(generated.text):
            text = texts.NOT_IN_PASSAGES.in_(turn.language)
            end = self._completed(turn, generated, CheckedAnswer(text, (), ()), "refusal")
            yield replace(end, confidence=confidence)
            return
        checked = check_answer(inert(generated.text), sources, turn.question.text)
        if not cancelled and not checked.has_support:
            yield from self._extract(turn, sources, texts.EXTRACTIVE_FALLBACK, generated, confidence)
            return
        yield replace(self._completed(turn, generated, checked, "model"), confidence=confidence)

    def _reads_again(self, turn: Turn, request: GenerationRequest) -> bool:
        """Whether the short answers of our adapter are to be weighed against each other: a small model, not drawing."""
        own = bool(request.adapter) and request.adapter == self._adapter()
        return own and self._engine.info.is_small and request.sampling.temperature == 0.0

    def _read_again(
        self, turn: Turn, request: GenerationRequest, generated: Generated, sources: Sequence[Source]
    ) -> tuple[Generated, float]:
        """The reply that most speaks for, in place of the likeliest one, and how sure it is; its tokens count all."""
        shown = [passage.text for passage in passages_of(sources)]
        found = read_again(self._engine, request, generated.pieces, shown, turn.is_cancelled)
        words = REFUSAL.in_(turn.language)
        refusal = Reply(words, sum(self._engine.log_probabilities(request.prompt, words, request.adapter)))
        evidence = turn.retrieval.evidence if turn.retrieval is not None else Evidence("none", 0.0)
        verdict = judged(turn.query, found.replies, refusal, sources, evidence)
        usage = replace(generated.usage, completion_tokens=generated.usage.completion_tokens + found.tokens)
        return replace(generated, text=verdict.reply.text, usage=usage), verdict.confidence

    def _extract(
        self,
        turn: Turn,
        sources: Sequence[Source],
        label: Bilingual,
        generated: Generated | None = None,
        confidence: float | None = None,
    ) -> Iterator[AnswerEvent]:
        """Answer in the sources' own sentences; `generated` is what the model spent before, if it was asked."""
        extract = extractive_answer(turn.query, sources)
        if generated is None:
            yield TextDelta(extract.text)
        checked = CheckedAnswer(extract.text, extract.citations, ())
        end = self._completed(turn, generated, checked, "extractive", (label,))
        yield replace(end, confidence=confidence)

    def _refuse_before_the_model(self, turn: Turn) -> Iterator[AnswerEvent]:
        found = turn.retrieval
        empty = found is None or found.searched == 0
        if found is not None:
            yield _sources_found(closest_sources(found.chunks), found)
        name = turn.question.scope.collection
        text = (fill(texts.EMPTY_COLLECTION, name=name) if empty else texts.NO_EVIDENCE).in_(turn.language)
        yield TextDelta(text)
        yield self._completed(turn, None, CheckedAnswer(text, (), ()), "refusal")

    def _completed(
        self,
        turn: Turn,
        generated: Generated | None,
        checked: CheckedAnswer,
        kind: AnswerKind,
        notices: tuple[Bilingual, ...] = (),
    ) -> AnswerCompleted:
        if generated is None:
            return AnswerCompleted(checked.text, kind, Usage(), turn.timings(), checked.citations, notices=notices)
        shown = _check_notices(checked) if kind == "model" else ()
        shown += limit_notices(turn, self._engine, generated) if kind != "refusal" else ()
        stored = generated.usage.stored_tokens
        shown += (fill(texts.STORED_PASSAGES, tokens=stored),) if stored else ()
        return AnswerCompleted(
            text=checked.text,
            kind=kind,
            usage=generated.usage,
            timings=turn.timings(generated.timings),
            citations=checked.citations,
            unsupported=checked.unsupported,
            notices=(*notices, *shown),
            stopped=generated.reason == "cancelled",
            model=self._engine.info.name,
            adapter=self._adapter_of(turn),
            seed=generated.seed,
        )

    def _adapter_of(self, turn: Turn) -> str:
        """The adapter asked for, else ours; ours was trained to answer at once and would never think aloud."""
        if turn.question.adapter == NO_ADAPTER:
            return ""
        return turn.question.adapter or ("" if turn.question.options.step_by_step else self._adapter())


def _drafts(turn: Turn, sources: Sequence[Source]) -> list[Draft]:
    parts = grounded_parts(turn.query, passages_of(sources), turn.language)
    instruction = step_by_step(turn, INSTRUCTION.in_(turn.language))
    return [draft("system", instruction, "system"), Draft("user", tuple(map(_piece, parts)))]


def _piece(part: PromptPart) -> Piece:
    if part.source is not None:
        return Piece(part.text, "source", part.source)
    return Piece(part.text, "question" if part.is_question else "system")


def _passages(context: ContextAssembled) -> tuple[tuple[int, int], ...]:
    return tuple((span.start, span.end) for span in context.spans if span.source is not None)


def _sources_found(sources: Sequence[Source], found: Retrieval) -> SourcesFound:
    return SourcesFound(tuple(sources), found.evidence, found.searched, found.milliseconds)


def _left_out(source: Source) -> Bilingual:
    title = source.chunk.chunk.title
    return Bilingual(
        en=f"[{source.number}] {title}: {source.reason.en}", zh=f"[{source.number}] {title}：{source.reason.zh}"
    )


def _check_notices(checked: CheckedAnswer) -> tuple[Bilingual, ...]:
    notices: list[Bilingual] = []
    if checked.dropped:
        notices.append(fill(texts.DROPPED_CITATIONS, numbers=", ".join(map(str, checked.dropped))))
    if checked.placed:
        notices.append(fill(texts.PLACED_CITATIONS, count=checked.placed))
    return tuple(notices)
