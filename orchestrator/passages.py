"""From what a search brought to numbered sources: neighbours joined, the best kept, the others with a reason."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from core.grounded_prompt import NumberedPassage
from core.language import Bilingual
from core.types import Chunk, ScoredChunk
from orchestrator.events import Source
from orchestrator.prompts.texts import BELOW_TOP, CLOSEST, MERGED, PART_OF_WHOLE, USED, USED_WHOLE, fill

CLOSEST_SHOWN = 3


def numbered_sources(chunks: Sequence[ScoredChunk], top_k: int) -> tuple[Source, ...]:
    """Return sources numbered from 1 by rank: the first `top_k` are used, neighbours among them joined into one."""
    joined, absorbed = _joined(chunks[:top_k])
    sources = [Source(number, chunk, True, USED) for number, chunk in enumerate(joined, start=1)]
    rest = [(chunk, fill(MERGED, number=number)) for chunk, number in absorbed]
    rest += [(chunk, fill(BELOW_TOP, count=len(joined))) for chunk in chunks[top_k:]]
    return (*sources, *_unused(rest, first=len(joined) + 1))


def with_whole_document(sources: Sequence[Source], whole_text: Callable[[Chunk], str]) -> tuple[Source, ...]:
    """Show the document of the best source as a whole, where `whole_text` gives its text (empty: it does not fit).

    Its other passages are then not shown again. Numbers stay.
    """
    best = next((source for source in sources if source.used), None)
    text = whole_text(best.chunk.chunk) if best is not None and _is_exact(best.chunk.chunk) else ""
    if best is None or len(text) <= len(best.chunk.chunk.text):
        return tuple(sources)
    document = best.chunk.chunk.document_id
    chunk = replace(best.chunk.chunk, text=text, start=0, end=len(text), page=None, heading_path=(), position=0)
    whole = replace(best, chunk=replace(best.chunk, chunk=chunk), reason=USED_WHOLE)
    part = fill(PART_OF_WHOLE, number=best.number)
    return tuple(
        whole
        if source is best
        else replace(source, used=False, reason=part)
        if source.used and source.chunk.chunk.document_id == document
        else source
        for source in sources
    )


def closest_sources(chunks: Sequence[ScoredChunk]) -> tuple[Source, ...]:
    """Return the three best as sources that were not used: what a refusal shows."""
    return tuple(_unused([(chunk, CLOSEST) for chunk in chunks[:CLOSEST_SHOWN]], first=1))


def passages_of(sources: Sequence[Source]) -> list[NumberedPassage]:
    """The used sources as the prompt shows them: the best last, next to the question."""
    shown = [source for source in sources if source.used]
    return [NumberedPassage(item.number, _title(item.chunk.chunk), item.chunk.chunk.text) for item in reversed(shown)]


def _unused(chunks: Sequence[tuple[ScoredChunk, Bilingual]], first: int) -> list[Source]:
    return [Source(number, chunk, False, reason) for number, (chunk, reason) in enumerate(chunks, start=first)]


def _title(chunk: Chunk) -> str:
    names = dict.fromkeys(name for name in (chunk.title, *chunk.heading_path) if name)
    return " › ".join(names)


def _joined(chunks: Sequence[ScoredChunk]) -> tuple[list[ScoredChunk], list[tuple[ScoredChunk, int]]]:
    """Join each chunk to a better one that it touches. Returns those kept, and the absorbed with their new number."""
    kept: list[ScoredChunk] = []
    absorbed: list[tuple[ScoredChunk, int]] = []
    for item in chunks:
        place = next((at for at, other in enumerate(kept) if _touch(other.chunk, item.chunk)), None)
        if place is None:
            kept.append(item)
        else:
            kept[place] = replace(kept[place], chunk=_union(kept[place].chunk, item.chunk))
            absorbed.append((item, place + 1))
    return kept, absorbed


def _touch(first: Chunk, second: Chunk) -> bool:
    exact = _is_exact(first) and _is_exact(second)
    overlap = first.start <= second.end and second.start <= first.end
    return first.document_id == second.document_id and exact and overlap and first.heading_path == second.heading_path


def _is_exact(chunk: Chunk) -> bool:
    """Whether its offsets measure its text: only then can it be laid over another, or over its document."""
    return len(chunk.text) == chunk.end - chunk.start


def _union(first: Chunk, second: Chunk) -> Chunk:
    before, after = sorted((first, second), key=lambda chunk: chunk.start)
    text = before.text + after.text[max(before.end - after.start, 0) :] if after.end > before.end else before.text
    members = (*first.metadata.get("joined", (first.id,)), second.id)
    return replace(
        first,
        text=text,
        start=before.start,
        end=max(before.end, after.end),
        page=before.page,
        position=before.position,
        metadata={**first.metadata, "joined": members},
    )
