"""Tools mode: calls are proposed (valid by grammar), run, and their results answer or go back to the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from core.config import Settings
from core.language import Bilingual
from core.types import DecidedCall, ToolCall, Usage
from inference.function_calling import call_grammar, parse_call
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest, JsonSchema
from orchestrator.context import Draft, Piece, assemble, budget, draft, fit_history, history_drafts
from orchestrator.events import (
    AnswerCompleted,
    AnswerEvent,
    AnswerFailed,
    ContextAssembled,
    TextDelta,
    ToolFinished,
    ToolProposed,
)
from orchestrator.modes.base import sampling_of
from orchestrator.prompts import texts
from orchestrator.prompts.texts import fill
from orchestrator.turn import PersonNeeded, Turn
from orchestrator.words import numbers
from tools.base import ToolEntry, ToolOutcome
from tools.claims import claims_a_tool
from tools.executor import ToolExecutor, denied
from tools.proposer import CallProposer
from tools.registry import ToolRegistry

LONGEST_IN_PROMPT = 4000


@dataclass
class _Round:
    """What the loop has come to: the chat so far, the outcomes, calls that wait, the model's last words."""

    offered: tuple[ToolEntry, ...]
    schemas: list[JsonSchema]
    drafts: list[Draft]
    outcomes: list[ToolOutcome] = field(default_factory=list)
    pending: list[ToolProposed] = field(default_factory=list)
    words: str = ""
    is_exhausted: bool = False

    def add(self, outcome: ToolOutcome) -> None:
        """Keep a result, for the answer and for the model."""
        self.outcomes.append(outcome)
        self.drafts += _exchange(outcome)

    def has_foreign_text(self, executor: ToolExecutor) -> bool:
        """Whether something that others wrote stands in the chat, which then could tell the model what to call."""
        entries = (executor.entry(outcome.call.name) for outcome in self.outcomes)
        return any(entry is not None and entry.brings_foreign_text for entry in entries)

    @property
    def is_empty(self) -> bool:
        """Whether nothing came of the question."""
        return not (self.outcomes or self.pending or self.words)


