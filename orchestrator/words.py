"""What checks and extracts compare: content words, numbers, names and quotations of English and Chinese text."""

import re
import unicodedata

from core.language import HAN

_WORD = re.compile(r"[A-Za-z0-9]+(?:[.,'’-][A-Za-z0-9]+)*|[^\W\d_A-Za-z]+")
_HAN_RUN = re.compile(f"[{HAN}]+")
_NUMBER = re.compile(r"\d+(?:[,\u00a0 ]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_NAME = re.compile(r"\b[A-Z][\w'’-]*\w")
_QUOTED = re.compile(r"[\"“”「『《〈]([^\"“”「」『』《》〈〉]{2,80})[\"”“」』》〉]")
_CHINESE_NUMBER = re.compile(r"[零〇一二三四五六七八九十百千万两]{2,}")

_STOP_WORDS = """
a about after all also an and any are as at be because been before being both but by can could did do does during each
for from had has have having he her here hers him his how i if in into is it its just may me might more most much must
my no nor not of on once only or other our out over own same she should so some such than that the their them then
there these they this those through to too under until up very was we were what when where which while who whom whose
why will with would you your
"""
_STOP_PAIRS = "什么 哪些 哪个 哪里 多少 怎么 如何 为何 是谁 的是 是什 么时 时候 请问 一个 以及 可以 因为 所以"
_ENGLISH_TO_20 = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty
"""
_ENGLISH_TENS = "thirty forty fifty sixty seventy eighty ninety"

STOP_WORDS = frozenset(_STOP_WORDS.split())
_STOP_BIGRAMS = frozenset(_STOP_PAIRS.split())
_ENGLISH_NUMBERS = {word: str(value) for value, word in enumerate(_ENGLISH_TO_20.split())} | {
    word: str(30 + 10 * place) for place, word in enumerate(_ENGLISH_TENS.split())
}
_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}


def normal(text: str) -> str:
    """Return `text` with full-width letters and digits made plain."""
    return unicodedata.normalize("NFKC", text)


def terms(text: str) -> list[str]:
    """Return the content terms in order: stemmed Latin words without stop words, bigrams of Han runs."""
    found: list[str] = []
    for match in _WORD.finditer(normal(text)):
        word = match.group()
        if _HAN_RUN.match(word):
            found.extend(bigrams(word))
        elif word.lower() not in STOP_WORDS:
            found.append(stem(word.lower()))
    return found


def bigrams(run: str) -> list[str]:
    """Return the overlapping pairs of characters; a run of one character stands for itself."""
    if len(run) < 2:
        return [run]
    pairs = (run[index : index + 2] for index in range(len(run) - 1))
    return [pair for pair in pairs if pair not in _STOP_BIGRAMS]


def stem(word: str) -> str:
    """Strip the commonest English endings: enough for two forms of a word to meet, no more."""
    word = re.sub(r"['’]s?$", "", word)
    for ending, least in (("ies", 5), ("ing", 6), ("ed", 5), ("es", 5), ("ly", 6), ("s", 4)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def numbers(text: str) -> set[str]:
    """Return the numbers of `text` as plain digits: `1,250` is 1250, `twelve` and `十二` are 12."""
    text = normal(text)
    found = {_plain_number(match.group()) for match in _NUMBER.finditer(text)}
    found |= {_ENGLISH_NUMBERS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _ENGLISH_NUMBERS}
    return found | {_chinese_value(match.group()) for match in _CHINESE_NUMBER.finditer(text)}


def names(sentence: str) -> set[str]:
    """Return the capitalised words of an English sentence in lower case, its first word aside."""
    found = [match for match in _NAME.finditer(sentence) if match.start() > 0]
    return {re.sub(r"['’]s$", "", match.group()).lower() for match in found} - STOP_WORDS


def quotations(text: str) -> list[str]:
    """Return what stands between quotation marks or the marks of a title."""
    return [match.group(1).strip() for match in _QUOTED.finditer(text)]


def squeezed(text: str) -> str:
    """Return `text` in lower case with letters and digits only: for finding words whatever the spacing."""
    return "".join(character for character in normal(text).lower() if character.isalnum())


def _plain_number(text: str) -> str:
    text = re.sub(r"[,\u00a0 ]", "", text)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.lstrip("0") or "0"


def _chinese_value(text: str) -> str:
    """Value of a Chinese numeral; one without units (`二〇一九`) is read digit by digit."""
    if not any(character in _UNITS or character == "万" for character in text):
        return "".join(str(_DIGITS[character]) for character in text).lstrip("0") or "0"
    total, section, digit = 0, 0, 0
    for character in text:
        if character == "万":
            total, section, digit = (total + section + digit) * 10_000, 0, 0
        elif character in _UNITS:
            section, digit = section + (digit or 1) * _UNITS[character], 0
        else:
            digit = _DIGITS[character]
    return str(total + section + digit)
