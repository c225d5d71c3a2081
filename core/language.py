"""Which language a text is in, where its sentences end, and strings that exist in both languages."""

import re
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_HAN = re.compile(f"[{HAN}]")
_KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_LETTER = re.compile(r"[^\W\d_]")
# A sentence ends at CJK punctuation at once, at Latin punctuation only before white space, and at a blank line.
_SENTENCE_END = re.compile(r"[。！？；]+[”’」』）】]*|[.!?]+[\"'”’)\]]*(?=\s|$)|\n\s*\n|\n(?=\s*(?:[-*+#|]|\d+[.)]))")


@dataclass(frozen=True)
class Bilingual:
    """A string that a user sees, in English and in Chinese. Both parts are required."""

    en: str
    zh: str

    def in_(self, language: str) -> str:
        """Return the Chinese text for any tag that begins with `zh`, else the English one."""
        return self.zh if language.lower().startswith("zh") else self.en


def han_share(text: str) -> float:
    """Return the share of Han characters among the letters of `text`, from 0 to 1 (0 where there is no letter)."""
    letters = len(_LETTER.findall(text))
    return len(_HAN.findall(text)) / letters if letters else 0.0


def language_of(text: str) -> Language:
    """Return `zh` where a fifth of the letters or more are Han and few kana or hangul stand beside them, else `en`.

    A Han character carries about as much as a Latin word, hence the low share.
    """
    if len(_KANA_OR_HANGUL.findall(text)) > len(_HAN.findall(text)) * 0.1:
        return "en"
    return "zh" if han_share(text) >= 0.2 else "en"


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the character spans (start, end) of the sentences of `text`, in order, white space trimmed, none empty."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        _append_trimmed(spans, text, start, match.end())
        start = match.end()
    _append_trimmed(spans, text, start, len(text))
    return spans


def _append_trimmed(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    left = start + len(piece) - len(piece.lstrip())
    right = start + len(piece.rstrip())
    if left < right:
        spans.append((left, right))
