"""The model's vote between two modes, asked only where the router's signals nearly balance.

It is constrained to the two: their letters are scored, nothing is generated. They are shown in either order, and only
a model that names the same mode both times is heard. A small model names the place, not the mode, so it is not asked.
"""

from collections.abc import Mapping, Sequence

from core.errors import ModelError
from core.language import Bilingual, language_of
from core.types import ConcreteMode, Message, Question
from inference.protocol import ChatEngine
from orchestrator.modes.base import writes

_LETTERS = "AB"
_WAYS: Mapping[ConcreteMode, Bilingual] = {
    "prompt": Bilingual(en="from general knowledge, or by writing something new", zh="凭通用知识回答，或进行创作"),
    "tools": Bilingual(
        en="with a function that calculates, converts, tells the time or queries a table",
        zh="调用函数：计算、换算、查询时间或查询表格",
    ),
    "rag": Bilingual(en="from the user's own documents", zh="依据用户自己的文档"),
    "finetuned": Bilingual(
        en="with a model trained for one task, such as putting labels on texts",
        zh="用针对单一任务（如打标签）训练的模型",
    ),
}
_ASKED = Bilingual(
    en="Question: {question}\n\nHow is this question best answered?\nA: {first}\nB: {second}\n\nReply A or B only.",
    zh="问题：{question}\n\n这个问题最适合怎样回答？\nA：{first}\nB：{second}\n\n只回复 A 或 B。",
)
MOST_CHARACTERS = 600


class ModelVote:
    """A `Vote` of the router, given by the chat model."""

    def __init__(self, engine: ChatEngine) -> None:
        self._engine = engine

    def __call__(self, question: Question, modes: Sequence[ConcreteMode]) -> ConcreteMode | None:
        """The one of the two `modes` that the model prefers in either order; None where it has no opinion."""
        try:
            if self._engine.info.is_small:
                return None
            forwards = self._preferred(question.text, modes[0], modes[1])
            backwards = self._preferred(question.text, modes[1], modes[0])
        except ModelError:
            # A model that does not load is told by the answer itself; the signals decide without it.
            return None
        return forwards if forwards == backwards else None

    def _preferred(self, text: str, first: ConcreteMode, second: ConcreteMode) -> ConcreteMode:
        language = "zh" if writes(self._engine, "zh") and language_of(text) == "zh" else "en"
        asked = _ASKED.in_(language).format(
            question=text[:MOST_CHARACTERS], first=_WAYS[first].in_(language), second=_WAYS[second].in_(language)
        )
        prompt = self._engine.render([Message("user", asked)])
        scores = [sum(self._engine.log_probabilities(prompt, letter)) for letter in _LETTERS]
        return first if scores[0] >= scores[1] else second
