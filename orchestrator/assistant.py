"""The public door: a question goes in, a stream of typed events comes out."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

from core.errors import CollectionNotFoundError, FourfoldError, ModelBusyError
from core.language import Bilingual
from core.types import ConcreteMode, Question, Retrieval
from inference.protocol import ChatEngine
from orchestrator.events import (
    AnswerCompleted,
    AnswerEvent,
    AnswerFailed,
    QueryRewritten,
    Route,
    RouteChosen,
    Signal,
    TextDelta,
)
from orchestrator.modes.base import CONSIDERED, AnswerMode, writes
from orchestrator.query_rewriter import search_text, standalone_query
from orchestrator.router import Router
from orchestrator.routing_signals import AdapterDomain, Probe
from orchestrator.turn import Approve, Turn, never_cancelled, reply_language, waits_for_a_person
from retrieval.protocol import Searcher


@dataclass(frozen=True)
class Services:
    """What an assistant stands on. `tools` and `adapters` name what is there when asked."""

    engine: ChatEngine
    searcher: Searcher
    tools: Callable[[], tuple[str, ...]] = field(default=tuple)
    adapters: Callable[[], tuple[AdapterDomain, ...]] = field(default=tuple)


class Assistant:
    """Answers questions. Thread-safe as far as its engine and searcher are."""

    def __init__(self, services: Services, modes: Mapping[ConcreteMode, AnswerMode], router: Router) -> None:
        self.services = services
        self._modes = modes
        self._router = router

    def answer(
        self,
        question: Question,
        is_cancelled: Callable[[], bool] = never_cancelled,
        approve: Approve = waits_for_a_person,
    ) -> Iterator[AnswerEvent]:
        """Yield the events of one answer in the order of `orchestrator.events`, AnswerCompleted or AnswerFailed last.

        The text of AnswerCompleted is the answer; where a check changed or replaced what the model wrote, it differs
        from the deltas. `approve` is asked, on this thread, before a tool that does more than
        read; closing the iterator, or `is_cancelled` turning true, stops the model. Raises nothing that a
        user could meet: errors arrive as AnswerFailed.
        """
        partial = ""
        try:
            with closing(self._events(question, is_cancelled, approve)) as events:
                for event in events:
                    partial += event.text if isinstance(event, TextDelta) else ""
                    yield _named(event)
        except FourfoldError as error:
            retry = error.retry_after_seconds if isinstance(error, ModelBusyError) else None
            yield AnswerFailed(error.message, partial, retry)

    def close(self) -> None:
        """Give the model's memory back."""
        self.services.engine.close()

    def _events(
        self, question: Question, is_cancelled: Callable[[], bool], approve: Approve
    ) -> Generator[AnswerEvent, None, None]:
        turn = replace(self._turn(question), is_cancelled=is_cancelled, approve=approve)
        yield RouteChosen(turn.route)
        if turn.query != question.text and turn.route.mode == "rag":
            yield QueryRewritten(question.text, turn.query)
        yield from self._modes[turn.route.mode].answer(turn)

    def _turn(self, question: Question) -> Turn:
        started = time.monotonic()
        query = standalone_query(question) if question.options.rewrite else question.text
        found, seconds = self._probe(question, query)
        services = self.services
        probe = Probe(found, services.tools(), services.adapters()) if question.mode == "auto" else Probe()
        route = self._router.route(question, probe)
        if route.mode == "prompt" and found and found.chunks and not writes(services.engine, reply_language(question)):
            route = _documents_instead(route)
        taken = time.monotonic() - started
        return Turn(
            question, route, query, reply_language(question), started, taken, retrieval=found, retrieve_seconds=seconds
        )

    def _probe(self, question: Question, query: str) -> tuple[Retrieval | None, float]:
        """Search at once where the route depends on it; retrieval mode then uses what was found."""
        if question.mode != "auto":
            return None, 0.0
        started = time.monotonic()
        try:
            found = self.services.searcher.retrieve(search_text(question.text, query), question.scope, CONSIDERED)
        except CollectionNotFoundError:
            # Nothing to search is no evidence, not a failure: three modes do without documents.
            return None, 0.0
        return found, time.monotonic() - started


def _documents_instead(route: Route) -> Route:
    """The documents answer by their own sentences where the model would write what nobody can read."""
    text = Bilingual(
        en="the loaded model does not write this language: the documents answer in their own words",
        zh="所加载的模型不会写这种语言：由文档原句回答",
    )
    return Route("rag", (Signal("language", 1.0, text), *route.signals), route.confidence, "prompt", "rules")


def _named(event: AnswerEvent) -> AnswerEvent:
    """Give the end of an answer an id, by which feedback and background scoring refer to it."""
    if isinstance(event, AnswerCompleted) and not event.answer_id:
        return replace(event, answer_id=f"{time.time_ns():x}")
    return event
