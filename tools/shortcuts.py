"""Questions whose call is plain from their words: arithmetic, time, dates, totals over tables, the model's insides.

Rules before the model: they cost microseconds, never invent a number, and a small model gets these wrong. What no rule
knows is left to the model.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from core.errors import ToolError
from core.types import ToolCall
from tools.calculator import LONGEST_EXPRESSION, calculator
from tools.table_questions import looks_like_table_question
from tools.zones import zone_of

Match = re.Match[str]
_DATE = (
    r"(?:today|tomorrow|now|今天|明天|\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?"
    r"|[A-Za-z]+ \d{1,2}(?:st|nd|rd|th)?,? \d{4}|\d{1,2} [A-Za-z]+ \d{4})"
)
_TEXT = r"['\"“‘「](?P<text>[^\"”’」]+?)['\"”’」]"
_POLITE = re.compile(
    r"^(?:please|can you|could you|hey|hi|tell me|what(?:'s| is| are)|how much (?:is|are)|how many (?=\w+ (?:is|are) )"
    r"|calculate|compute|work out|evaluate|convert|solve|请问|请|帮我|计算一下|计算|算一下|算|求|把|将)[\s,:：，]*",
    re.IGNORECASE,
)
_ENDING = re.compile(
    r"(?:\s*(?:equal to|equals?|等于(?:多少|几)|是多少|得多少|得几|的结果|please))?[\s?？.。=!]*$", re.IGNORECASE
)
_OPERATION = re.compile(
    r"[-+*/^×÷%√]|\b(?:plus|minus|times|divided|of|to|in|into|percent|sqrt|square)\b|加|减|乘|除|换算|等于|的|转换|是多少"
)
_SUM = re.compile(r"\d[\d.,\s)%]*[*^×÷+][\s(√-]*\d")
_SPAN = re.compile(r"[-+(√]*\s*[$€£¥]?\d[\d\s.,+\-*/^×÷%()xX]*[\d)%]")


def direct_call(question: str, active: Collection[str]) -> ToolCall | None:
    """The call that the words of the question name, among the active tools; None where no rule knows it."""
    text = question.strip()
    for name, rule in _RULES:
        if name in active:
            arguments = rule(text)
            if arguments is not None:
                return ToolCall("call_0", name, arguments)
    return None


def _calculation(text: str) -> dict[str, Any] | None:
    whole = _stripped(text)
    spans = [match[0].strip() for match in _SPAN.finditer(text)]
    # Inside a longer sentence "3-5" may be pages and "20%" a share: only what is plainly a sum counts.
    plain = [span for span in sorted(spans, key=len, reverse=True) if _SUM.search(span)]
    for candidate in (whole, *plain):
        if _is_calculation(candidate) and _computes(candidate):
            return {"expression": candidate}
    return None


def _stripped(text: str) -> str:
    before = ""
    while before != text:
        before, text = text, _POLITE.sub("", text)
    return _ENDING.sub("", text).strip()


def _is_calculation(candidate: str) -> bool:
    # A date or a telephone number is written with digits and dashes too.
    is_date = re.fullmatch(r"[\d\s]+(?:[-/.][\d\s]+){1,2}", candidate) and not re.search(r"\s[-/]\s", candidate)
    return (
        len(candidate) <= LONGEST_EXPRESSION
        and bool(re.search(r"\d|[一二三四五六七八九十百千万]", candidate))
        and bool(_OPERATION.search(candidate.lstrip("-+")))
        and not (is_date and re.search(r"\d{2,}[-/.]\d+[-/.]\d", candidate))
    )


def _computes(candidate: str) -> bool:
    try:
        calculator(candidate)
    except ToolError:
        return False
    return True


def _pattern(expression: str, arguments: Callable[[Match], dict[str, Any]]) -> Callable[[str], dict[str, Any] | None]:
    compiled = re.compile(expression, re.IGNORECASE)

    def rule(text: str) -> dict[str, Any] | None:
        match = compiled.search(text)
        return None if match is None else arguments(match)

    return rule


def _zone(match: Match) -> dict[str, Any]:
    zone = next((group for group in match.groups() if group), "")
    return {"time_zone": zone.strip(" ?？.")}


def _two_dates(match: Match) -> dict[str, Any]:
    return {"start": match["a"] or match["a2"] or "today", "end": match["b"] or match["b2"] or match["c"]}


def _shift(match: Match) -> dict[str, Any]:
    back = match["way"] in ("before", "ago", "之前", "前")
    units = {"天": "days", "周": "weeks", "个月": "months", "月": "months", "年": "years"}
    unit = match["unit"].lower()
    amount = int(match["amount"])
    return {
        "start": match["start"] or "today",
        "amount": -amount if back else amount,
        "unit": units.get(unit, unit.rstrip("s") + "s"),
    }


_CLOCK = r"\d{1,2}(?::\d{2}\s*(?:[ap]\.?m\.?)?|\s*[ap]\.?m\.?)"
_ZONE = r"(?-i:[A-Z][\w/+-]*(?: [A-Z][\w]*){0,2})"
_ZH_CLOCK = r"(?:上午|下午|晚上)?\d{1,2}(?:[:：]\d{2}|点(?:\d{1,2}分?)?)"
_CONVERSION = re.compile(
    rf"(?P<time>{_CLOCK})\s*(?:in |from |at )?(?P<from>{_ZONE})(?: time)?"
    r"(?:,|,? what(?:'s| is)? (?:the )?time (?:is it )?| is what time|,? what is it)?"
    rf"\s*(?:to|in|for)\s+(?P<to>{_ZONE})"
    rf"|(?P<from2>[\u4e00-\u9fff]{{2,4}}?)(?:时间)?(?:的|是)?(?P<time2>{_ZH_CLOCK})(?:时|的时候|是|等于|换算成|，|,|在)*"
    r"(?P<to2>[\u4e00-\u9fff]{2,4}?)(?:时间)?(?:是|的)?(?:几点|什么时间|多少点|$)",
    re.IGNORECASE,
)


def _time_elsewhere(text: str) -> dict[str, Any] | None:
    match = _CONVERSION.search(text.rstrip(" ?？.。"))
    if match is None:
        return None
    found = {name: (match[name] or match[f"{name}2"]).strip() for name in ("time", "from", "to")}
    try:
        zone_of(found["from"]), zone_of(found["to"])
    except ToolError:
        return None
    return {"time": found["time"], "from_zone": found["from"], "to_zone": found["to"]}


_WEEKDAY = _pattern(
    rf"what (?:day|weekday)(?: of the week)? (?:is|was|will|falls on)\s*(?P<start>{_DATE})"
    rf"|(?P<start2>{_DATE})\s*(?:是|那天是)?(?:星期几|周几|礼拜几)",
    lambda match: {"start": match["start"] or match["start2"], "amount": 0, "unit": "days"},
)
_TIME = _pattern(
    r"\bwhat(?:'s| is)? (?:the )?(?:current )?time (?:is it )?(?:now )?(?:in |at )"
    r"(?P<en>[A-Z][\w/ +-]{1,40}?)(?: now| right now)?[?.]?$"
    r"|\bwhat(?:'s| is)? (?:the )?(?:current )?(?:time|date)(?: is it)?(?: now| right now| today)?[?.]?$"
    r"|\bwhat day (?:is|of the week is) (?:it|today)|\btoday's date\b"
    r"|^(?P<zh>[\u4e00-\u9fff]{2,5}?)(?:现在|目前|当前)(?:是)?(?:几点|什么时间|的时间)"
    r"|(?:现在|目前)(?:是)?(?:几点|什么时间|什么时候)"
    r"|今天(?:是)?(?:星期几|周几|几号|几月几日|什么日子)",
    _zone,
)
_DAYS = _pattern(
    rf"(?:how many days|days)[^.?]*?\b(?:between|from)\s+(?P<a>{_DATE})\s+(?:and|to|until)\s+(?P<b>{_DATE})"
    rf"|how many days[^.?]*?(?:until|till|to)\s+(?P<c>{_DATE})"
    rf"|(?:从\s*)?(?P<a2>{_DATE})\s*(?:到|至|和|与|距离?)\s*(?P<b2>{_DATE}).*?(?:多少天|几天|天数)",
    _two_dates,
)
_SHIFT = _pattern(
    rf"(?P<amount>\d{{1,5}})\s*(?P<unit>days?|weeks?|months?|years?|天|周|个月|年)\s*(?P<way>after|from|before|ago|之后|以后|后|之前|前)\s*(?P<start>{_DATE})?",
    _shift,
)


def _table(text: str) -> dict[str, Any] | None:
    return {"question": text} if looks_like_table_question(text) else None


def _text_of(match: Match) -> dict[str, Any]:
    return {"text": match["text"]}


_RULES: tuple[tuple[str, Callable[[str], dict[str, Any] | None]], ...] = (
    ("count_tokens", _pattern(rf"(?:how many tokens|count the tokens|多少个?(?:词元|token)).*?{_TEXT}", _text_of)),
    ("count_tokens", _pattern(rf"{_TEXT}.*(?:how many tokens|多少个?(?:词元|token))", _text_of)),
    ("tokenize", _pattern(rf"(?:tokeni[sz]e|切分|分词).*?{_TEXT}", _text_of)),
    ("tokenize", _pattern(rf"{_TEXT}.*(?:切分成?词元|分词)", _text_of)),
    (
        "similarity",
        _pattern(
            r"(?:simila|相似).*?['\"“‘「](?P<a>[^'\"”’」]+)['\"”’」].*?['\"“‘「](?P<b>[^'\"”’」]+)['\"”’」]"
            r"|['\"“‘「](?P<a2>[^'\"”’」]+)['\"”’」].*?['\"“‘「](?P<b2>[^'\"”’」]+)['\"”’」].*?(?:simila|相似)",
            lambda match: {"first": match["a"] or match["a2"], "second": match["b"] or match["b2"]},
        ),
    ),
    (
        "nearest_words",
        _pattern(
            rf"(?:nearest|closest|最近|最接近).{{0,12}}?(?:words?|词|tokens?).*?{_TEXT}"
            r"|['\"“‘「](?P<zh>[^\"”’」]+?)['\"”’」].*?(?:最近|最接近)的?词",
            lambda match: {"word": match["text"] or match["zh"]},
        ),
    ),
    ("next_token_probabilities", _pattern(rf"(?:next token|next word|下一个(?:词|词元|token)).*?{_TEXT}", _text_of)),
    ("next_token_probabilities", _pattern(rf"{_TEXT}.*?(?:next token|next word|下一个(?:词|词元|token))", _text_of)),
    (
        "embed",
        _pattern(
            rf"(?:word vector|vector|embedding|embed|词向量|向量).*?{_TEXT}"
            r"|['\"“‘「](?P<zh>[^\"”’」]+?)['\"”’」].{0,6}?(?:词向量|向量)",
            lambda match: {"text": match["text"] or match["zh"]},
        ),
    ),
    ("convert_time", _time_elsewhere),
    ("add_to_date", _WEEKDAY),
    ("current_time", _TIME),
    ("days_between", _DAYS),
    ("add_to_date", _SHIFT),
    ("calculator", _calculation),
    ("ask_tables", _table),
)
