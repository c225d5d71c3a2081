"""Fine-tuned mode: the question, answered by the base model plus a LoRA adapter."""

from collections.abc import Callable, Iterator, Sequence

from orchestrator.events import AnswerEvent, AnswerFailed
from orchestrator.modes.prompt import PromptMode
from orchestrator.prompts.texts import ADAPTER_MISSING, FINETUNED, fill
from orchestrator.routing_signals import AdapterDomain
from orchestrator.turn import Turn


class FinetunedMode:
    """Chats through the adapter that the question names, or through the first one there is."""

    def __init__(self, prompt: PromptMode, adapters: Callable[[], Sequence[AdapterDomain]]) -> None:
        self._prompt = prompt
        self._adapters = adapters

    def answer(self, turn: Turn) -> Iterator[AnswerEvent]:
        """Yield the events of prompt mode under the adapter; AnswerFailed where there is none."""
        name = turn.question.adapter or next((domain.name for domain in self._adapters()), "")
        if not name:
            yield AnswerFailed(ADAPTER_MISSING)
            return
        yield from self._prompt.answer(turn, adapter=name, notices=(fill(FINETUNED, name=name),))
