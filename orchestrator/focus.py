"""A small model reads a few sentences better than a long passage: the best sentence, with those beside it."""

from collections.abc import Sequence
from dataclasses import replace

from core.language import sentence_spans
from core.types import Chunk
from orchestrator.events import Source
from orchestrator.extractive import ranked_sentences
from orchestrator.prompts.texts import USED_PART

# Characters below which a passage is short already.
SHORT_PASSAGE = 320
BESIDE = 1


def focused(question: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources; where only one is used and it is long, it is cut to what stands around its best sentence."""
    used = [source for source in sources if source.used]
    if len(used) != 1 or len(used[0].chunk.chunk.text) <= SHORT_PASSAGE:
        return tuple(sources)
    chunk = _around(used[0].chunk.chunk, ranked_sentences(question, used)[0].start)
    part = replace(used[0], chunk=replace(used[0].chunk, chunk=chunk), reason=USED_PART)
    return tuple(part if source is used[0] else source for source in sources)


def _around(chunk: Chunk, start: int) -> Chunk:
    """The sentence of `chunk` that begins at `start`, with its neighbours."""
    spans = sentence_spans(chunk.text)
    place = next((at for at, span in enumerate(spans) if span[1] > start), len(spans) - 1)
    first, last = spans[max(place - BESIDE, 0)][0], spans[min(place + BESIDE, len(spans) - 1)][1]
    # Where offsets do not measure the text (a table's rows under its header) they stay those of the whole.
    exact = len(chunk.text) == chunk.end - chunk.start
    begin, end = (chunk.start + first, chunk.start + last) if exact else (chunk.start, chunk.end)
    return replace(chunk, text=chunk.text[first:last], start=begin, end=end)
