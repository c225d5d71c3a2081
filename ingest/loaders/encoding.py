"""From bytes to text: byte order marks, UTF without marks, what the file declares, then a guess that is recorded."""

import codecs
import re
from dataclasses import dataclass

# The longer mark first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What is declared under the small name is in practice written in the larger set (WHATWG Encoding Standard).
_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "hz",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.\-]+)""", re.IGNORECASE)
_ISO_2022 = ((b"\x1b$)C", "iso2022_kr"), (b"\x1b$B", "iso2022_jp_2"), (b"\x1b$@", "iso2022_jp_2"))
SAMPLE_BYTES = 64 * 1024
_SHORT = 200
_WESTERN = frozenset("äöüßÄÖÜéèêëàâçîïôùûúíóáñÑÉÈÀÇåÅæÆøØìòãõ€£§°«»–—‘’“”„…·²³½©®\xa0")


@dataclass(frozen=True)
class Decoded:
    """`text` without a byte order mark; `encoding` is Python's name; `guessed` where nothing in the file said it."""

    text: str
    encoding: str
    guessed: bool = False
    damaged: int = 0


def decode(data: bytes, declared: str = "") -> Decoded:
    """Decode any text file. Never raises: bytes that fit no encoding become U+FFFD, counted in `damaged`.

    Order: byte order mark; UTF-8 that is valid to the last byte; ISO 2022 escapes; UTF-16/32 by the places of zero
    bytes; the charset that the file or its envelope declares; statistics.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _lenient(data, encoding)
    certain = _valid_utf8(data) or _by_escapes(data) or _by_zero_bytes(data)
    if certain is not None:
        return certain
    for name in (declared, _declared_in(data)):
        found = _strict(data, _canonical(name)) if name else None
        if found is not None:
            return found
    return _guess(data)


def _valid_utf8(data: bytes) -> Decoded | None:
    if b"\x00" in data[:SAMPLE_BYTES] or any(mark in data for mark, _ in _ISO_2022):
        return None
    return _strict(data, "utf-8")


def _by_escapes(data: bytes) -> Decoded | None:
    for mark, encoding in _ISO_2022:
        if mark in data:
            return _strict(data, encoding)
    return None


def _by_zero_bytes(data: bytes) -> Decoded | None:
    """Latin text in UTF-16 or UTF-32 has its zeros at fixed places; CJK text in UTF-16 is left to the guess."""
    sample = data[: SAMPLE_BYTES - SAMPLE_BYTES % 4]
    if b"\x00" not in sample:
        return None
    quarter = max(len(sample) // 4, 1)
    zeros = [sample[place::4].count(0) / quarter for place in range(4)]
    if (min(zeros[1:]) > 0.6 and zeros[0] < 0.2) or min(zeros[2:]) > 0.95:
        return _strict(data, "utf-32-le")
    if (min(zeros[:3]) > 0.6 and zeros[3] < 0.2) or min(zeros[:2]) > 0.95:
        return _strict(data, "utf-32-be")
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if abs(even - odd) < 0.2:
        return None
    return _strict(data, "utf-16-le" if odd > even else "utf-16-be")


def _declared_in(data: bytes) -> str:
    match = _DECLARED.search(data[:4096])
    return match.group(1).decode("ascii", "replace") if match else ""


def _canonical(name: str) -> str:
    """Python's name of an encoding, widened to the set that is really used; empty where nobody knows the name."""
    cleaned = name.strip().lower().replace("ks_c_5601-1987", "euc_kr").replace("x-sjis", "shift_jis")
    try:
        python_name = codecs.lookup(cleaned).name
    except (LookupError, ValueError):
        return ""
    # A file that we could read the word "charset" in is not UTF-16, whatever it says.
    return "" if python_name.startswith(("utf-16", "utf-32", "cp42")) else _SUPERSETS.get(python_name, python_name)


def _strict(data: bytes, encoding: str) -> Decoded | None:
    try:
        text = data.decode(encoding) if encoding else None
    except (UnicodeError, LookupError, ValueError):
        return None
    if text is None or _looks_binary(text):
        return None
    return Decoded(text=text.lstrip("\ufeff"), encoding=encoding)


def _looks_binary(text: str) -> bool:
    """C1 controls are not text: cp125x files read as ISO 8859 show them."""
    sample = text[:4096]
    return sum("\x80" <= char <= "\x9f" for char in sample) > max(2, len(sample) * 0.01)


def _guess(data: bytes) -> Decoded:
    """charset-normalizer reads long texts well; on short ones two checks of ours know better."""
    from charset_normalizer import from_bytes

    sample = data[:SAMPLE_BYTES]
    best = from_bytes(sample).best()
    encoding = _canonical(best.encoding) if best is not None else ""
    if len(sample) < _SHORT and _mostly_common_hanzi(sample):
        encoding = "gb18030"
    elif (len(sample) < _SHORT or not encoding) and _only_western_letters(sample):
        encoding = "cp1252"
    return _lenient(data, encoding or "cp1252", guessed=True)


def _mostly_common_hanzi(sample: bytes) -> bool:
    """GB 2312 keeps its common characters in rows B0..D7, EUC-KR its Hangul in B0..C8; others seldom stay inside."""
    high = len(re.findall(rb"[\x80-\xff]", sample))
    common = 2 * len(re.findall(rb"[\xb0-\xd7][\xa1-\xfe]|[\xa1\xa3][\xa1-\xfe]", sample))
    beyond_hangul = 2 * len(re.findall(rb"[\xc9-\xd7][\xa1-\xfe]", sample))
    return high >= 4 and common >= 0.95 * high and beyond_hangul >= 0.2 * high


def _only_western_letters(sample: bytes) -> bool:
    """A few accents among plain letters; Greek, Cyrillic or Arabic would be accents nearly throughout."""
    high = [char for char in sample.decode("cp1252", errors="replace") if char >= "\x80"]
    return len(high) <= 0.4 * len(sample) and all(char in _WESTERN for char in high)


def _lenient(data: bytes, encoding: str, guessed: bool = False) -> Decoded:
    text = data.decode(encoding, errors="replace").lstrip("\ufeff")
    return Decoded(text=text, encoding=encoding, guessed=guessed, damaged=text.count("\ufffd"))
