"""Prompt mode: the question, the history and an instruction, straight to the model."""

from collections.abc import Iterator

from core.config import Settings
from core.language import Bilingual
from inference.protocol import ChatEngine, GenerationRequest
from orchestrator.context import assemble, budget, draft, fit_history, history_drafts
from orchestrator.events import AnswerEvent, AnswerFailed
from orchestrator.generation import generate
from orchestrator.modes.base import plain_completion, sampling_of, step_by_step, writes
from orchestrator.prompts.texts import CLAIMED_WITHOUT_CALL, GENERAL_KNOWLEDGE, LANGUAGE_UNKNOWN, PROMPT_SYSTEM
from orchestrator.turn import Turn
from tools.claims import claims_a_tool


class PromptMode:
    """Answers from what the model knows; with `adapter` it is the base model plus that adapter."""

    def __init__(self, engine: ChatEngine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings

    def answer(self, turn: Turn, adapter: str = "", notices: tuple[Bilingual, ...] = ()) -> Iterator[AnswerEvent]:
        """Yield ContextAssembled, the deltas and AnswerCompleted; AnswerFailed where it could not be read."""
        if not adapter and self._engine.info.is_small and not writes(self._engine, turn.language):
            # An adapter may have learnt to: its labels, say. A larger model writes something, with a word of warning.
            yield AnswerFailed(LANGUAGE_UNKNOWN)
            return
        sampling = sampling_of(turn, self._settings)
        tokens = budget(self._engine, sampling.max_tokens)
        system = draft("system", _system(turn), "system")
        question = draft("user", turn.question.text, "question")
        history = history_drafts(turn.question.history)
        drafts, left_out = fit_history(self._engine, [system], history, question, tokens)
        context = assemble(self._engine, drafts, tokens, left_out)
        yield context
        request = GenerationRequest(
            prompt=context.prompt,
            sampling=sampling,
            adapter=adapter,
            conversation_id=turn.question.conversation_id,
        )
        generated = yield from generate(self._engine, request, turn.is_cancelled)
        told = notices or (GENERAL_KNOWLEDGE,)
        if claims_a_tool(generated.text):
            # Nothing can be called here, so a search or a calculation that it speaks of never was.
            told = (*told, CLAIMED_WITHOUT_CALL)
        yield plain_completion(turn, self._engine, generated, told, adapter)


def _system(turn: Turn) -> str:
    return step_by_step(turn, turn.question.options.system or PROMPT_SYSTEM.in_(turn.language))
