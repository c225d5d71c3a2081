"""Makes a follow-up stand alone, only when it depends on the turns before it.

No model takes part: what the follow-up leaves unsaid is carried over word for word from the earlier questions, so the
rewritten query can be read, checked and switched off, and costs nothing.
"""

import re

from core.language import language_of
from core.types import Question
from orchestrator.words import terms

LOOK_BACK = 2
MOST_CARRIED = 240

_LEANING_START = re.compile(
    r"^\W*(?:and|but|so|also|then|next|what about|how about|which (?:one|of)|what else|"
    r"any(?:thing)? (?:other|else|more)|another|why not|really|are you sure|tell me more|more|ok(?:ay)?|yes|no|"
    r"thanks?)\b",
    re.I,
)
_LEANING_START_ZH = re.compile(
    r"^\W*(?:那|还有|然后|另外|再|下一|具体|为什么呢|除此之外|除了这|其中|继续)|呢[？?]?\s*$"
)
_PRONOUN = re.compile(
    r"(?<![\w-])(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|one|ones|there|the same|"
    r"the (?:former|latter|other|first|second|last)|such|both)(?![\w-])",
    re.I,
)
_PRONOUN_ZH = re.compile(
    r"它|他们?|她们?|这个|那个|这些|那些|该(?!怎)|上述|此(?!外)|其(?![他它实中余])|前者|后者|两者|这里|那里"
)
_NAME_INSIDE = re.compile(r"(?<=[\w,] )[A-Z][\w-]+")
# Words after which `that` and `it` point forward, not back.
_FORWARD = re.compile(
    r"\b(?:is it|it is|it's) (?:\w+ ){0,2}(?:to|that)\b|\b(?:so|such|say|said|mean|means|believe|think) that\b", re.I
)
SHORT = 3


def depends_on_history(question: Question) -> bool:
    """Whether the question leans on earlier turns: it continues, points back, or says next to nothing."""
    if not any(turn.role == "user" for turn in question.history):
        return False
    text = question.text.strip()
    if language_of(text) == "zh":
        return bool(_LEANING_START_ZH.search(text) or _PRONOUN_ZH.search(text)) or len(terms(text)) <= SHORT
    if _LEANING_START.search(text) or _PRONOUN.search(_FORWARD.sub(" ", text)):
        return True
    return len(terms(text)) <= SHORT and not _NAME_INSIDE.search(text)


def standalone_query(question: Question) -> str:
    """Return the query to search with: the question itself, or with what it leans on before it."""
    if not depends_on_history(question):
        return question.text
    carried = _carried(question)
    return f"{carried} {question.text.strip()}" if carried else question.text


def search_text(question: str, query: str) -> str:
    """Return what is searched for: of a rewritten `query` the words of `question` itself count twice.

    What was carried over names the subject, but the turn says what is wanted of it.
    """
    return query if query == question else f"{query} {question.strip()}"


def _carried(question: Question) -> str:
    """The latest earlier questions, oldest first; as far back as they themselves lean on one before."""
    asked = [turn.content.strip() for turn in question.history if turn.role == "user"]
    kept: list[str] = []
    for text in reversed(asked[-LOOK_BACK:]):
        kept.insert(0, text[:MOST_CARRIED])
        if len(terms(text)) > SHORT and not _PRONOUN.search(text) and not _PRONOUN_ZH.search(text):
            break
    return " ".join(kept)
