"""Tools mode: the model proposes calls that a grammar keeps valid; each runs, and its result goes back to the model."""

from collections.abc import Generator, Iterator, Sequence

from core.config import Settings
from core.types import ToolCall
from inference.function_calling import call_as_text, call_grammar, parse_call
from inference.protocol import ChatEngine, GenerationRequest, JsonSchema
from orchestrator.context import Draft, assemble, budget, draft, fit_history, history_drafts
from orchestrator.events import AnswerCompleted, AnswerEvent, AnswerFailed, TextDelta, ToolFinished, ToolProposed
from orchestrator.generation import Generated, generate
from orchestrator.modes.base import limit_notices, sampling_of
from orchestrator.prompts.texts import TOOL_RESULT_ITSELF, TOOLS_MISSING, TOOLS_SYSTEM
from orchestrator.turn import Turn
from orchestrator.words import numbers, squeezed
from tools.base import ToolEntry, ToolOutcome
from tools.executor import ToolExecutor, denied
from tools.registry import ToolRegistry

MOST_STEPS = 5
LONGEST_IN_PROMPT = 4000


class ToolsMode:
    """Calls at most `MOST_STEPS` tools, then answers. Without a registry it says that there is nothing to call."""

    def __init__(self, engine: ChatEngine, registry: ToolRegistry | None, settings: Settings) -> None:
        self._engine = engine
        self._registry = registry
        self._settings = settings

    def answer(self, turn: Turn) -> Iterator[AnswerEvent]:
        """Yield ContextAssembled, then calls and results in turn, then the answer."""
        registry = self._registry
        entries = registry.active(turn.question.scope) if registry else ()
        if registry is None or not entries:
            yield AnswerFailed(TOOLS_MISSING)
            return
        offered = registry.fitting(turn.question.text, entries)
        schemas = [entry.schema(turn.language) for entry in offered]
        executor = registry.executor(offered)
        drafts = self._drafts(turn, schemas)
        outcomes: list[ToolOutcome] = []
        for step in range(MOST_STEPS):
            said = yield from self._ask(turn, drafts, schemas, must_call=step == 0)
            call = parse_call(said.text, f"call_{step + 1}")
            if call is None or said.reason == "cancelled" or _again(call, outcomes):
                break
            outcome = yield from _run(turn, executor, call)
            outcomes.append(outcome)
            drafts += [draft("assistant", call_as_text(call), "tool"), _result_draft(outcome)]
        yield from self._finish(turn, said, outcomes)

    def _drafts(self, turn: Turn, schemas: Sequence[JsonSchema]) -> list[Draft]:
        tokens = budget(self._engine, sampling_of(turn, self._settings).max_tokens)
        system = draft("system", turn.question.options.system or TOOLS_SYSTEM.in_(turn.language), "system")
        history = history_drafts(turn.question.history)
        question = draft("user", turn.question.text, "question")
        drafts, _ = fit_history(self._engine, [system], history, question, tokens, schemas)
        return drafts

    def _ask(
        self, turn: Turn, drafts: Sequence[Draft], schemas: Sequence[JsonSchema], must_call: bool
    ) -> Generator[AnswerEvent, None, Generated]:
        """One generation: a call, or an answer. What it says is not streamed until it is known to be an answer."""
        sampling = sampling_of(turn, self._settings)
        context = assemble(self._engine, drafts, budget(self._engine, sampling.max_tokens), tools=schemas)
        yield context
        request = GenerationRequest(
            prompt=context.prompt,
            sampling=sampling,
            grammar=call_grammar(schemas, "required" if must_call else "auto"),
            conversation_id=turn.question.conversation_id,
        )
        return (yield from _quietly(generate(self._engine, request, turn.is_cancelled)))

    def _finish(self, turn: Turn, said: Generated, outcomes: Sequence[ToolOutcome]) -> Iterator[AnswerEvent]:
        """The model's own words where they keep to the results, else the last result as it is."""
        good = [outcome for outcome in outcomes if not outcome.failed]
        words = "" if parse_call(said.text, "") else said.text
        faithful = bool(words) and (not good or _keeps_to(words, good, turn.question.text))
        text = words if faithful or not outcomes else (good or outcomes)[-1].text
        yield TextDelta(text)
        yield AnswerCompleted(
            text=text,
            kind="model" if faithful or not outcomes else "tool_result",
            usage=said.usage,
            timings=turn.timings(said.timings),
            notices=limit_notices(turn, self._engine, said) if faithful else (TOOL_RESULT_ITSELF,),
            stopped=said.reason == "cancelled",
            model=self._engine.info.name,
            seed=said.seed,
        )


def _run(turn: Turn, executor: ToolExecutor, call: ToolCall) -> Generator[AnswerEvent, None, ToolOutcome]:
    entry = executor.entry(call.name)
    proposed = ToolProposed(call, entry.risk if entry else "read", _needs_approval(entry))
    yield proposed
    # The person may edit the arguments, so what runs is what they allowed.
    allowed = turn.approve(proposed) if proposed.needs_approval else call
    outcome = denied(call) if allowed is None else executor.run(allowed, approved=True, is_cancelled=turn.is_cancelled)
    yield ToolFinished(outcome.call, outcome.text, outcome.failed, outcome.seconds, outcome.details)
    return outcome


def _needs_approval(entry: ToolEntry | None) -> bool:
    return entry is not None and entry.needs_approval


def _quietly(events: Generator[AnswerEvent, None, Generated]) -> Generator[AnswerEvent, None, Generated]:
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            generated: Generated = end.value
            return generated
        if not isinstance(event, TextDelta):
            yield event


def _again(call: ToolCall, outcomes: Sequence[ToolOutcome]) -> bool:
    """Whether the very same call was made before: a small model would go round in circles."""
    return any(call.name == done.call.name and dict(call.arguments) == dict(done.call.arguments) for done in outcomes)


def _result_draft(outcome: ToolOutcome) -> Draft:
    shown = outcome.text[:LONGEST_IN_PROMPT]
    return draft("user", f"[{outcome.call.name}] {shown}", "tool")


def _keeps_to(words: str, outcomes: Sequence[ToolOutcome], question: str) -> bool:
    """Whether the answer holds a number or the words of a result, and no number from nowhere."""
    results = "\n".join(outcome.text for outcome in outcomes)
    said, known = numbers(words), numbers(results) | numbers(question)
    tells = bool(said & numbers(outcomes[-1].text)) or squeezed(outcomes[-1].text)[:200] in squeezed(words)
    return tells and said <= known
