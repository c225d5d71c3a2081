"""Dates as people write them, in the form that a schema asks for: `May 12, 2022` where it wants YYYY-MM-DD."""

import re
from collections.abc import Mapping
from typing import Any

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = r"(?P<{0}>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_SPELLED = re.compile(
    rf"\b{_NAME.format('m1')} (?P<d1>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y1>\d{{4}})\b"
    rf"|\b(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_NAME.format('m2')},? (?P<y2>\d{{4}})\b"
    r"|\b(?P<y3>\d{4})[-/.](?P<m3>\d{1,2})[-/.](?P<d3>\d{1,2})\b"
    r"|(?P<y4>\d{4})\s?年\s?(?P<m4>\d{1,2})\s?月\s?(?P<d4>\d{1,2})\s?[日号]",
    re.IGNORECASE,
)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}|iso[- ]?8601", re.IGNORECASE)
# `DD/MM/YYYY` in a description.
_PATTERN = re.compile(r"\b(?:y{4}|m{2}|d{2})(?P<sign>[-/.])(?:m{2}|d{2})(?P=sign)(?:y{4}|d{2})\b", re.IGNORECASE)
_OTHER_FORM = re.compile(r"format|\d|e\.g\.|such as|like", re.IGNORECASE)
ISO = "yyyy-mm-dd"


def date_pattern(name: str, schema: Mapping[str, Any]) -> str:
    """How an argument wants its date (`yyyy-mm-dd`, `mm/dd/yyyy`), as its format or description says or shows.

    Without a word of it a `start_date` wants ISO's way: 16 of 19 such values in the tuning sets. Empty for no date.
    """
    described = str(schema.get("description", ""))
    pattern = _PATTERN.search(described)
    if pattern:
        return pattern[0].lower()
    if schema.get("format") == "date" or _ISO.search(described):
        return ISO
    is_date = re.search(r"(?:^|_)[Dd]ate$|[a-z]Date$", name) is not None
    return ISO if is_date and schema.get("type") == "string" and not _OTHER_FORM.search(described) else ""


def dates_for(name: str, schema: Mapping[str, Any], text: str) -> list[str]:
    """The whole dates of a text (day, month and year) in the form that an argument wants, in their order."""
    pattern = date_pattern(name, schema)
    return [_written(date, pattern) for date in dates_in(text)] if pattern else []


def _written(date: str, pattern: str) -> str:
    year, month, day = date.split("-")
    return pattern.replace("yyyy", year).replace("mm", month).replace("dd", day)


def dates_in(text: str) -> list[str]:
    """The whole dates of a text (day, month and year) as YYYY-MM-DD, in their order."""
    found = []
    for match in _SPELLED.finditer(text):
        year, month, day = next(
            (match[f"y{way}"], match[f"m{way}"], match[f"d{way}"]) for way in (1, 2, 3, 4) if match[f"y{way}"]
        )
        number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
        if 1 <= number <= 12 and 1 <= int(day) <= 31:
            found.append(f"{year}-{number:02d}-{int(day):02d}")
    return list(dict.fromkeys(found))
