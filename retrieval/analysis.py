"""From text to the terms of the keyword index: English stems, Chinese pairs of characters, identifiers kept whole.

One analyser for all languages, applied alike to passages and questions. A run of Han characters becomes its
overlapping pairs (and its single characters, in a field of their own weight); a Latin word its stem; something like
`cmake_minimum_required`, `v1.2.3` or `ISO-9001` both its whole self and its parts.
"""

import re
import unicodedata
from functools import lru_cache

import tantivy

from core.language import HAN

# Part of an index's manifest: one that was made by other rules is made again.
ANALYSIS_VERSION = 1
_KANA = r"\u3040-\u30ff"
_TOKEN = re.compile(rf"[{HAN}{_KANA}]+|[^\W{HAN}{_KANA}]+(?:[.\-_/'’:+#@&][^\W{HAN}{_KANA}]+)*[+#]{{0,2}}")
_CJK = re.compile(rf"[{HAN}{_KANA}]")
_PARTS = re.compile(r"[^\W_]+")
_CONTRACTED = re.compile(r"['’](?:s|t|re|ve|ll|d|m)$")
_QUOTED = re.compile(r"[\"“「『]([^\"”」』]{2,})[\"”」』]")
STOP_WORDS = frozenset(
    _PARTS.findall(
        "a an and are as at be been but by did do does for from had has have he her his how i if in into is it its me "
        "my no not of on or our she so such that the their them then there these they this to was we were what when "
        "where which who whom whose why will with would you your"
    )
)


def terms(text: str) -> list[str]:
    """The terms of `text` in order, with repetitions; stop words are left out."""
    found: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text).lower()):
        if _CJK.match(token):
            found.extend(_pairs(token))
        else:
            found.extend(_word_terms(token))
    return found


def letters(text: str) -> list[str]:
    """The single Han or kana characters of `text`, in order; they find what pairs miss across word borders."""
    return _CJK.findall(unicodedata.normalize("NFKC", text))


def quoted_phrases(text: str) -> list[str]:
    """What stands in quotation marks, English or Chinese."""
    return [phrase.strip() for phrase in _QUOTED.findall(text) if phrase.strip()]


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)] if len(run) > 1 else [run]


@lru_cache(maxsize=200_000)
def _word_terms(token: str) -> tuple[str, ...]:
    plain = _CONTRACTED.sub("", token)
    parts = _PARTS.findall(plain)
    kept = [_stem(part) for part in parts if part not in STOP_WORDS]
    # An identifier is found as a whole and by its parts; C++ and C# are words of their own.
    return (*kept, plain) if len(parts) > 1 or plain[-1:] in "+#" else tuple(kept)


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    stems = _stemmer().analyze(word)
    return stems[0] if stems else word


@lru_cache(maxsize=1)
def _stemmer() -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw())
    return builder.filter(tantivy.Filter.stemmer("english")).build()
