"""The calculator: what people write (15% of 240, 5 km to miles, 240的15%) made an expression and computed exactly."""

import re
from decimal import Context, Decimal
from fractions import Fraction

from core.errors import ToolError
from core.language import Bilingual
from tools.arithmetic import DIGITS, Quantity, evaluate
from tools.base import ToolEntry, built_in
from tools.spoken_sums import python_expression, share_asked, temperature_asked
from tools.units import UNITS

LONGEST_EXPRESSION = 500
LONGEST_NUMBER = 3_000
_CONVERSION = re.compile(
    r"^(?P<left>.+?)(?:\s+(?:to|in|into|as)\s+|换算成|换算为|转换为|转换成|等于多少|是多少)(?P<unit>[^\d()?？*+-]+[23²³]?)\s*[?？]?$"
)


def calculator(expression: str) -> str:
    """Compute exactly.

    Args:
        expression: arithmetic such as 2*(3+4)**2, 15% of 240, sqrt(2), 5 km to miles or 3 kg + 200 g

    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ToolError(
            Bilingual(
                en=f"The expression is longer than {LONGEST_EXPRESSION} characters.",
                zh=f"算式超过 {LONGEST_EXPRESSION} 个字符。",
            )
        )
    text = expression.strip().rstrip("=?？ ")
    return _answered_directly(text) or _evaluated(text)


def calculator_tool() -> ToolEntry:
    """The calculator as a tool."""
    return built_in(
        calculator,
        Bilingual("Calculator", "计算器"),
        Bilingual(
            "Compute an arithmetic expression exactly: + - * / powers, percentages, roots, units and conversions.",
            "精确计算算式：加减乘除、乘方、百分比、开方、单位与换算。",
        ),
    )


def _answered_directly(text: str) -> str:
    """A temperature in another scale, or what share one number is of another; else nothing."""
    temperature = temperature_asked(text)
    if temperature is not None:
        return f"{_number(temperature[0], exact=True)} °{temperature[1]}".replace("°K", "K")
    try:
        share = share_asked(text)
    except ZeroDivisionError as error:
        raise ToolError(Bilingual(en="Division by zero.", zh="除数为零。")) from error
    return "" if share is None else f"{_number(share, exact=True)}%"


def _evaluated(text: str) -> str:
    match = _CONVERSION.match(text)
    target = _target(match["unit"]) if match else None
    if match is None or target is None:
        return _shown(evaluate(python_expression(text)))
    return _converted(evaluate(python_expression(match["left"])), target, match["unit"])


def _target(unit: str) -> Quantity | None:
    """One of the unit asked for (`m/s`, `square feet`), None where it is no unit."""
    name = python_expression(f"1 {unit}")
    try:
        quantity = evaluate(name)
    except ToolError:
        return None
    return quantity if quantity.dimensions or unit in UNITS else None


def _converted(quantity: Quantity, target: Quantity, unit: str) -> str:
    if quantity.dimensions != target.dimensions:
        raise ToolError(Bilingual(en=f"This is not measured in {unit}.", zh=f"该量不能用 {unit} 表示。"))
    return f"{_number(quantity.value / target.value, quantity.exact)} {unit}"


_BASE = {
    "length": "m", "mass": "kg", "time": "s", "volume": "l", "data": "byte", "angle": "rad", "energy": "J",
    "power": "W", "pressure": "Pa",
}  # fmt: skip


def _shown(quantity: Quantity) -> str:
    number = _number(quantity.value, quantity.exact)
    units = " ".join(_BASE[name] + (f"^{power}" if power != 1 else "") for name, power in quantity.dimensions)
    return f"{number} {units}" if units else number


def _number(value: Fraction, exact: bool) -> str:
    """All digits where the decimal ends, else 28 significant ones after a `≈`."""
    ended = _exact_decimal(value) if exact else None
    if ended is not None and len(ended) <= LONGEST_NUMBER:
        return ended
    return "≈ " + _significant(value, DIGITS if exact else 15)


def _exact_decimal(value: Fraction) -> str | None:
    twos, fives, rest = 0, 0, value.denominator
    while rest % 2 == 0:
        twos, rest = twos + 1, rest // 2
    while rest % 5 == 0:
        fives, rest = fives + 1, rest // 5
    if rest != 1:
        return None
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}")


def _significant(value: Fraction, digits: int) -> str:
    context = Context(prec=digits)
    text = format(context.divide(Decimal(value.numerator), Decimal(value.denominator)), "f")
    return text.rstrip("0").rstrip(".") if "." in text and len(text) < 60 else text
