"""Trust is earned by the collection's own sentences; many threads may search while one writes."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from core.config import Settings
from core.types import Scope
from retrieval.calibration import calibrate, load_calibration, trust_for
from retrieval.evidence import Background, Calibration, Signals, foreign_questions, judge, measure_background
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from retrieval.protocol import Vectors
from retrieval.view import CollectionView
from tests.retrieval.conftest import put

ENGLISH = [
    f"Sentence {word} speaks of {word} things and {word} places."
    for word in ["apple", "brick", "cloud", "drum", "eagle", "fig", "grape", "hat"]
]
CHINESE = [
    f"关于{name}的介绍说明了{name}的历史和{name}的用途。"
    for name in ("苹果", "砖头", "云彩", "大鼓", "老鹰", "果树", "葡萄", "帽子")
]


class BlindToChinese(HashEmbedder):
    """Every Chinese text gets one vector: an encoder that never learnt the language."""

    def embed_query(self, text: str) -> Vectors:
        if text.isascii():
            return super().embed_query(text)
        return np.asarray(np.eye(1, self.dimension)[0], np.float32)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.embed_query(text) for text in texts])


@pytest.fixture
def half_blind(library: Library) -> Library:
    blind = Library(library.settings, BlindToChinese(256))
    with blind.writer("both") as store:
        for number, text in enumerate(ENGLISH + CHINESE):
            put(store, blind.embedder, f"/{number}.md", text)
    return blind


def test_trust_follows_what_the_sentences_prove(half_blind: Library):
    with half_blind.reader("both") as store:
        calibration = calibrate(CollectionView(store), half_blind.embedder, {})
        assert calibration.trust["en"] == 1.0
        assert calibration.trust["zh"] < 0.3
        assert trust_for(calibration, half_blind.embedder, "什么是苹果？") == (calibration.trust["zh"], "zh")
        assert Calibration.from_json(calibration.as_json()) == calibration
        assert load_calibration(store).vectors <= calibration.vectors


def test_words_lead_where_the_encoder_is_blind(half_blind: Library):
    found = half_blind.searcher().retrieve("葡萄的历史", Scope("both"), 1)
    assert "葡萄" in found.chunks[0].chunk.text


def test_what_the_encoder_claims_counts_until_it_is_proved():
    encoder = HashEmbedder()
    assert trust_for(Calibration(), encoder, "hello there") == (1.0, "en")
    encoder.languages = ("zh",)
    assert trust_for(Calibration(), encoder, "hello there") == (0.0, "en")


def test_evidence_counts_deviations_from_foreign_questions():
    background = measure_background([Signals(0.2 + step / 100, 0.1, 1.0) for step in range(-10, 11)])
    assert background.contrast == pytest.approx((0.2, 1.4826 * 0.05))
    assert background.match == (0.1, 0.02)
    plain = Background((0.2, 0.1), (0.1, 0.1))
    levels = [judge(Signals(0.2 + d / 10, 0.1 + d / 10, 0.5), plain).level for d in (-1.0, 0.5, 3.0)]
    assert levels == ["none", "weak", "strong"]
    assert judge(Signals(9.0, 0.1, 0.0), plain).value == pytest.approx(0.5)


def test_foreign_questions_are_many_in_both_languages():
    assert {language: len(set(found)) >= 40 for language, found in foreign_questions().items()} == {
        "en": True,
        "zh": True,
    }


def test_threads_search_while_one_writes(tmp_path_factory: pytest.TempPathFactory):
    library = Library(Settings(home=tmp_path_factory.mktemp("threads")), HashEmbedder())
    library.create("notes")
    seen: list[int] = []
    finished: list[bool] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            found = library.searcher().retrieve("common words", Scope("notes"), 50)
            # Every thread finds all that there was at its moment; a crash would end it before the last.
            seen.append(len(found.chunks) - found.searched)
        finished.append(True)

    threads = [threading.Thread(target=search) for _ in range(3)]
    with library.writer("notes") as store:
        for thread in threads:
            thread.start()
        for number in range(20):
            put(store, library.embedder, f"/{number}.md", f"common words, and the number {number * 7919} besides")
    done.set()
    for thread in threads:
        thread.join()
    final = library.searcher().retrieve("common words", Scope("notes"), 50)
    assert final.searched == 20
    assert finished == [True] * 3
    assert set(seen) == {0}
    assert len(final.chunks) == 20
