"""Date and time: now, differences, additions, other time zones. Calendar arithmetic of the standard library."""

import calendar
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from core.errors import ToolError
from core.language import Bilingual
from tools.base import ToolEntry, built_in
from tools.zones import zone_of

Now = Callable[[], datetime]
Unit = Literal["days", "weeks", "months", "years", "hours", "minutes"]
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_ISO = re.compile(r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?$")
_MONTH_FIRST = re.compile(r"^([A-Za-z]+)\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})$")
_DAY_FIRST = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?([A-Za-z]+)\.?,?\s+(\d{4})$")
_RELATIVE = {
    "today": 0,
    "今天": 0,
    "now": 0,
    "tomorrow": 1,
    "明天": 1,
    "yesterday": -1,
    "昨天": -1,
    "后天": 2,
    "前天": -2,
}
_WEEKDAYS = "一二三四五六日"


def local_now() -> datetime:
    """The machine's time, with its zone."""
    return datetime.now(UTC).astimezone()


def clock_tools(now: Now = local_now) -> tuple[ToolEntry, ...]:
    """The four tools of date and time; `now` gives the present moment with a time zone."""

    def current_time(time_zone: str = "") -> str:
        """Tell the time.

        Args:
            time_zone: a city or zone such as Tokyo, Europe/Paris or UTC+8; empty for the local time

        """
        moment = now().astimezone(zone_of(time_zone)) if time_zone.strip() else now()
        return described(moment)

    def add_to_date(start: str, amount: int, unit: Unit) -> str:
        """Add to a date or take away.

        Args:
            start: a date such as 2026-03-15, or today
            amount: how many units to add; negative to go back
            unit: the unit of the amount

        """
        return _added(parse_date(start, now), amount, unit)

    def days_between(start: str, end: str) -> str:
        """Count the days from one date to another.

        Args:
            start: a date such as 2026-03-15, or today
            end: a date such as 2026-12-24, or today

        """
        first, last = parse_date(start, now).date(), parse_date(end, now).date()
        return f"{(last - first).days} days ({_day(first)} → {_day(last)})"

    def convert_time(time: str, from_zone: str, to_zone: str, day: str = "today") -> str:
        """Say what a time of day is elsewhere.

        Args:
            time: a time of day such as 14:30 or 2:30 pm
            from_zone: the city or zone of that time
            to_zone: the city or zone wanted
            day: the date of that time, such as 2026-03-15

        """
        hour, minute = parse_time(time)
        start = parse_date(day, now).replace(hour=hour, minute=minute, tzinfo=zone_of(from_zone))
        return described(start.astimezone(zone_of(to_zone)))

    return (
        built_in(current_time, Bilingual("Current time", "当前时间"), _CURRENT),
        built_in(add_to_date, Bilingual("Add to a date", "日期加减"), _ADD),
        built_in(days_between, Bilingual("Days between", "相隔天数"), _BETWEEN),
        built_in(convert_time, Bilingual("Convert a time", "时区换算"), _CONVERT),
    )


_CURRENT = Bilingual(
    "Tell the current date, weekday and time, here or in another city or time zone.",
    "查询当前日期、星期和时间，可指定城市或时区。",
)
_ADD = Bilingual(
    "The date a number of days, weeks, months or years after or before another date.",
    "计算某个日期之后或之前若干天、周、月、年的日期。",
)
_BETWEEN = Bilingual("Count the days between two dates.", "计算两个日期之间相隔多少天。")
_CONVERT = Bilingual(
    "Convert a time of day from one city or time zone to another.", "把一个时刻从一个城市或时区换算到另一个。"
)


def parse_date(text: str, now: Now = local_now) -> datetime:
    """Read a date: ISO, `March 5, 2026`, `5 March 2026`, `2026年3月5日`, today and its neighbours.

    Raises ToolError for anything else, 3/5/2026 included, which means two days.
    """
    text = text.strip()
    if text.lower() in _RELATIVE:
        return now() + timedelta(days=_RELATIVE[text.lower()])
    numbers = _year_month_day(text)
    try:
        if numbers:
            return datetime(*numbers, tzinfo=now().tzinfo)
        return datetime.fromisoformat(text).replace(tzinfo=now().tzinfo)
    except ValueError as error:
        raise ToolError(
            Bilingual(
                en=f"{text!r} is not a date. Write it as YYYY-MM-DD.",
                zh=f"{text!r} 不是日期。请写成 年-月-日（YYYY-MM-DD）。",
            )
        ) from error


def parse_time(text: str) -> tuple[int, int]:
    """Read a time of day as (hour, minute). Raises ToolError where it is none."""
    match = re.fullmatch(
        r"(上午|下午|晚上)?\s*(\d{1,2})(?:[:：点](\d{2})?)?分?\s*(am|pm|a\.m\.|p\.m\.)?", text.strip().lower()
    )
    hour, minute = (int(match[2]), int(match[3] or 0)) if match else (99, 0)
    half = (match[1] or (match[4] or "").replace(".", "")) if match else ""
    if half and hour <= 12:
        hour = hour % 12 + (12 if half in ("pm", "下午", "晚上") else 0)
    if hour > 23 or minute > 59:
        raise ToolError(
            Bilingual(en=f"{text!r} is not a time of day. Write it as 14:30.", zh=f"{text!r} 不是时刻。请写成 14:30。")
        )
    return hour, minute


def described(moment: datetime) -> str:
    """A moment with its weekday in both languages and its zone."""
    offset = moment.strftime("%z")
    return f"{_day(moment.date())} {moment:%H:%M} {moment.tzname()} (UTC{offset[:3]}:{offset[3:5]})"


def _day(day: date) -> str:
    return f"{day.isoformat()} ({calendar.day_name[day.weekday()]}, 星期{_WEEKDAYS[day.weekday()]})"


def _year_month_day(text: str) -> tuple[int, int, int] | None:
    if match := _ISO.match(text):
        return int(match[1]), int(match[2]), int(match[3])
    if match := _MONTH_FIRST.match(text):
        return int(match[3]), _MONTHS.get(match[1].lower(), 0), int(match[2])
    if match := _DAY_FIRST.match(text):
        return int(match[3]), _MONTHS.get(match[2].lower(), 0), int(match[1])
    return None


def _added(start: datetime, amount: int, unit: Unit) -> str:
    try:
        if unit in ("months", "years"):
            return _day(_months_later(start.date(), amount * (12 if unit == "years" else 1)))
        moment = start + timedelta(**{unit: amount})
    except (ValueError, OverflowError) as error:
        raise ToolError(
            Bilingual(
                en="That date is outside the calendar (years 1 to 9999).", zh="日期超出历法范围（公元 1 至 9999 年）。"
            )
        ) from error
    return described(moment) if unit in ("hours", "minutes") else _day(moment.date())


def _months_later(day: date, months: int) -> date:
    """The same day of the month, or the month's last where it has no such day (31 January + 1 month = 28 February)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
