"""Markdown, reStructuredText, subtitles, source code and plain text."""

import re

from core.types import Page
from ingest import reasons
from ingest.loaders.encoding import Decoded, decode
from ingest.types import Parsed, Source, Structure

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(title|description|date|lang|language|author)\s*:\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_FIRST_HEADING = re.compile(r"^#{1,2}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_RST_ADORNMENT = re.compile(r"^([=\-~^\"'`#*+.:_])\1{2,}$")
_CUE_TIMES = re.compile(r"^(?:\d+:)?\d{1,2}:\d{2}[.,]\d{3}\s*-->.*$")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>|\{\\[^}]*\}")
_TITLE_LINE = re.compile(r"\s*([^\n]{2,80}[^\n.!?。！？,，;；\s])[ \t]*\n[ \t]*\n")
_HEADING_ANCHOR = re.compile(r"\s*\{#[^}]*\}\s*$")


def load_markdown(source: Source) -> Parsed:
    """Markdown stays as it is, but for the front matter, which becomes metadata."""
    decoded = _readable(source)
    text, fields = _without_front_matter(decoded.text)
    if not text.strip():
        # An index page: all that it says stands in the front matter.
        text = "\n\n".join(filter(None, (fields.get("title"), fields.get("description"))))
    first = _FIRST_HEADING.search(text)
    title = fields.pop("title", "") or (_HEADING_ANCHOR.sub("", first.group(1)) if first else "")
    return _parsed(text, decoded, "text/markdown", "markdown", title, fields)


def load_text(source: Source) -> Parsed:
    """Plain text, in any encoding. A short first line that stands alone is the title."""
    decoded = _readable(source)
    first = _TITLE_LINE.match(decoded.text)
    return _parsed(decoded.text, decoded, "text/plain", "plain", first.group(1).strip() if first else "")


def load_code(source: Source) -> Parsed:
    """Source code and configuration: cut at lines, never re-flowed."""
    decoded = _readable(source)
    return _parsed(decoded.text, decoded, "text/x-code", "code", source.name.rsplit("/", 1)[-1])


def load_rst(source: Source) -> Parsed:
    """Under- and overlined titles of reStructuredText become `#` headings, levels in the order they appear."""
    decoded = _readable(source)
    lines = decoded.text.split("\n")
    levels: list[str] = []
    out: list[str] = []
    for line in lines:
        title = out[-1].strip() if out else ""
        if title and _RST_ADORNMENT.match(line.strip()) and len(line.strip()) >= len(title) and title != line.strip():
            sign = line.strip()[0]
            if sign not in levels:
                levels.append(sign)
            out[-1] = "#" * min(levels.index(sign) + 1, 6) + " " + title
            # The overline, written before the title was known.
            if len(out) > 1 and out[-2].strip() == line.strip():
                del out[-2]
        else:
            out.append(line)
    text = "\n".join(out)
    first = _FIRST_HEADING.search(text)
    return _parsed(text, decoded, "text/x-rst", "markdown", first.group(1) if first else "")


def load_subtitles(source: Source) -> Parsed:
    """SRT and WebVTT: what is said, without numbers, times and tags."""
    decoded = _readable(source)
    blocks = re.split(r"\n\s*\n", decoded.text)
    spoken = [_spoken(block) for block in blocks if not block.startswith(("WEBVTT", "NOTE", "STYLE", "REGION"))]
    return _parsed("\n".join(line for line in spoken if line), decoded, "text/x-subtitles", "plain")


def _spoken(block: str) -> str:
    lines = block.strip().split("\n")
    times = next((place for place, line in enumerate(lines) if _CUE_TIMES.match(line.strip())), None)
    said = lines if times is None else lines[times + 1 :]
    return " ".join(_TAG.sub("", line).strip() for line in said).strip()


def _readable(source: Source) -> Decoded:
    """Decode, refuse what is no text at all, and unify line ends."""
    decoded = decode(source.data)
    sample = decoded.text[:20_000]
    strange = sum((char < " " and char not in "\t\n\r\f\x1b") or char == "\ufffd" for char in sample)
    if strange > max(4, len(sample) * 0.1):
        raise reasons.unsupported(source.name, "binary")
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n")
    return Decoded(text, decoded.encoding, decoded.guessed, decoded.damaged)


def _without_front_matter(text: str) -> tuple[str, dict[str, str]]:
    match = _FRONT_MATTER.match(text)
    if match is None:
        return text, {}
    fields = {name.lower(): value.strip("\"'") for name, value in _FIELD.findall(match.group(1))}
    return text[match.end() :].lstrip("\n"), fields


def _parsed(
    text: str,
    decoded: Decoded,
    media_type: str,
    structure: Structure,
    title: str = "",
    fields: dict[str, str] | None = None,
) -> Parsed:
    metadata = {"encoding": decoded.encoding, "encoding_guessed": decoded.guessed, **(fields or {})}
    return Parsed((Page(text),), title, media_type, structure, metadata)
