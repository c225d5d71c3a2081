"""`sum`, `avg` and `total` of SQL in decimal arithmetic: in a spreadsheet 0.1 + 0.2 is 0.3."""

import sqlite3
from decimal import Decimal, InvalidOperation
from typing import Any


class _Sum:
    """A running sum of the numbers seen. Blank cells do not count; other text goes to `ignored`."""

    ignored: list[str]

    def __init__(self) -> None:
        self.sum = Decimal(0)
        self.count = 0

    def step(self, value: Any) -> None:
        number = number_in(value)
        if number is not None:
            self.sum += number
            self.count += 1
        elif value not in (None, ""):
            self.ignored.append(str(value)[:40])

    def inverse(self, value: Any) -> None:
        number = number_in(value)
        if number is not None:
            self.sum -= number
            self.count -= 1

    def value(self) -> float | int | None:
        return _stored(self.sum) if self.count else None

    def finalize(self) -> float | int | None:
        return self.value()


class _Mean(_Sum):
    def value(self) -> float | int | None:
        return _stored(self.sum / self.count) if self.count else None


class _Total(_Sum):
    """SQLite's `total` is 0.0 where there is nothing."""

    def value(self) -> float | int | None:
        return float(self.sum)


def sum_exactly(connection: sqlite3.Connection, ignored: list[str]) -> None:
    """Replace the three aggregates on this connection and add `number(x)`; other cells are appended to `ignored`.

    The result is the 64-bit number nearest to the exact decimal sum.
    """
    for name, aggregate in (("sum", _Sum), ("avg", _Mean), ("total", _Total)):
        connection.create_window_function(name, 1, type(aggregate.__name__, (aggregate,), {"ignored": ignored}))
    connection.create_function("number", 1, stored_number, deterministic=True)


def stored_number(value: Any) -> float | int | None:
    """SQL's `number(x)`: the cell as a number, NULL where it is none."""
    number = number_in(value)
    return None if number is None else _stored(number)


def number_in(value: Any) -> Decimal | None:
    """A cell as a number: as stored, or as written with grouping, a currency sign or a percent sign; else None."""
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    if not isinstance(value, str):
        return None
    text = value.strip().strip("$€£¥￥元 ").replace(",", "")
    try:
        number = Decimal(text.removesuffix("%"))
    except InvalidOperation:
        return None
    if not number.is_finite():
        return None
    return number / 100 if text.endswith("%") else number


def _stored(number: Decimal) -> float | int:
    whole = int(number) if number == number.to_integral_value() else None
    return whole if whole is not None and abs(whole) < 2**63 else float(number)
