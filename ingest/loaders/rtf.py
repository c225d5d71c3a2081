"""RTF: its text, with the fonts' character sets respected. Pictures and objects in it are not unpacked."""

import re

from striprtf.striprtf import rtf_to_text

from core.types import Page
from ingest import reasons
from ingest.types import Parsed, Source

_TITLE = re.compile(r"\{\\title\s+([^{}\\]+)\}")
# Pictures are megabytes of hexadecimal digits that only slow the reader down.
_PICTURE_DIGITS = re.compile(r"(?:[0-9a-fA-F]{2,}\s*){200,}")


def load_rtf(source: Source) -> Parsed:
    """One page of paragraphs."""
    raw = _PICTURE_DIGITS.sub("", source.data.decode("latin-1"))
    title = _TITLE.search(raw[:20_000])
    return Parsed((Page(rtf_text(raw, source.name)),), title.group(1).strip() if title else "", "application/rtf")


def rtf_text(raw: str, name: str) -> str:
    """The text of RTF given as one character per byte. Raises DocumentDamagedError where it cannot be read."""
    try:
        text: str = rtf_to_text(raw, encoding="cp1252", errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, IndexError, KeyError, LookupError, RecursionError, TypeError) as error:
        raise reasons.damaged(name, str(error)) from error
    return text.replace("\n", "\n\n")
