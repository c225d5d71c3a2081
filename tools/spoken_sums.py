"""Sums as people say them made expressions: percentages, number words, several units, temperatures, shares."""

import re
from fractions import Fraction

from core.language import HAN
from tools.units import UNITS

_HAN_NUMBER = r"[零〇一二两三四五六七八九十百千万亿点]+"
_HAN_DIGITS = {sign: number for number, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_HAN_TENS = {"十": 10, "百": 100, "千": 1000}
_HAN_SCALES = {"万": 10**4, "亿": 10**8}
_WORDS = (
    (r"²", "2"),
    (r"³", "3"),
    (r"×|✕|⋅|·|乘以|乘|\btimes\b|\bmultiplied by\b", "*"),
    (r"÷|除以|\bdivided by\b|\bover\b", "/"),
    (r"−|–|减去|减|\bminus\b", "-"),
    (r"加上|加|\bplus\b", "+"),
    (r"\^|\bto the power of\b", "**"),
    (r"\bmod(?:ulo)?\b", " % "),
    (r"（", "("),
    (r"）", ")"),
    (r"百分之\s*(\d+(?:\.\d+)?)", r"\1%"),
    (r"\b(?:percent|per cent)\b", "%"),
    (r"(\d+(?:\.\d+)?)\s*的\s*平方根", r"sqrt(\1)"),
    (r"√\s*(\d+(?:\.\d+)?)", r"sqrt(\1)"),
    (r"√", "sqrt"),
    (r"\bsquare root of (\d+(?:\.\d+)?)", r"sqrt(\1)"),
    (r"(\d+(?:\.\d+)?)\s*的\s*平方", r"\1**2"),
    (r"(\d+)\s*!(?!=)", r"factorial(\1)"),
    (r"\b(?:one |a )?half (?:of )?(?=[\d(])", "0.5*"),
    (r"\b(?:one |a )?third of (?=[\d(])", "1/3*"),
    (r"\b(?:one |a )?quarter of (?=[\d(])", "0.25*"),
    (r"\b(?:double|twice) (?=[\d(])", "2*"),
    (r"的一半", "*0.5"),
    (r"\b(?:square|sq\.?) (?:meters?|metres?)\b", "m2"),
    (r"\b(?:square|sq\.?) (?:kilometers?|kilometres?)\b", "km2"),
    (r"\b(?:square|sq\.?) (?:feet|foot|ft)\b", "ft2"),
    (r"\b(?:square|sq\.?) miles?\b", "mi2"),
    (r"\bcubic (?:meters?|metres?)\b", "m3"),
    (r"\b(?:miles|mi) (?:per|an) hour\b", "mph"),
    (r"\b(?:kilometers|kilometres|km) (?:per|an) hour\b", "kmh"),
    (r"\b(?:meters|metres|m) per second\b", "mps"),
    (r"的|\bof\b", "*"),
    (r"[$€£¥￥]|美元|人民币|欧元|元|\b(?:dollars?|euros?|yuan)\b", ""),
)
_GROUPED = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%(?!\s*[\d(])")
_UNIT_AFTER_NUMBER = re.compile(rf"(\d+(?:\.\d+)?)\s*([A-Za-z{HAN}]+[23]?)")
_PRODUCT = r"\(\d+(?:\.\d+)?\*[^\s()*]+\)"
_SEVERAL_UNITS = re.compile(rf"{_PRODUCT}(?:\s*(?:and\s+)?{_PRODUCT})+")
_HAN_AMOUNT = re.compile(rf"(?<![\d.{HAN}]){_HAN_NUMBER}(?=[加减乘除的])|(?<=[加减乘除上去以的之]){_HAN_NUMBER}")
_NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)"
_SHARES = (
    re.compile(rf"^(?:what )?percent(?:age)? (?:is|are) {_NUMBER} (?:out )?of (?P<whole>{_NUMBER})$", re.IGNORECASE),
    re.compile(rf"^{_NUMBER} (?:is|are) what percent(?:age)? of (?P<whole>{_NUMBER})$", re.IGNORECASE),
    re.compile(rf"^{_NUMBER} as a percent(?:age)? of (?P<whole>{_NUMBER})$", re.IGNORECASE),
    re.compile(rf"^{_NUMBER}\s*(?:占|是)\s*(?P<whole>{_NUMBER})\s*的\s*(?:百分之几|百分之多少|百分比)$"),
)
_SCALES = {
    "c": "C", "celsius": "C", "摄氏度": "C", "摄氏": "C",
    "f": "F", "fahrenheit": "F", "华氏度": "F", "华氏": "F",
    "k": "K", "kelvin": "K", "kelvins": "K", "开尔文": "K", "开": "K",
}  # fmt: skip
_SCALE = r"(?:°|degrees? |℃|℉)?\s*(" + "|".join(sorted(_SCALES, key=len, reverse=True)) + ")"
_TEMPERATURE = re.compile(
    rf"^{_NUMBER}\s*{_SCALE}\s*(?:\bto\b|\bin\b|\binto\b|\bas\b|换算成|换算为|转换为|转换成|等于多少|是多少)\s*{_SCALE}$",
    re.IGNORECASE,
)
# Kelvin = (value + offset) * factor.
_TO_KELVIN = {
    "C": (Fraction(27315, 100), Fraction(1)),
    "F": (Fraction(45967, 100), Fraction(5, 9)),
    "K": (Fraction(0), Fraction(1)),
}


def python_expression(text: str) -> str:
    """Rewrite what a person writes as a Python expression (which is parsed, never evaluated by Python)."""
    text = _HAN_AMOUNT.sub(lambda match: str(_han_number(match[0])), text)
    text = _GROUPED.sub(lambda match: match[0].replace(",", ""), text)
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    text = _PERCENT.sub(r"percent(\1)", text)
    text = _UNIT_AFTER_NUMBER.sub(_multiplied, text)
    return _SEVERAL_UNITS.sub(lambda match: "(" + " + ".join(re.findall(_PRODUCT, match[0])) + ")", text)


def share_asked(text: str) -> Fraction | None:
    """In per cent, what one number is of another, where the text asks for just that. Raises ZeroDivisionError."""
    match = next((found for pattern in _SHARES if (found := pattern.match(text.strip()))), None)
    return None if match is None else 100 * _plain(match[1]) / _plain(match["whole"])


def temperature_asked(text: str) -> tuple[Fraction, str] | None:
    """The temperature in the scale that the text asks for, exactly, and the name of that scale (C, F or K)."""
    match = _TEMPERATURE.match(text.strip().replace("℃", "°C").replace("℉", "°F"))
    if match is None:
        return None
    offset, factor = _TO_KELVIN[_SCALES[match[2].lower()]]
    wanted = _SCALES[match[3].lower()]
    to_offset, to_factor = _TO_KELVIN[wanted]
    return (_plain(match[1]) + offset) * factor / to_factor - to_offset, wanted


def _multiplied(match: re.Match[str]) -> str:
    number, word = match.groups()
    # 1e5 is a number; 5km is a product.
    return f"({number}*{word})" if word in UNITS else match[0]


def _plain(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))


def _han_number(text: str) -> Fraction | int:
    """`三百二十` is 320, `两万五千` 25,000, `三点五` 3.5."""
    whole, _, decimals = text.partition("点")
    places = "".join(str(_HAN_DIGITS.get(sign, 0)) for sign in decimals)
    total = section = digit = 0
    for sign in whole:
        if sign in _HAN_DIGITS:
            digit = _HAN_DIGITS[sign]
        elif sign in _HAN_TENS:
            section, digit = section + (digit or 1) * _HAN_TENS[sign], 0
        else:
            total, section, digit = (total + section + digit) * _HAN_SCALES[sign], 0, 0
    number = total + section + digit
    return Fraction(f"{number}.{places}") if places else number
