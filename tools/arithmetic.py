"""Exact arithmetic over a parsed expression: rational numbers with units, and limits on size and power. No `eval`."""

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

from core.errors import ToolError
from core.language import Bilingual
from tools.units import UNITS, Dimensions

MOST_NODES = 300
LARGEST_EXPONENT = 10_000
LARGEST_FACTORIAL = 1_000
MOST_BITS = 40_000
DIGITS = 28
_NUMBER = re.compile(r"\d*\.?\d*(?:e[+-]?\d{1,3})?")
_DECIMAL = Context(prec=DIGITS + 10)


@dataclass(frozen=True)
class Quantity:
    """A number in base units and its dimensions. `exact` is false after a root, a logarithm and the like."""

    value: Fraction
    dimensions: Dimensions = ()
    exact: bool = True
    is_percent: bool = False


def evaluate(expression: str) -> Quantity:
    """The value of a Python-like arithmetic expression whose names are units, constants and functions.

    Raises ToolError where it is not arithmetic, mixes units that cannot be added, or exceeds a limit.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_arithmetic(expression) from error
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        raise _too_large()
    try:
        _read_exactly(tree, expression.strip())
        return _value(tree.body)
    except ZeroDivisionError as error:
        raise ToolError(Bilingual(en="Division by zero.", zh="除数为零。")) from error
    except (OverflowError, RecursionError) as error:
        raise _too_large() from error


def _read_exactly(tree: ast.AST, source: str) -> None:
    """Take the numbers as they are written: Python has already rounded 0.1 to a float."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            written = (ast.get_source_segment(source, node) or "").replace("_", "").lower()
            if not _NUMBER.fullmatch(written):
                raise _too_large()
            node.value = Fraction(written)  # type: ignore[assignment]  # it only travels to _value


