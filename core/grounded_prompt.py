"""The grounded prompt: the one layout in which passages and a question reach a model, for answering and for training.

The layout is fixed, because an adapter is trained on exactly it:

    system     the instruction of the question's language (`INSTRUCTION`)
    user       [1] Title
               text of the passage

               [2] Title
               text of the passage

               Question: the question

    assistant  the shortest answer in the words of the passage and the number of that passage (`grounded_answer`),
               "1889 [2]" or "It opened in 1889 [2]."; or, word for word, the refusal of the question's language
               (`REFUSAL`)

Passages stand in the order given, under the numbers given; answering puts the best one, [1], last, next to the
question, where a small model uses it best. Their text is data: what could be read as a chat marker
of some template or as a citation is made harmless by `harmless`, in training exactly as in answering.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.language import Bilingual
from core.types import Message

INSTRUCTION = Bilingual(
    en="Answer the question from the passages only, as briefly as possible, and end with the number of the passage, "
    "like [1]. If the passages do not hold the answer, write: The passages do not answer this question.",
    zh="只根据下面的段落回答问题，尽量简短，末尾写上所依据段落的编号，例如 [1]。"
    "如果段落中没有答案，请写：这些段落没有回答这个问题。",
)
REFUSAL = Bilingual(en="The passages do not answer this question.", zh="这些段落没有回答这个问题。")
QUESTION_LABEL = Bilingual(en="Question: ", zh="问题：")

# Markers of the chat templates in use: ChatML, Llama 2 and 3, Gemma, Mistral, DeepSeek, Phi.
_MARKER = re.compile(
    r"<(?=[|｜/]|s>|bos>|eos>|pad>|unk>|start_of_turn|end_of_turn|think|tool_call|<SYS)|\[(?=/?INST\])"
)
_CITATION_LOOKALIKE = re.compile(r"[\[【](\d{1,3})[\]】]")


@dataclass(frozen=True)
class NumberedPassage:
    """A passage as the model sees it: its number (from 1), the title of its document, its text."""

    number: int
    title: str
    text: str


@dataclass(frozen=True)
class PromptPart:
    """A piece of one message: its text, and the number of the passage it came from (None: not from a passage).

    `is_question` marks the user's own words.
    """

    text: str
    source: int | None = None
    is_question: bool = False


def harmless(text: str) -> str:
    """Return `text` of a document with chat markers broken up and `[7]` written as `(7)`; the rest is unchanged."""
    return _CITATION_LOOKALIKE.sub(r"(\1)", _MARKER.sub(lambda match: match.group(0) + " ", text))


def grounded_parts(question: str, passages: Sequence[NumberedPassage], language: str) -> tuple[PromptPart, ...]:
    """Return the pieces of the user's message in order; joined they are its content."""
    parts = [PromptPart(_passage_text(passage), source=passage.number) for passage in passages]
    return (*parts, PromptPart(QUESTION_LABEL.in_(language)), PromptPart(harmless(question.strip()), is_question=True))


def grounded_messages(question: str, passages: Sequence[NumberedPassage], language: str) -> tuple[Message, ...]:
    """Return the system and the user message; `language` (`en` or `zh`) is that of the question and of the reply."""
    content = "".join(part.text for part in grounded_parts(question, passages, language))
    return Message("system", INSTRUCTION.in_(language)), Message("user", content)


def grounded_answer(answer: str, number: int) -> str:
    """Return the reply expected of the model: `answer` and the number of its passage, before the full stop if any.

    >>> grounded_answer("1889", 2)
    '1889 [2]'
    >>> grounded_answer("It opened in 1889.", 2)
    'It opened in 1889 [2].'
    """
    text = answer.strip()
    body = text.rstrip(".。")
    return f"{body} [{number}]{text[len(body) :]}"


def _passage_text(passage: NumberedPassage) -> str:
    title = " ".join(harmless(passage.title).split())
    return f"[{passage.number}] {title}\n{harmless(passage.text.strip())}\n\n"
