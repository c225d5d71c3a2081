"""The calculator: what people write (15% of 240, 5 km to miles, 240的15%) made an expression and computed exactly."""

import re
from decimal import Context, Decimal
from fractions import Fraction

from core.errors import ToolError
from core.language import HAN, Bilingual
from tools.arithmetic import DIGITS, Quantity, evaluate
from tools.base import ToolEntry, built_in
from tools.units import UNITS

LONGEST_EXPRESSION = 500
LONGEST_NUMBER = 3_000
_WORDS = (
    (r"×|✕|⋅|·|乘以|乘|\btimes\b|\bmultiplied by\b", "*"),
    (r"÷|除以|\bdivided by\b|\bover\b", "/"),
    (r"−|–|减去|减|\bminus\b", "-"),
    (r"加上|加|\bplus\b", "+"),
    (r"\^|\bto the power of\b", "**"),
    (r"（", "("),
    (r"）", ")"),
    (r"百分之\s*(\d+(?:\.\d+)?)", r"\1%"),
    (r"\b(?:percent|per cent)\b", "%"),
    (r"(\d+(?:\.\d+)?)\s*的\s*平方根", r"sqrt(\1)"),
    (r"√\s*(\d+(?:\.\d+)?)", r"sqrt(\1)"),
    (r"√", "sqrt"),
    (r"\bsquare root of (\d+(?:\.\d+)?)", r"sqrt(\1)"),
    (r"(\d+(?:\.\d+)?)\s*的\s*平方", r"\1**2"),
    (r"的|\bof\b", "*"),
    (r"[$€£¥￥]|美元|人民币|欧元|元|\b(?:dollars?|euros?|yuan)\b", ""),
)
_CONVERSION = re.compile(
    r"^(?P<left>.+?)(?:\s+(?:to|in|into|as)\s+|换算成|换算为|转换为|转换成|等于多少|是多少)(?P<unit>[^\s\d()?？]+)\s*[?？]?$"
)
_GROUPED = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%(?!\s*[\d(])")
_UNIT_AFTER_NUMBER = re.compile(rf"(\d+(?:\.\d+)?)\s*([A-Za-z{HAN}]+)")


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
    written, unit = _split_conversion(expression.strip().rstrip("=?？ "))
    quantity = evaluate(python_expression(written))
    return _converted(quantity, unit) if unit else _shown(quantity)


def python_expression(text: str) -> str:
    """Rewrite what a person writes as a Python expression (which is parsed, never evaluated by Python)."""
    text = _GROUPED.sub(lambda match: match[0].replace(",", ""), text)
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    text = _PERCENT.sub(r"percent(\1)", text)
    return _UNIT_AFTER_NUMBER.sub(_multiplied, text)


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


def _split_conversion(text: str) -> tuple[str, str]:
    match = _CONVERSION.match(text)
    if match and match["unit"] in UNITS:
        return match["left"], match["unit"]
    return text, ""


def _multiplied(match: re.Match[str]) -> str:
    number, word = match.groups()
    # 1e5 is a number; 5km is a product.
    return f"({number}*{word})" if word in UNITS else match[0]


def _converted(quantity: Quantity, unit: str) -> str:
    target = UNITS[unit]
    if quantity.dimensions != target.dimensions:
        raise ToolError(Bilingual(en=f"This is not measured in {unit}.", zh=f"该量不能用 {unit} 表示。"))
    return f"{_number(quantity.value / target.factor, quantity.exact)} {unit}"


_BASE = {"length": "m", "mass": "kg", "time": "s", "volume": "l", "data": "byte", "angle": "rad"}


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
