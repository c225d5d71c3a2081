"""How a question is made from a sentence by rule, in both languages, and how one is made that nothing answers."""

import random
import re
from collections.abc import Iterator, Sequence

from core.language import language_of, sentence_spans
from orchestrator.words import STOP_WORDS
from training.cloze import cloze_questions

MOST_OF_A_PASSAGE = 8
SHORTEST_ZH, LONGEST_ZH = 10, 90

# A sentence that begins by pointing back does not name its subject.
_LEANING_ZH = re.compile(r"^.{0,3}?(?:它|其|该|此|这|那|他|她|上述|前者|后者)")
_YEAR_ZH = re.compile(r"(?<!\d)(\d{4}\s*年)(?![\d代度])")
_COUNT_ZH = re.compile(
    r"(?<![\d.第一二三四五六七八九十百千万两])(\d[\d,.]*\s*|[二三四五六七八九十百千万两][一二三四五六七八九十百千万两]*)"
    r"(公里|千米|米|天|个工作日|工作日|个月|小时|分钟|元|人|名|台|个|次|岁|吨|公斤|层|座|项|条|[%％])"
)
_CLOCK_ZH = re.compile(r"(?<!\d)(\d{1,2}[:：]\d{2}|\d{1,2}点半?)")
_HEADING = re.compile(r"^#{1,6} .*$", re.MULTILINE)
_VERSION = re.compile(r"\d+\.\d+ ")
# 3 pounds 50, asked for as "how many pounds 50".
_CUT_SUM = re.compile(r"\bhow many [a-z]+ \d")
_LEAD_ZH = "#-*·0123456789.、 "
# Codes (X200, FlowDesk, VPN), capitalised names that do not begin the sentence, titles in Chinese marks.
_NAME = re.compile(
    r"\b[A-Z][A-Za-z]*\d[\w-]*|\b[A-Z][a-z]+[A-Z]\w*|\b[A-Z]{2,}\b|(?<=[\w,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*|"
    r"《[^》]{2,20}》"
)


def asked_by_rule(text: str, draw: random.Random) -> list[tuple[str, str]]:
    """Pairs (question, answer) of a passage; every answer stands in it word for word."""
    # A heading names what follows; run together with a sentence it spoils the question.
    text = _HEADING.sub("", text)
    if language_of(text) == "zh":
        return list(_asked_zh(text))
    found = cloze_questions(text, MOST_OF_A_PASSAGE, draw)
    return [pair for pair in found if not _VERSION.match(pair[1]) and not _CUT_SUM.search(pair[0])]


def exchanged(question: str, names: Sequence[str]) -> str:
    """`question` with its longest name exchanged for the first of `names` of its kind that it lacks; empty if none."""
    own = max(names_in(question), key=len, default="")
    if not own:
        return ""
    other = next((name for name in names if name not in question and _kind(name) == _kind(own)), "")
    return question.replace(own, other) if other else ""


def names_in(text: str) -> list[str]:
    """Codes, names and titles of `text` in order, each once."""
    found = dict.fromkeys(match.group() for match in _NAME.finditer(text))
    return [name for name in found if name.lower() not in STOP_WORDS]


def sentence_with(text: str, answer: str) -> str:
    """The first sentence of `text` that holds `answer`, else its beginning."""
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    return next((one for one in sentences if answer in " ".join(one.split())), text[:200])


def _asked_zh(text: str) -> Iterator[tuple[str, str]]:
    """Chinese asks in place: the year or the number of a sentence becomes 哪一年 or 多少."""
    for start, end in sentence_spans(text):
        sentence = " ".join(text[start:end].split()).lstrip(_LEAD_ZH).rstrip("。；;!！")
        if not SHORTEST_ZH <= len(sentence) <= LONGEST_ZH or _LEANING_ZH.match(sentence) or "？" in sentence:
            continue
        for pattern, asked in ((_YEAR_ZH, "哪一年"), (_COUNT_ZH, "多少"), (_CLOCK_ZH, "几点")):
            match = pattern.search(sentence)
            if match and sentence.count(match.group()) == 1:
                unit = match.group(2) if pattern is _COUNT_ZH else ""
                words = "百分之多少" if unit in ("%", "％") else asked + unit
                yield f"{sentence[: match.start()]}{words}{sentence[match.end() :]}？", match.group().strip()


def _kind(name: str) -> str:
    if name.startswith("《"):
        return "title"
    return "code" if re.search(r"\d|[a-z][A-Z]|^[A-Z]{2,}$", name) else "name"
