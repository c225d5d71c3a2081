"""From what a search brought to what is shown: neighbours joined, a short document whole, reasons for the rest."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Settings
from core.types import Chunk, Document, Page, ScoredChunk
from inference.fakes import FAKE_INFO, FakeEngine
from orchestrator.build import build_assistant
from orchestrator.events import ContextAssembled, Source, SourcesFound
from orchestrator.passages import closest_sources, numbered_sources, passages_of, with_whole_document
from orchestrator.prompts import texts
from orchestrator.prompts.texts import fill
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from tests.orchestrator.parts import BRIDGE, RIVER, TOWER, ask, assistant, end, only, scored

WHOLE = "The tower opened in 1889. It stands in Paris. Gustave Eiffel built it. The lift is slow."


def part(number: int, start: int, stop: int, document: str = "d") -> ScoredChunk:
    return scored(number, WHOLE[start:stop], start, document)


def shown(sources: tuple[Source, ...]) -> list[tuple[int, str, str]]:
    return [(one.number, one.chunk.chunk.text, one.reason.en) for one in sources if one.used]


def test_neighbours_are_joined_without_saying_anything_twice():
    sources = numbered_sources([part(0, 26, 70), scored(1, BRIDGE), part(2, 0, 45), scored(3, RIVER)], 3)
    assert shown(sources) == [(1, WHOLE[:70], "used"), (2, BRIDGE, "used")]
    rest = [(one.chunk.chunk.text, one.reason) for one in sources if not one.used]
    assert rest == [(WHOLE[:45], fill(texts.MERGED, number=1)), (RIVER, fill(texts.BELOW_TOP, count=2))]
    assert sources[0].chunk.chunk.metadata["joined"] == ("c0", "c2")


def test_passages_apart_stay_apart():
    assert len(shown(numbered_sources([part(0, 0, 25), part(1, 46, 70)], 2))) == 2
    assert len(shown(numbered_sources([part(0, 0, 25, "a"), part(1, 20, 40, "b")], 2))) == 2
    inexact = replace(part(0, 0, 25), chunk=replace(part(0, 0, 25).chunk, text="a table"))
    assert len(shown(numbered_sources([inexact, part(1, 20, 40)], 2))) == 2


def test_the_best_passage_stands_last():
    sources = numbered_sources([scored(0, TOWER), scored(1, BRIDGE)], 2)
    assert [(one.number, one.text) for one in passages_of(sources)] == [(2, BRIDGE), (1, TOWER)]


def test_a_short_document_is_shown_whole_and_its_parts_not_again():
    sources = numbered_sources([part(0, 46, 70), scored(1, BRIDGE), part(2, 0, 25)], 3)
    whole = with_whole_document(sources, lambda _chunk: WHOLE)
    assert shown(whole) == [(1, WHOLE, texts.USED_WHOLE.en), (2, BRIDGE, "used")]
    assert [(one.number, one.reason) for one in whole if not one.used] == [(3, fill(texts.PART_OF_WHOLE, number=1))]
    assert (whole[0].chunk.chunk.start, whole[0].chunk.chunk.end) == (0, len(WHOLE))


def test_a_document_that_does_not_fit_leaves_its_passages():
    sources = numbered_sources([part(0, 46, 70), scored(1, BRIDGE)], 2)
    assert with_whole_document(sources, lambda _chunk: "") == sources
    assert with_whole_document((), lambda _chunk: WHOLE) == ()


def test_a_refusal_shows_the_three_closest():
    sources = closest_sources([scored(number, f"text {number}") for number in range(5)])
    assert [(one.number, one.used, one.reason) for one in sources] == [
        (number, False, texts.CLOSEST) for number in (1, 2, 3)
    ]


def test_the_wired_assistant_reads_whole_documents_from_the_library(tmp_path: Path):
    library = Library(Settings(home=tmp_path / "home"), HashEmbedder())
    # Two neighbours are joined by the search already, so there are four passages.
    parts = [TOWER, "Nothing of note. " * 9, "Bees make honey. " * 9, BRIDGE]
    text = "\n\n".join(parts)
    chunks = [
        Chunk("", "", part, n, text.index(part), text.index(part) + len(part), title="Tower")
        for n, part in enumerate(parts)
    ]
    with library.writer("default") as store:
        store.put_document(Document("tower.md", "Tower", (Page(text),), "t"), chunks)
        pending = store.chunks_without_vectors(9)
        store.put_vectors([one.id for one in pending], library.embedder.embed_documents([c.text for c in pending]))
    for info, whole in ((FAKE_INFO, True), (replace(FAKE_INFO, n_ctx=256), False)):
        engine = FakeEngine(("The tower opened in 1889 [1].",), info)
        who = build_assistant(library.settings, engine, library=library)
        events = ask(who, "When did the tower open?")
        assert end(events).citations[0].supported
        used = [one for one in only(events, SourcesFound).sources if one.used]
        assert (used[0].reason == texts.USED_WHOLE) is whole, [one.reason for one in used]
        assert (text in only(events, ContextAssembled).prompt) is whole


@pytest.mark.parametrize(
    ("scores", "parameters", "used"),
    [
        ((1.0, 0.4, 0.3), 135_000_000, 1),
        ((1.0, 0.9, 0.8), 135_000_000, 2),
        ((1.0,), 135_000_000, 1),
        ((1.0, 0.4, 0.3), 7_000_000_000, 3),
        ((1.0, 0.4, 0.3), 0, 3),
    ],
)
def test_a_small_model_reads_one_passage_where_it_leads_clearly(
    tmp_path: Path, scores: tuple[float, ...], parameters: int, used: int
):
    who, engine, searcher = assistant(tmp_path, [TOWER, BRIDGE, RIVER][: len(scores)], "The tower opened in 1889 [1].")
    engine.info = replace(FAKE_INFO, n_parameters=parameters)
    searcher.scores = scores
    found = only(ask(who, "When did the tower open?"), SourcesFound).sources
    assert sum(one.used for one in found) == used
    assert len(found) == len(scores)
