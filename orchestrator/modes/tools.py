"""Tools mode: calls are proposed (valid by grammar), run, and their results answer or go back to the model."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from core.config import Settings
from core.language import Bilingual
from core.types import ToolCall, Usage
from inference.call_schema import function_of
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
from orchestrator.turn import Turn
from orchestrator.words import numbers
from tools.base import ToolOutcome
from tools.executor import ToolExecutor, denied
from tools.proposer import CallProposer
from tools.registry import ToolRegistry
from tools.shortcuts import direct_call

MOST_STEPS = 5
LONGEST_IN_PROMPT = 4000
FIRST_THAT_WRITES_CALLS = 1_000_000_000


@dataclass
class _Round:
    """What the loop has come to: the chat so far, the outcomes, the model's last words."""

    drafts: list[Draft]
    outcomes: list[ToolOutcome] = field(default_factory=list)
    words: str = ""


class ToolsMode:
    """Calls tools in at most `MOST_STEPS` rounds, then answers. Without a registry it says that nothing is there."""

    def __init__(
        self, engine: ChatEngine, registry: ToolRegistry | None, proposer: CallProposer, settings: Settings
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._proposer = proposer
        self._settings = settings

    @property
    def _is_small(self) -> bool:
        """Whether the model fills in forms rather than write calls."""
        return 0 < self._engine.info.n_parameters < FIRST_THAT_WRITES_CALLS

    def answer(self, turn: Turn) -> Iterator[AnswerEvent]:
        """Yield ContextAssembled, calls and results in turn, then the answer."""
        registry = self._registry
        entries = registry.active(turn.question.scope) if registry else ()
        if registry is None or not entries:
            yield AnswerFailed(texts.TOOLS_MISSING)
            return
        offered = registry.fitting(turn.question.text, entries)
        schemas = [entry.schema(turn.language) for entry in offered]
        done = _Round(self._drafts(turn, schemas))
        yield from self._rounds(turn, done, schemas, registry.executor(offered))
        if not done.outcomes and not done.words and not turn.is_cancelled():
            yield AnswerFailed(texts.NO_TOOL_FITS)
            return
        text, is_models_own, notices = _told(done, turn.question.text)
        yield TextDelta(text)
        yield AnswerCompleted(
            text=text,
            kind="model" if is_models_own else "tool_result",
            usage=Usage(),
            timings=turn.timings(),
            notices=notices,
            stopped=turn.is_cancelled(),
            model=self._engine.info.name,
        )

    def _drafts(self, turn: Turn, schemas: Sequence[JsonSchema]) -> list[Draft]:
        tokens = budget(self._engine, sampling_of(turn, self._settings).max_tokens)
        system = draft("system", turn.question.options.system or texts.TOOLS_SYSTEM.in_(turn.language), "system")
        history = history_drafts(turn.question.history)
        question = draft("user", turn.question.text, "question")
        drafts, _ = fit_history(self._engine, [system], history, question, tokens, schemas)
        return drafts

    def _rounds(
        self, turn: Turn, done: _Round, schemas: Sequence[JsonSchema], executor: ToolExecutor
    ) -> Iterator[AnswerEvent]:
        sampling = sampling_of(turn, self._settings)
        for _ in range(MOST_STEPS):
            context = assemble(self._engine, done.drafts, budget(self._engine, sampling.max_tokens), tools=schemas)
            yield context
            calls, done.words = self._propose(turn, context, schemas)
            # The very same call again would go round in circles.
            calls = tuple(call for call in calls if not _made_before(call, done.outcomes))
            if not calls or turn.is_cancelled():
                return
            for call in calls:
                outcome = yield from _run(turn, executor, call)
                done.outcomes.append(outcome)
                done.drafts += _exchange(outcome)
            if self._is_small:
                return  # It has nothing to add to the results: they are the answer.

    def _propose(
        self, turn: Turn, context: ContextAssembled, schemas: Sequence[JsonSchema]
    ) -> tuple[tuple[ToolCall, ...], str]:
        """The calls, or the words of an answer: what the question's own words name first, then the model."""
        plain = direct_call(turn.question.text, [function_of(schema)["name"] for schema in schemas])
        if plain is not None and "tool" not in context.tokens_by_origin:
            return (plain,), ""
        if self._is_small:
            return self._proposer.propose(turn.question.text, schemas, turn.is_cancelled), ""
        request = GenerationRequest(
            prompt=context.prompt,
            sampling=sampling_of(turn, self._settings),
            grammar=call_grammar(schemas),
            conversation_id=turn.question.conversation_id,
        )
        events = self._engine.generate(request, turn.is_cancelled)
        text = "".join(event.text for event in events if isinstance(event, GeneratedText)).strip()
        call = parse_call(text, f"call_{len(context.messages)}")
        return ((call,), "") if call else ((), text)


def _run(turn: Turn, executor: ToolExecutor, call: ToolCall) -> Generator[AnswerEvent, None, ToolOutcome]:
    entry = executor.entry(call.name)
    proposed = ToolProposed(call, entry.risk if entry else "read", entry.needs_approval if entry else False)
    yield proposed
    # The person may edit the arguments, so what runs is what they allowed.
    allowed = turn.approve(proposed) if proposed.needs_approval else call
    outcome = denied(call) if allowed is None else executor.run(allowed, approved=True, is_cancelled=turn.is_cancelled)
    yield ToolFinished(outcome.call, outcome.text, outcome.failed, outcome.seconds, outcome.details)
    return outcome


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


def _told(done: _Round, question: str) -> tuple[str, bool, tuple[Bilingual, ...]]:
    """The model's own words where they keep to the results, else the results as they are."""
    good = [outcome for outcome in done.outcomes if not outcome.failed]
    if done.words and (not good or _keeps_to(done.words, good, question)):
        return done.words, True, ()
    shown = good or done.outcomes[-1:]
    return "\n".join(outcome.text for outcome in shown), False, (texts.TOOL_RESULT_ITSELF,)


def _keeps_to(words: str, outcomes: Sequence[ToolOutcome], question: str) -> bool:
    """Whether no number of the answer comes from nowhere."""
    results = "\n".join(outcome.text for outcome in outcomes)
    return numbers(words) <= numbers(results) | numbers(question)
