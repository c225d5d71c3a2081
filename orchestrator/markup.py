"""Takes the teeth out of markup in an answer: no image is loaded, no foreign link is clickable, no HTML is HTML.

What a document or a model wrote may carry a question's words away in the address of an image (the EchoLeak kind of
leak), so addresses are shown as text that nothing turns into a link.
"""

import re

_IMAGE = re.compile(r"!\[([^\]\n]*)\](?:\([^)\n]*\)?|\[[^\]\n]*\])")
_LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\(\s*<?([^)\n]*)\)?")
_DEFINITION = re.compile(r"^\s{0,3}\[[^\]\n]+\]:\s*\S+.*$", re.MULTILINE)
_TAG = re.compile(r"</?[A-Za-z][^>\n]*>?|<!--.*?(?:-->|$)", re.DOTALL)
_ADDRESS = re.compile(
    r"\b(?:(?:https?|ftp|file)://|(?:javascript|vbscript):|data:[a-z]+/|www\.)[^\s<>\"')\]]+", re.IGNORECASE
)


def inert(text: str) -> str:
    """Return `text` without images, links, addresses and HTML; the words of a link stay."""
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _DEFINITION.sub("", text)
    return _ADDRESS.sub("(…)", _TAG.sub("", text))
