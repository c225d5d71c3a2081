"""How legible the text of a page is."""

import re
import unicodedata

# Signs of a font without a Unicode map: replacement characters, private use, C1 controls, (cid:12).
_GARBLED = re.compile(r"[\ufffd\ue000-\uf8ff\U000f0000-\U0010fffd\x80-\x9f]|\(cid:\d+\)")
GARBLED_FROM = 0.08


def garbled_share(text: str) -> float:
    """The share of characters that no reader can make sense of, 0 to 1; 0 for a text without characters."""
    visible = len("".join(text.split()))
    if not visible:
        return 0.0
    lost = len(_GARBLED.findall(text)) + sum(_is_out_of_place(char) for char in text)
    return min(lost / visible, 1.0)


def is_garbled(text: str) -> bool:
    """Whether another way of reading the page should be tried."""
    return garbled_share(text) >= GARBLED_FROM


def _is_out_of_place(char: str) -> bool:
    return (char < " " and char not in "\t\n\r\f") or unicodedata.category(char) == "Cn"
