"""Questions made from a passage's own sentences, by rule: a number, a year or a name is asked for.

Such questions are crude, yet a reader with few real questions learns from them where answers stand (Dhingra et al.
2018, Lewis et al. 2019).
"""

import random
import re
from collections.abc import Iterator

from core.language import sentence_spans

_YEAR = re.compile(r"\bin ((?:1[0-9]|20)\d\d)\b")
_COUNT = re.compile(r"\b(\d[\d,.]*\d|\d|two|three|four|five|six|seven|eight|nine|ten|twelve) ([a-z]{3,}s)\b")
_SUBJECT = re.compile(
    r"^((?:The )?[A-Z][\w.'-]+(?: (?:of|the|and|de) [A-Z][\w.'-]+| [A-Z][\w.'-]+){0,5}) "
    r"((?:is|was|were|are|has|had|became|won|wrote|led|made|built|began|founded|received|played|served|stars) .+)$"
)
# Words that begin a sentence but name nothing.
_EMPTY = re.compile(
    r"^(?:The )?(?:He|She|It|They|This|That|These|Those|There|In|As|At|On|We|I|You|His|Her|Its|When|Because|Since|If|"
    r"While|After|Before|Although|But|And|So|Both|Some|Many|Most|What|Who|Which|How|Since|By|For|To|Each|All)\b"
)


def cloze_questions(text: str, count: int, draw: random.Random) -> list[tuple[str, str]]:
    """Up to `count` pairs (question, answer) from `text`; every answer stands in it word for word."""
    found = []
    for start, end in sentence_spans(text):
        sentence = " ".join(re.sub(r"``|''", "", text[start:end]).split()).rstrip(" .")
        if 40 <= len(sentence) <= 220:
            found += list(_asked_of(sentence))
    return draw.sample(found, min(count, len(found)))


def _asked_of(sentence: str) -> Iterator[tuple[str, str]]:
    subject = _SUBJECT.match(sentence)
    if subject and not _EMPTY.match(sentence):
        yield f"Who or what {subject.group(2)}?", subject.group(1)
    year = _YEAR.search(sentence)
    if year:
        yield _asking(sentence, year.span(0), "in what year"), year.group(1)
    number = _COUNT.search(sentence)
    if number:
        yield _asking(sentence, number.span(0), f"how many {number.group(2)}"), number.group(0)


def _asking(sentence: str, span: tuple[int, int], words: str) -> str:
    return f"{sentence[: span[0]]}{words}{sentence[span[1] :]}?"
