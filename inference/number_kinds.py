"""What kind of number stands where in a question: a part of a date, a percentage, an amount of money.

A number of one kind is seldom the value of an argument of another: the 2022 of `May 3, 2022` is no budget.
"""

import re
from collections.abc import Mapping
from typing import Any

from inference.candidates import FUNCTION_WORDS, words_of

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}}\b)?"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? \d{{4}}\b)?"
    r"|\b\d{4}([-/.])\d{1,2}\1\d{1,2}\b|\b\d{1,2}([-/.])\d{1,2}\2\d{4}\b"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b)?|\b\d{1,2}\s?[ap]\.?m\b|\d+\s?[年月日号点]",
    re.IGNORECASE,
)
_PERCENTAGE = re.compile(r"\d+(?:\.\d+)?\s*(?:%|percent\b|per cent\b)")
_NO_NUMBER = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:first|second|third)\b", re.IGNORECASE)
_MONEY = re.compile(
    r"[$€£¥￥]\s?(\d[\d,]*(?:\.\d+)?)|(\d[\d,]*(?:\.\d+)?)\s?(?:dollars?|euros?|pounds|yen|yuan|USD|EUR|GBP|JPY|CNY|美元|欧元|元)(?![a-z])",
    re.IGNORECASE,
)
_WITH_UNIT = re.compile(r"(?<![A-Za-z_\d.])(-?\d+(?:,\d{3})*(?:\.\d+)?)[\s-]?(?:degrees )?([A-Za-z]{3,})")
_YEAR = re.compile(r"(?<![\d.,])(?:1\d|20|21)\d\d(?![\d,.]*\d)")
_OF_TIME = re.compile(r"year|month|\bday|date|hour|minute|time|[年月日时]")
_OF_SHARE = re.compile(
    r"rate|percent|ratio|fraction|discount|\btip\b|share|tax|probab|%|interest|growth|inflation|margin|level|率|百分"
)
_OF_MONEY = frozenset(
    ("price", "cost", "amount", "budget", "salary", "income", "revenue", "balance", "payment", "fee", "deposit", "bill")
)


def without_other_kinds(text: str, name: str, schema: Mapping[str, Any]) -> str:
    """The text without the numbers whose kind the argument is not."""
    told = " ".join([*words_of(name), str(schema.get("description", ""))]).lower()
    rest = _NO_NUMBER.sub(" ", text)
    if not _OF_TIME.search(told):
        rest = _DATE.sub(" ", rest)
    return rest if _OF_SHARE.search(told) else _PERCENTAGE.sub(" ", rest)


def years(text: str, name: str) -> list[str]:
    """The years of a text where the argument is one."""
    return _YEAR.findall(text) if "year" in words_of(name) else []


def sums_of_money(text: str, name: str) -> list[str]:
    """The amounts of money of a text, as they are written, where the argument is called after one."""
    found = _MONEY.findall(text) if _OF_MONEY.intersection(words_of(name)) else []
    return [before or after for before, after in found]


def numbers_in_unit(text: str, schema: Mapping[str, Any]) -> list[str]:
    """The numbers, as they are written, before a unit that the description of an argument names: `500 grams`."""
    told = {word.removesuffix("s") for word in re.findall(r"[a-z]{3,}", str(schema.get("description", "")).lower())}
    return [
        digits for digits, unit in _WITH_UNIT.findall(text) if unit.lower().removesuffix("s") in told - FUNCTION_WORDS
    ]
