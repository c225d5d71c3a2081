"""Chinese by words of two characters: every such word of real documents finds a passage that holds it."""

import random
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.config import Settings
from core.types import DEFAULT_COLLECTION, Scope
from ingest.pipeline import IngestOptions, IngestPipeline
from retrieval.fakes import HashEmbedder
from retrieval.library import Library

_HAN = re.compile(r"[\u4e00-\u9fff]{2,}")
DATA = Settings().eval_data


def two_character_words(library: Library) -> Iterator[tuple[str, str, str]]:
    """(uri, document id, pair of characters): three from each document that has any Chinese, drawn by chance."""
    chance = random.Random(3)
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        for record in store.documents():
            pairs = sorted(
                {
                    run[place : place + 2]
                    for chunk in store.chunks_of_document(record.id)
                    for run in _HAN.findall(chunk.text)
                    for place in range(len(run) - 1)
                }
            )
            for pair in chance.sample(pairs, min(3, len(pairs))):
                yield record.uri, record.id, pair


def files(folder: Path, pattern: str, step: int) -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file())[::step]


@pytest.mark.skipif(not DATA.is_dir(), reason="the evaluation data is not here (FOURFOLD_EVAL_DATA)")
@pytest.mark.parametrize(
    ("folder", "pattern", "step", "least"), [("corpus_zh", "*.md", 48, 30), ("files/cjk", "*", 4, 15)]
)
def test_words_of_two_characters_find_their_passages(tmp_path: Path, folder: str, pattern: str, step: int, least: int):
    library = Library(Settings(home=tmp_path), HashEmbedder())
    chosen = files(DATA / folder, pattern, step)
    list(IngestPipeline(library, library.settings).run(chosen, options=IngestOptions(embed=False)))
    asked = list(two_character_words(library))
    missed = [
        (Path(uri).name, word)
        for uri, document, word in asked
        if not any(
            word in hit.chunk.text or word in " ".join((hit.chunk.title, *hit.chunk.heading_path))
            for hit in library.searcher().retrieve(word, Scope(document_ids=(document,)), 5).chunks
        )
    ]
    assert missed == []
    assert len(asked) >= least