def _value(node: ast.expr) -> Quantity:
    match node:
        case ast.Constant(value=Fraction() as number):
            return Quantity(number)
        case ast.Name(id=name):
            return _named(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _value(operand)
            return Quantity(-inner.value, inner.dimensions, inner.exact, inner.is_percent)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _checked(_binary(op, _value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _checked(_call(name, [_value(argument) for argument in arguments]))
    raise _not_arithmetic(ast.unparse(node))


def _named(name: str) -> Quantity:
    if name in UNITS:
        return Quantity(UNITS[name].factor, UNITS[name].dimensions)
    if name in ("pi", "e"):
        return Quantity(Fraction(math.pi if name == "pi" else math.e), exact=False)
    raise ToolError(Bilingual(en=f"Unknown name {name!r} in the expression.", zh=f"算式中有未知名称 {name!r}。"))


def _binary(op: ast.operator, left: Quantity, right: Quantity) -> Quantity:
    exact = left.exact and right.exact
    if isinstance(op, ast.Add | ast.Sub):
        return _add(left, right, 1 if isinstance(op, ast.Add) else -1)
    if isinstance(op, ast.Mult):
        return Quantity(left.value * right.value, _combined(left.dimensions, right.dimensions, 1), exact)
    if isinstance(op, ast.Div):
        return Quantity(left.value / right.value, _combined(left.dimensions, right.dimensions, -1), exact)
    if isinstance(op, ast.Pow):
        return _power(left, right)
    if isinstance(op, ast.Mod | ast.FloorDiv):
        _same_dimensions(left, right)
        if isinstance(op, ast.Mod):
            return Quantity(left.value % right.value, left.dimensions, exact)
        return Quantity(Fraction(left.value // right.value), exact=exact)
    raise _not_arithmetic(type(op).__name__)


def _add(left: Quantity, right: Quantity, sign: int) -> Quantity:
    if right.is_percent and not left.is_percent:  # 240 + 15 % is 240 raised by 15 %, as every till does it.
        return Quantity(left.value * (1 + sign * right.value), left.dimensions, left.exact)
    _same_dimensions(left, right)
    both = left.is_percent and right.is_percent
    return Quantity(left.value + sign * right.value, left.dimensions, left.exact and right.exact, both)


def _power(base: Quantity, exponent: Quantity) -> Quantity:
    if exponent.dimensions:
        raise ToolError(Bilingual(en="An exponent has no unit.", zh="指数不能带单位。"))
    if exponent.value.denominator == 1:
        return _whole_power(base, exponent.value.numerator, base.exact and exponent.exact)
    if base.dimensions or base.value < 0:
        raise ToolError(Bilingual(en="This root is not a real number.", zh="该根不是实数。"))
    return Quantity(_decimal_power(base.value, exponent.value), exact=False)


def _whole_power(base: Quantity, exponent: int, exact: bool) -> Quantity:
    size = max(base.value.numerator.bit_length(), base.value.denominator.bit_length())
    if abs(exponent) > LARGEST_EXPONENT or size * abs(exponent) > MOST_BITS:
        raise _too_large()
    dimensions = tuple((name, power * exponent) for name, power in base.dimensions if exponent)
    return Quantity(base.value**exponent, dimensions, exact)


def _decimal_power(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0:
        return Fraction(0)
    result = _DECIMAL.power(_decimal(base), _decimal(exponent))
    if not result.is_finite() or abs(result.adjusted()) > LARGEST_EXPONENT:
        raise _too_large()
    return Fraction(result)


def _decimal(value: Fraction) -> Decimal:
    return _DECIMAL.divide(Decimal(value.numerator), Decimal(value.denominator))


def _percent(value: Quantity) -> Quantity:
    return Quantity(value.value / 100, (), value.exact, is_percent=True)


def _square_root(value: Quantity) -> Quantity:
    root = Fraction(math.isqrt(abs(value.value.numerator)), math.isqrt(value.value.denominator))
    if not value.dimensions and root**2 == value.value:
        return Quantity(root, exact=value.exact)
    return _power(value, Quantity(Fraction(1, 2)))


def _factorial(value: Quantity) -> Quantity:
    number = value.value
    if value.dimensions or number.denominator != 1 or not 0 <= number <= LARGEST_FACTORIAL:
        raise _too_large()
    return Quantity(Fraction(math.factorial(number.numerator)))


def _rounded(value: Quantity, digits: Quantity = Quantity(Fraction(0))) -> Quantity:
    if abs(digits.value) > DIGITS:
        raise _too_large()
    scale = Fraction(10) ** int(digits.value)
    # Halves go away from zero, as people round.
    whole = math.floor(abs(value.value) * scale + Fraction(1, 2))
    return Quantity(Fraction(whole if value.value >= 0 else -whole) / scale, value.dimensions, value.exact)


def _real(function: Callable[[float], float]) -> Callable[[Quantity], Quantity]:
    def apply(value: Quantity) -> Quantity:
        if value.dimensions not in ((), (("angle", 1),)):
            raise ToolError(Bilingual(en="This function takes a plain number.", zh="该函数只接受纯数字。"))
        try:
            return Quantity(Fraction(str(function(float(value.value)))), exact=False)
        except ValueError as error:
            raise ToolError(Bilingual(en="The function is not defined there.", zh="函数在该处无定义。")) from error

    return apply


def _choose(pick: Callable[[Sequence[Quantity]], Quantity]) -> Callable[..., Quantity]:
    def apply(*values: Quantity) -> Quantity:
        for value in values[1:]:
            _same_dimensions(values[0], value)
        return pick(values)

    return apply


def _sum(values: Sequence[Quantity]) -> Quantity:
    total = sum((value.value for value in values), Fraction(0))
    return Quantity(total, values[0].dimensions, all(value.exact for value in values))


def _mean(values: Sequence[Quantity]) -> Quantity:
    total = _sum(values)
    return Quantity(total.value / len(values), total.dimensions, total.exact)


_BY_VALUE = operator.attrgetter("value")
FUNCTIONS: dict[str, Callable[..., Quantity]] = {
    "percent": _percent,
    "sqrt": _square_root,
    "factorial": _factorial,
    "round": _rounded,
    "abs": lambda value: Quantity(abs(value.value), value.dimensions, value.exact),
    "min": _choose(lambda values: min(values, key=_BY_VALUE)),
    "max": _choose(lambda values: max(values, key=_BY_VALUE)),
    "sum": _choose(_sum),
    "mean": _choose(_mean),
    "average": _choose(_mean),
    "floor": _real(math.floor),
    "ceil": _real(math.ceil),
    "log": _real(math.log10),
    "log10": _real(math.log10),
    "log2": _real(math.log2),
    "ln": _real(math.log),
    "exp": _real(math.exp),
    "sin": _real(math.sin),
    "cos": _real(math.cos),
    "tan": _real(math.tan),
}


def _call(name: str, arguments: list[Quantity]) -> Quantity:
    function = FUNCTIONS.get(name)
    if function is None:
        known = ", ".join(sorted(set(FUNCTIONS) - {"percent"}))
        raise ToolError(
            Bilingual(en=f"Unknown function {name!r}; known: {known}.", zh=f"未知函数 {name!r}；可用：{known}。")
        )
    try:
        return function(*arguments)
    except (TypeError, IndexError) as error:
        raise ToolError(
            Bilingual(en=f"{name} takes another number of values.", zh=f"{name} 的参数个数不对。")
        ) from error


def _combined(left: Dimensions, right: Dimensions, sign: int) -> Dimensions:
    powers = dict(left)
    for name, power in right:
        powers[name] = powers.get(name, 0) + sign * power
    return tuple(sorted((name, power) for name, power in powers.items() if power))


def _same_dimensions(left: Quantity, right: Quantity) -> None:
    if left.dimensions != right.dimensions:
        raise ToolError(Bilingual(en="The units do not go together.", zh="单位不一致，无法运算。"))


def _checked(quantity: Quantity) -> Quantity:
    if max(quantity.value.numerator.bit_length(), quantity.value.denominator.bit_length()) > MOST_BITS:
        raise _too_large()
    return quantity


def _too_large() -> ToolError:
    return ToolError(Bilingual(en="The calculation is too large.", zh="算式过大，无法计算。"))


def _not_arithmetic(expression: str) -> ToolError:
    shown = expression.strip()[:80]
    return ToolError(
        Bilingual(
            en=f"Not an arithmetic expression: {shown!r}. Write it like 2 * (3 + 4) or 15% of 240.",
            zh=f"不是算式：{shown!r}。请写成 2 * (3 + 4) 或 240的15% 这样的形式。",
        )
    )
