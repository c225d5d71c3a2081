"""Dates and times at a fixed moment; expected values from a calendar."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from core.errors import ToolError
from tools.base import ToolEntry
from tools.clock import clock_tools, parse_time
from tools.zones import zone_of

MOMENT = datetime(2026, 3, 15, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.fixture(scope="module")
def tools() -> dict[str, ToolEntry]:
    return {entry.name: entry for entry in clock_tools(lambda: MOMENT)}


def ask(tools: dict[str, ToolEntry], name: str, **arguments: object) -> str:
    return str(tools[name].tool.invoke(arguments))


def test_the_time_here_and_elsewhere(tools: dict[str, ToolEntry]) -> None:
    assert ask(tools, "current_time") == "2026-03-15 (Sunday, 星期日) 12:00 CET (UTC+01:00)"
    assert ask(tools, "current_time", time_zone="东京") == "2026-03-15 (Sunday, 星期日) 20:00 JST (UTC+09:00)"


@pytest.mark.parametrize(
    ("start", "amount", "unit", "expected"),
    [
        ("2026-01-31", 1, "months", "2026-02-28"),
        ("2024-02-29", 1, "years", "2025-02-28"),
        ("March 1, 2024", -1, "days", "2024-02-29"),
        ("2026年12月31日", 1, "days", "2027-01-01"),
        ("today", 2, "weeks", "2026-03-29"),
    ],
)
def test_adding_keeps_to_the_calendar(
    tools: dict[str, ToolEntry], start: str, amount: int, unit: str, expected: str
) -> None:
    assert ask(tools, "add_to_date", start=start, amount=amount, unit=unit).startswith(expected)


def test_days_between_counts_leap_days(tools: dict[str, ToolEntry]) -> None:
    assert ask(tools, "days_between", start="2024-01-01", end="2025-01-01").startswith("366 days")
    assert ask(tools, "days_between", start="today", end="2026-03-01").startswith("-14 days")


def test_a_time_is_converted_with_summer_time(tools: dict[str, ToolEntry]) -> None:
    winter = ask(tools, "convert_time", time="2:30 pm", from_zone="New York", to_zone="London", day="2026-01-10")
    # Between 8 and 29 March the United States are on summer time and Britain is not.
    spring = ask(tools, "convert_time", time="14:30", from_zone="New York", to_zone="London", day="2026-03-10")
    assert (" 19:30 " in winter, " 18:30 " in spring) == (True, True)


@pytest.mark.parametrize("date", ["3/5/2026", "2026-02-30", "soon", ""])
def test_an_ambiguous_or_impossible_date_is_refused(tools: dict[str, ToolEntry], date: str) -> None:
    with pytest.raises(ToolError, match="not a date"):
        ask(tools, "add_to_date", start=date, amount=1, unit="days")


def test_times_and_zones_are_read_in_many_forms() -> None:
    assert [parse_time(text) for text in ("9", "9pm", "12 am", "下午3点20分", "23:59")] == [
        (9, 0),
        (21, 0),
        (0, 0),
        (15, 20),
        (23, 59),
    ]
    assert str(zone_of("UTC+5:30")) == "UTC+05:30"
    with pytest.raises(ToolError, match="Unknown time zone"):
        zone_of("Atlantis")
