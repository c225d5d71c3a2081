"""How near a question is to what a function is for: by the encoder, by shared characters where that knows no Chinese.

The bundled one does not: a question in Chinese is as near to one description as to the next.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.language import han_share
from inference.candidates import FUNCTION_WORDS, is_akin, words_of
from retrieval.protocol import Embedder

CHINESE = 0.2
# Added to the cosine where a question uses every word of a function's name (measured: evaluation/DECISIONS.md).
NAME_WEIGHT = 0.10
# Brings shared characters to the scale of the others: what balances calls made and calls left out on
# glaive_toolcall_zh (0.9 shared characters by the root of the description's length) comes to 0.42.
TO_COSINE = 0.42 / 0.9
MOST_KNOWN = 512
# Signs that stand in every question and tell nothing of what it is about.
_COMMON = frozenset("的了吗呢我你您他它是在有和与个一这那请能可以帮助想要需并从到为对给把")


class Descriptions:
    """The vectors of functions' descriptions, which questions share; at most MOST_KNOWN are remembered."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._known: dict[str, NDArray[np.float32]] = {}

    def vectors(self, functions: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """float32 (functions, dimension)."""
        texts = [spoken(function) for function in functions]
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self.embedder.embed_documents(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def likeness(
    descriptions: Descriptions, texts: Sequence[str], functions: Sequence[Mapping[str, Any]]
) -> NDArray[np.float32]:
    """float32 (texts, functions), higher is nearer; the same threshold holds for both ways."""
    embedder = descriptions.embedder
    # A part may be the whole question.
    vectors = {text: embedder.embed_query(text) for text in dict.fromkeys(texts)}
    asked = np.stack([vectors[text] for text in texts])
    described = descriptions.vectors(functions)
    named = np.array([[share_of_name(text, function["name"]) for function in functions] for text in texts])
    scores: NDArray[np.float32] = (asked @ described.T + NAME_WEIGHT * named).astype(np.float32)
    if "zh" in embedder.languages:
        return scores
    for row, text in enumerate(texts):
        for column, function in enumerate(functions):
            if han_share(text) >= CHINESE and han_share(str(function["description"])) >= CHINESE:
                scores[row, column] = by_characters(text, function)
    return scores


def share_of_name(text: str, name: str) -> float:
    """The share (0..1) of the words of a function's name that a text uses, in one of their forms."""
    words = [word for word in words_of(name) if len(word) > 2 and word not in FUNCTION_WORDS]
    used = set(re.findall(r"[a-z]+", text.lower()))
    found = sum(any(is_akin(word, other) for other in used) for word in words)
    return found / len(words) if words else 0.0


def by_characters(text: str, function: Mapping[str, Any]) -> float:
    """Shared telling characters and Latin words, 0..1; arguments' descriptions count, the length of their own not."""
    arguments = function["parameters"].get("properties", {}).values()
    told = " ".join([str(function["description"]), *(str(item.get("description", "")) for item in arguments)])
    shared = len(_telling(text) & _telling(told))
    return min(1.0, TO_COSINE * shared / math.sqrt(max(1, len(_telling(str(function["description"]))))))


def spoken(function: Mapping[str, Any]) -> str:
    """A function as a sentence: its name in words, and what it says of itself."""
    name = re.sub(r"[_.]", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", function["name"]))
    return f"{name}: {function['description']}"


def _telling(text: str) -> set[str]:
    signs = set(re.findall(r"[\u4e00-\u9fff]", text)) - _COMMON
    return signs | set(re.findall(r"[a-z]{2,}", text.lower()))
