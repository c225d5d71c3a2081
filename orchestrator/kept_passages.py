"""Passages keep their place and number from turn to turn of a conversation, so that what was read is not read again.

A prompt is read from its beginning to the first word that changed. So the passages of the turn before stay first, in
their order and under their numbers, as long as the new search still counts them among its candidates; the best new one
comes last, next to the question. The best passage of the new search is always among those shown.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from core.language import Bilingual
from core.types import Chunk
from orchestrator.events import Source
from orchestrator.prompts.texts import BELOW_TOP, USED, fill

CONVERSATIONS = 64


class KeptPassages:
    """What each of the latest conversations had in its last prompt. Thread-safe."""

    def __init__(self, conversations: int = CONVERSATIONS) -> None:
        self._most = conversations
        self._shown: OrderedDict[str, tuple[Source, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def arranged(self, conversation_id: str, sources: Sequence[Source]) -> tuple[Source, ...]:
        """Return the sources with as much of the last prompt as still counts; without a conversation as they are."""
        with self._lock:
            before = self._shown.get(conversation_id, ()) if conversation_id else ()
        return arranged(before, sources)

    def remember(self, conversation_id: str, sources: Sequence[Source]) -> None:
        """Note what went into the prompt of this turn."""
        if not conversation_id:
            return
        with self._lock:
            self._shown[conversation_id] = tuple(source for source in sources if source.used)
            self._shown.move_to_end(conversation_id)
            while len(self._shown) > self._most:
                self._shown.popitem(last=False)


def arranged(before: Sequence[Source], sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return `sources` with the used ones of `before` (as `passages_of` reads them: last first) kept in their places.

    As many are used as before the arrangement. Sources that gave way are told as below the used ones.
    """
    used = [source for source in sources if source.used]
    kept = _still_there(before, sources)
    if not kept or not used:
        return tuple(sources)
    best = _key(used[0].chunk.chunk)
    room = len(used) if best in {_key(source.chunk.chunk) for source in kept} else len(used) - 1
    kept = kept[: max(room, 0)] if best not in {_key(item.chunk.chunk) for item in kept[room:]} else []
    if not kept:
        return tuple(sources)
    return _numbered(kept, used, sources)


def _still_there(before: Sequence[Source], sources: Sequence[Source]) -> list[Source]:
    """The beginning of the last prompt of which every passage is still a candidate, in the prompt's order."""
    found = {_key(source.chunk.chunk): source for source in sources}
    kept: list[Source] = []
    for earlier in reversed([source for source in before if source.used]):
        now = found.get(_key(earlier.chunk.chunk))
        if now is None:
            break
        kept.append(replace(now, number=earlier.number, used=True, reason=USED))
    return kept


def _numbered(kept: Sequence[Source], used: Sequence[Source], sources: Sequence[Source]) -> tuple[Source, ...]:
    places = {_key(source.chunk.chunk) for source in kept}
    new = [source for source in used if _key(source.chunk.chunk) not in places][: len(used) - len(kept)]
    shown = [*new, *reversed(kept)]
    places |= {_key(source.chunk.chunk) for source in new}
    rest = [source for source in sources if _key(source.chunk.chunk) not in places]
    taken = {source.number for source in kept}
    free = (number for number in range(1, len(sources) + len(kept) + 1) if number not in taken)
    below = fill(BELOW_TOP, count=len(shown))
    arranged_used = [
        source if source.number in taken and source in kept else _as(source, next(free)) for source in shown
    ]
    return (*arranged_used, *(_unused(source, next(free), below) for source in rest))


def _as(source: Source, number: int) -> Source:
    return replace(source, number=number)


def _unused(source: Source, number: int, below: Bilingual) -> Source:
    reason = below if source.used else source.reason
    return replace(source, number=number, used=False, reason=reason)


def _key(chunk: Chunk) -> tuple[str, str]:
    # A neighbour joined to a passage, or its whole document in its place, is another text under the same id.
    return chunk.id, chunk.text
