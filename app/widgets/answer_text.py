"""An answer's Markdown as HTML that is safe to show: no raw HTML, no image, no link; citations become chips.

The text comes from a model that may repeat whatever stands in a document, so nothing in it may load or lead anywhere.
"""

import html
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from core.language import HAN

# Private-use characters stand for the borders of a doubted sentence while Markdown is parsed.
_OPEN, _CLOSE = "\ue000", "\ue001"
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_HEADING = re.compile(r"(?m)^(#{1,6} )(\S.*)$")
_WIDE = f"{HAN}\u3000-\u303f\uff00-\uffef"
_BLANK = re.compile(rf"(?<=[{_WIDE}]) (?=\[\d{{1,2}}\])|(?<=\d\]) (?=[{HAN}])")
_CITATION = re.compile(r"\[(\d{1,2})\]")
_CODE = re.compile(r"`([^`]+)`")


def answer_html(
    text: str, answer_id: str = "", cited: Sequence[int] = (), doubted: Sequence[tuple[int, int]] = ()
) -> str:
    """HTML of an answer. Numbers in `cited` become chips; spans in `doubted` (offsets in `text`) are underlined."""
    rendered = str(_parser().render(_mark(text, doubted), _environment(answer_id, cited)))
    rendered = rendered.replace(_OPEN, '<span class="ff-doubted">').replace(_CLOSE, "</span>")
    return f'<div class="ff-answer">{rendered}</div>'


def quoted_html(text: str, answer_id: str = "", cited: Sequence[int] = ()) -> str:
    """HTML of sentences taken from documents: their Markdown signs are text, and signs of headings are left out."""
    plain = re.sub(r"(?m)^#{1,6} ", "", text)
    rendered = str(_plain_parser().render(plain, _environment(answer_id, cited)))
    return f'<div class="ff-answer">{rendered}</div>'


def marked_passage_html(text: str, start: int, end: int) -> str:
    """A passage as escaped text with the characters from `start` to `end` marked; an empty span marks nothing."""
    before, marked, after = (passage_html(part) for part in (text[:start], text[start:end], text[end:]))
    mark = f"<mark>{marked}</mark>" if marked.strip() else marked
    return f'<div class="ff-passage">{before}{mark}{after}</div>'


def passage_html(text: str) -> str:
    """Text of a document, escaped and to the letter; lines that are headings look like headings."""
    return _HEADING.sub(r'<span class="ff-sign">\1</span><strong>\2</strong>', html.escape(text))


def plain_label(text: str, longest: int = 60) -> str:
    """Untrusted text for a widget's label: Markdown signs escaped, one line, cut at `longest` characters."""
    return _escaped(_one_line(text, longest))


def message_label(text: str, longest: int = 400) -> str:
    """A message of ours, which may repeat untrusted text: as `plain_label`, but what stands in backticks is code."""
    parts = _CODE.split(_one_line(text, longest))
    return "".join(f"`{part}`" if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _one_line(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$:-])", r"\\\1", text)


def _environment(answer_id: str, cited: Sequence[int]) -> dict[str, Any]:
    return {"answer": answer_id, "cited": frozenset(cited)}


def _mark(text: str, doubted: Sequence[tuple[int, int]]) -> str:
    text = _PRIVATE.sub("\ufffd", text)
    for start, end in sorted(doubted, reverse=True):
        # A span over several blocks could not be one HTML element.
        if "\n" not in text[start:end]:
            text = f"{text[:start]}{_OPEN}{text[start:end]}{_CLOSE}{text[end:]}"
    return text


@cache
def _parser() -> MarkdownIt:
    parser = (
        MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable(["reference", "autolink"])
    )
    for name, rule in (("link_open", _nothing), ("link_close", _nothing), ("image", _alt), ("text", _text)):
        parser.add_render_rule(name, rule)
    return parser


@cache
def _plain_parser() -> MarkdownIt:
    parser = MarkdownIt("zero", {"html": False, "breaks": True}).enable("newline")
    parser.add_render_rule("text", _text)
    return parser


def _nothing(_self: Any, _tokens: Sequence[Token], _index: int, _options: Any, _env: Any) -> str:
    return ""


def _alt(_self: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    return html.escape(tokens[index].content)


def _text(_self: Any, tokens: Sequence[Token], index: int, _options: Any, env: Any) -> str:
    def chip(match: re.Match[str]) -> str:
        number = int(match[1])
        if number not in env["cited"]:
            return match[0]
        # `data-cite` is read by the click listener; without it the chip is still a readable number.
        return f'<button class="ff-cite" data-cite="{html.escape(env["answer"])}:{number}">{number}</button>'

    # The chips carry their own distance; between Chinese signs a blank would be one too many.
    return _CITATION.sub(chip, _BLANK.sub("", html.escape(tokens[index].content)))