class ToolsMode:
    """Calls tools in at most `settings.tool_steps` rounds, then answers; pauses where a call needs a person."""

    def __init__(
        self, engine: ChatEngine, registry: ToolRegistry | None, proposer: CallProposer, settings: Settings
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._proposer = proposer
        self._settings = settings

    def answer(self, turn: Turn) -> Iterator[AnswerEvent]:
        """Yield ContextAssembled, calls and results in turn, then the answer or what it waits for."""
        registry = self._registry
        entries = registry.active(turn.question.scope) if registry else ()
        if registry is None or not entries:
            yield AnswerFailed(texts.TOOLS_MISSING)
            return
        offered = registry.fitting(turn.question.text, entries)
        schemas: list[JsonSchema] = [entry.schema(turn.language) for entry in offered]
        done = _Round(offered, schemas, self._drafts(turn, schemas))
        # A resumed call may be of a tool that would not be offered now.
        executor = registry.executor(entries)
        yield from _resumed(turn, executor, done)
        if not (done.outcomes and self._engine.info.is_small):
            yield from self._rounds(turn, done, executor)
        if done.is_empty and not turn.is_cancelled():
            yield AnswerFailed(texts.NO_TOOL_FITS)
            return
        yield from self._end(turn, done)

    def _end(self, turn: Turn, done: _Round) -> Iterator[AnswerEvent]:
        text, is_models_own, notices = _told(done, turn, self._settings.tool_steps)
        if text:
            yield TextDelta(text)
        yield AnswerCompleted(
            text=text,
            kind="model" if is_models_own else "tool_result",
            usage=Usage(),
            timings=turn.timings(),
            notices=notices,
            stopped=turn.is_cancelled(),
            model=self._engine.info.name,
            pending=tuple(done.pending),
        )

    def _drafts(self, turn: Turn, schemas: Sequence[JsonSchema]) -> list[Draft]:
        tokens = budget(self._engine, sampling_of(turn, self._settings).max_tokens)
        system = draft("system", turn.question.options.system or texts.TOOLS_SYSTEM.in_(turn.language), "system")
        history = history_drafts(turn.question.history)
        question = draft("user", turn.question.text, "question")
        drafts, _ = fit_history(self._engine, [system], history, question, tokens, schemas)
        return drafts

    def _rounds(self, turn: Turn, done: _Round, executor: ToolExecutor) -> Iterator[AnswerEvent]:
        most = budget(self._engine, sampling_of(turn, self._settings).max_tokens)
        for _ in range(self._settings.tool_steps):
            context = assemble(self._engine, done.drafts, most, tools=done.schemas)
            yield context
            calls, done.words = self._propose(turn, context, done)
            # The very same call again would go round in circles.
            calls = tuple(call for call in calls if not _made_before(call, done.outcomes))
            if not calls or turn.is_cancelled():
                return
            for call in calls:
                yield from _run(turn, executor, call, done, self._engine.info.is_small)
            if done.pending or self._engine.info.is_small:
                return  # A small model has nothing to add to the results: they are the answer.
        done.is_exhausted = True

    def _propose(self, turn: Turn, context: ContextAssembled, done: _Round) -> tuple[tuple[ToolCall, ...], str]:
        """The calls, or the words of an answer: what the question's own words name first, then the model."""
        if self._registry is not None and not done.outcomes:
            plain = self._registry.plain_call(turn.question.text, done.offered, turn.question.scope)
            if plain is not None:
                return (plain,), ""
        if self._engine.info.is_small:
            proposals = self._proposer.proposals(turn.question.text, done.schemas, turn.is_cancelled)
            return proposals.calls or proposals.begun[:1], ""
        request = GenerationRequest(
            prompt=context.prompt,
            sampling=sampling_of(turn, self._settings),
            grammar=call_grammar(done.schemas),
            conversation_id=turn.question.conversation_id,
        )
        events = self._engine.generate(request, turn.is_cancelled)
        text = "".join(event.text for event in events if isinstance(event, GeneratedText)).strip()
        call = parse_call(text, f"call_{len(context.messages)}")
        return ((call,), "") if call else ((), text)


def _resumed(turn: Turn, executor: ToolExecutor, done: _Round) -> Iterator[AnswerEvent]:
    """What ran before the pause is told again, what was decided since is done."""
    for decided in turn.question.options.resumed:
        yield replace(_proposal(executor, decided.call), always=decided.always and decided.allowed)
        outcome = _decided(turn, executor, decided)
        done.add(outcome)
        yield _finished(outcome)


def _decided(turn: Turn, executor: ToolExecutor, decided: DecidedCall) -> ToolOutcome:
    if decided.result is not None:
        return ToolOutcome(decided.call, decided.result, "failed" if decided.failed else "")
    if not decided.allowed:
        return denied(decided.call)
    return executor.run(decided.call, approved=True, is_cancelled=turn.is_cancelled)


def _run(turn: Turn, executor: ToolExecutor, call: ToolCall, done: _Round, by_form: bool) -> Iterator[AnswerEvent]:
    """Run one call, ask for it, or leave it pending. A call that cannot be made is not asked for, but for a form's."""
    # What was allowed for the conversation was allowed to the person's own questions, not to a text that gives orders.
    allowed = () if done.has_foreign_text(executor) else turn.question.options.allowed_tools
    proposed = _proposal(executor, call, allowed)
    outcome = executor.check(call)
    if by_form and outcome is not None and outcome.failure == "bad_arguments":
        # The function is found, its form is not whole: a person may fill in the rest.
        proposed, outcome = replace(proposed, needs_approval=True), None
    yield proposed
    if outcome is None:
        try:
            # The person may edit the arguments, so what runs is what they allowed.
            decided = turn.approve(proposed) if proposed.needs_approval else call
        except PersonNeeded:
            done.pending.append(proposed)
            return
        outcome = _decided(turn, executor, DecidedCall(decided or call, decided is not None))
    done.add(outcome)
    yield _finished(outcome)


def _proposal(executor: ToolExecutor, call: ToolCall, allowed: Sequence[str] = ()) -> ToolProposed:
    entry = executor.entry(call.name)
    asks = entry is not None and entry.needs_approval and call.name not in allowed
    return ToolProposed(call, entry.risk if entry else "read", asks)


def _finished(outcome: ToolOutcome) -> ToolFinished:
    return ToolFinished(outcome.call, outcome.text, outcome.failed, outcome.seconds, outcome.details)


def _made_before(call: ToolCall, outcomes: Sequence[ToolOutcome]) -> bool:
    return any(call.name == done.call.name and dict(call.arguments) == dict(done.call.arguments) for done in outcomes)


def _exchange(outcome: ToolOutcome) -> list[Draft]:
    """The call and its result as turns of the chat."""
    call = outcome.call
    result = Piece(outcome.text[:LONGEST_IN_PROMPT], "tool")
    return [
        Draft("assistant", (), tool_calls=(call,)),
        Draft("tool", (result,), tool_call_id=call.id, name=call.name),
    ]


def _told(done: _Round, turn: Turn, steps: int) -> tuple[str, bool, tuple[Bilingual, ...]]:
    """The model's own words where they keep to the results, else the results as they are; with what to know of it."""
    waits = (texts.WAITS_FOR_A_PERSON,) if done.pending else ()
    good = [outcome for outcome in done.outcomes if not outcome.failed]
    if done.words and (not good or _keeps_to(done.words, good, turn.question.text)):
        names = [entry.name for entry in done.offered]
        claimed = not done.outcomes and claims_a_tool(done.words, names)
        return done.words, True, (texts.CLAIMED_WITHOUT_CALL,) if claimed else ()
    if done.is_exhausted:
        waits = (fill(texts.TOO_MANY_STEPS, steps=steps),)
    shown = good or done.outcomes[-1:]
    notices = (texts.TOOL_RESULT_ITSELF,) if shown else ()
    return "\n".join(_in_language(outcome, turn.language) for outcome in shown), False, (*notices, *waits)


def _in_language(outcome: ToolOutcome, language: str) -> str:
    """A failure is told to the person in their language, to the model in English."""
    return outcome.message.in_(language) if outcome.message else outcome.text


def _keeps_to(words: str, outcomes: Sequence[ToolOutcome], question: str) -> bool:
    """Whether no number of the answer comes from nowhere."""
    results = "\n".join(outcome.text for outcome in outcomes)
    return numbers(words) <= numbers(results) | numbers(question)
