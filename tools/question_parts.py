"""The parts of a question that ask for things of their own: its sentences, and what `and also` or `then` joins."""

import re

_ENDS = re.compile(
    r"(?<=[.!?;])\s+(?=[A-Z\"'])|(?<=[。！？；])|\n+"
    r"|,?\s+(?:and then|and also|then also|as well as)\s+|;\s+|,\s+(?:and|then|also|after that|finally)\s+"
    r"|[，,]\s*(?:然后|接着|并且|同时|另外|还有|再|以及)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"\"[^\"]{1,300}\"|“[^”]{1,300}”|《[^》]{1,100}》")
# Below this many characters a part only greets or thanks.
SHORTEST = 8


def parts_of(question: str) -> list[str]:
    """The parts in their order, nothing quoted cut in two; the whole question where it has one part."""
    hidden: list[str] = []

    def hide(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return f"\x00{len(hidden) - 1}\x00"

    pieces = _ENDS.split(_QUOTED.sub(hide, question))
    shown = [re.sub(r"\x00(\d+)\x00", lambda match: hidden[int(match[1])], piece).strip() for piece in pieces if piece]
    return [part for part in shown if len(part) >= SHORTEST or not part.isascii()] or [question]
