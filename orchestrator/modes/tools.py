"""Tools mode: the question and the schemas of callable functions; its place, until tools are switched on."""

from collections.abc import Iterator

from orchestrator.events import AnswerEvent, AnswerFailed
from orchestrator.prompts.texts import TOOLS_MISSING
from orchestrator.turn import Turn


class ToolsMode:
    """Says plainly that there is nothing to call."""

    def answer(self, turn: Turn) -> Iterator[AnswerEvent]:
        """Yield AnswerFailed with what to do about it."""
        yield AnswerFailed(TOOLS_MISSING)
