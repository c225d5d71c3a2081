"""RTF: its text, every font in its own character set. Pictures, objects and fields' instructions are passed over."""

import codecs
import re
from dataclasses import dataclass, replace

from core.types import Page
from ingest.types import Parsed, Source

# A control word with its number, an escaped byte, a control sign, a brace, or plain characters.
_TOKEN = re.compile(r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)")
_DESTINATIONS = (
    "fonttbl colortbl stylesheet info pict object objdata themedata datastore listtable listoverridetable rsidtbl "
    "generator xmlnstbl fldinst header headerl headerr headerf footer footerl footerr footerf filetbl revtbl "
    "latentstyles nonshppict bkmkstart bkmkend shpinst sp mmathPr pgptbl wgrffmtfilter"
)
_SKIPPED = frozenset(_DESTINATIONS.split())
_SIGNS = {
    "par": "\n",
    "sect": "\n",
    "page": "\n",
    "line": "\n",
    "row": "\n",
    "tab": "\t",
    "cell": " | ",
    "emdash": "—",
    "endash": "–",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "emspace": " ",
    "enspace": " ",
}
_ESCAPED_SIGNS = {"~": " ", "_": "-", "-": "", "\n": "\n", "\r": "\n"}
# \fcharsetN of the font table -> Python's name ([RTF 1.9.1], "Font Table").
_CHARSETS = {
    0: "cp1252",
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gb18030",
    136: "big5hkscs",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}
_FONT = re.compile(r"\\f(\d+)(?:(?!\\f\d).)*?\\fcharset(\d+)", re.DOTALL)
_TITLE = re.compile(r"\{\\title\s+(.+?)\}(?=\s*[{}\\])", re.DOTALL)
_MOST_DEPTH = 500


@dataclass(frozen=True)
class _Group:
    """What a brace opens and its partner restores."""

    is_skipped: bool = False
    encoding: str = "cp1252"
    skip_after_unicode: int = 1


def load_rtf(source: Source) -> Parsed:
    """One page of paragraphs."""
    raw = source.data.decode("latin-1")
    # Where the title stands twice, the second time is in Unicode and the first one in question marks.
    titles = _TITLE.findall(raw[:20_000])
    name = rtf_text("{\\rtf1\\ansi" + _code_page(raw) + " " + titles[-1] + "}") if titles else ""
    return Parsed((Page(rtf_text(raw)),), " ".join(name.split()), "application/rtf")


def rtf_text(raw: str) -> str:
    """The text of RTF given as one character per byte. Never raises: what is broken ends a group early."""
    return _Reader(raw).text()


class _Reader:
    """Walks the tokens; bytes are gathered until their run ends, because a character may be two of them."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._fonts = {int(font): _CHARSETS.get(int(charset), "") for font, charset in _FONT.findall(raw[:200_000])}
        page = re.search(r"\d+", _code_page(raw))
        self._default = _known_encoding(f"cp{page.group()}") if page else "cp1252"
        self._group = _Group(encoding=self._default)
        self._stack: list[_Group] = []
        self._out: list[str] = []
        self._bytes = bytearray()
        self._to_skip = 0

    def text(self) -> str:
        """The text; paragraphs are apart by a blank line."""
        for match in _TOKEN.finditer(self._raw):
            word, number, byte, sign, brace, plain = match.groups()
            if word:
                self._word(word, int(number) if number else None)
            elif byte:
                self._byte(int(byte, 16))
            elif sign:
                self._sign(sign)
            elif brace:
                self._brace(brace)
            else:
                self._plain(plain)
        self._flush()
        # Surrogates come one \u at a time; unpaired ones are damage.
        text = "".join(self._out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return re.sub(r"\n+", "\n\n", text).strip()

    def _word(self, word: str, number: int | None) -> None:
        if word == "u" and number is not None:
            self._flush()
            self._put(chr(number & 0xFFFF))
            self._to_skip = self._group.skip_after_unicode
        elif word == "uc":
            self._group = replace(self._group, skip_after_unicode=max(number or 0, 0))
        elif word == "f" and number is not None:
            self._flush()
            self._group = replace(self._group, encoding=self._fonts.get(number) or self._default)
        elif word in _SKIPPED or (word == "bin" and number):
            self._group = replace(self._group, is_skipped=True)
        elif word in _SIGNS:
            self._flush()
            self._put(_SIGNS[word])

    def _sign(self, sign: str) -> None:
        if sign == "*":
            # "Ignore this group if you do not know it": we know none of them.
            self._group = replace(self._group, is_skipped=True)
        else:
            self._flush()
            self._put(_ESCAPED_SIGNS.get(sign, sign if sign in "\\{}" else ""))

    def _byte(self, value: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif not self._group.is_skipped:
            self._bytes.append(value)

    def _plain(self, text: str) -> None:
        skipped, self._to_skip = min(self._to_skip, len(text)), max(self._to_skip - len(text), 0)
        if not self._group.is_skipped:
            # The second byte of a double-byte character may be written as a plain letter.
            self._bytes.extend(text[skipped:].encode("latin-1", "replace"))

    def _brace(self, brace: str) -> None:
        self._flush()
        self._to_skip = 0
        if brace == "{" and len(self._stack) < _MOST_DEPTH:
            self._stack.append(self._group)
        elif brace == "}" and self._stack:
            self._group = self._stack.pop()

    def _flush(self) -> None:
        if self._bytes:
            try:
                self._put(self._bytes.decode(self._group.encoding))
            except UnicodeDecodeError:
                # Fonts lie: a bullet font that calls itself Japanese holds single bytes of the file's own page.
                self._put(self._bytes.decode(self._default, "replace"))
            self._bytes.clear()

    def _put(self, text: str) -> None:
        if not self._group.is_skipped:
            self._out.append(text)


def _code_page(raw: str) -> str:
    match = re.search(r"\\ansicpg\d+", raw[:2_000])
    return match.group() if match else ""


def _known_encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"
