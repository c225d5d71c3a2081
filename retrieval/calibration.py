"""Getting to know a collection without labels: how far its vectors can be trusted, what a foreign question reaches.

Sentences of the collection are searched by vector: an encoder that knows their language finds the chunk that holds
the sentence; one that does not, misses it half of the time.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.language import Language, language_of
from retrieval.evidence import Background, Calibration, Signals, foreign_questions, measure_background
from retrieval.lexical_index import LexicalQuery, parse_query
from retrieval.probing import own_sentences
from retrieval.protocol import Embedder, Vectors
from retrieval.store import CollectionStore
from retrieval.view import CollectionView

if TYPE_CHECKING:
    from retrieval.backends.contract import RemoteCollection

ForeignVectors = dict[str, Vectors]
_LANGUAGES: tuple[Language, ...] = ("en", "zh")
# The number rises when the signals change their meaning: what was measured of the old ones does not fit the new.
META_KEY = "calibration-3"
_SAMPLE = 64
_FEWEST = 8
# Mean reciprocal rank of the own chunk from which an encoder is trusted at all, and fully: less is asked of one that
# says it knows the language. Without the language 0.5 to 0.63 were reached, with it 0.75 to 0.98 (DECISIONS.md).
_PROOF = {True: (0.4, 0.7), False: (0.65, 0.95)}
# Scores of the same vector differ by this much at most.
_ROUNDING = 1e-5
# A collection is probed again when it has grown by this factor.
_GROWTH = 1.5


def load_calibration(store: CollectionStore) -> Calibration:
    """What was measured last, or an empty one."""
    text = store.meta(META_KEY)
    return Calibration() if text is None else Calibration.from_json(text)


def refresh_calibration(
    store: CollectionStore, embedder: Embedder, foreign: ForeignVectors, remote: "RemoteCollection | None" = None
) -> None:
    """Probe the collection where it is new or has grown much; `store` must be open for writing.

    `foreign` keeps the vectors of the foreign questions from one call to the next.
    """
    known = load_calibration(store).vectors
    vectors = store.counts()["vectors"]
    if vectors and not known <= vectors < max(1, known) * _GROWTH:
        store.set_meta(META_KEY, calibrate(CollectionView(store, remote), embedder, foreign).as_json())


def calibrate(view: CollectionView, embedder: Embedder, foreign: ForeignVectors) -> Calibration:
    """Probe with the collection's own sentences and with foreign questions."""
    for language, questions in foreign_questions().items():
        if language not in foreign:
            foreign[language] = embedder.embed_documents(questions)
    probes = own_sentences(view.store, _SAMPLE)
    trust: dict[str, float | None] = {
        language: _trust(view, embedder, language, [probe for probe in probes if language_of(probe[1]) == language])
        for language in _LANGUAGES
    }
    backgrounds = {language: _background(view, language, foreign[language]) for language in foreign_questions()}
    known = {language: value for language, value in trust.items() if value is not None}
    return Calibration(view.store.counts()["vectors"], known, backgrounds)


def trust_for(calibration: Calibration, embedder: Embedder, query: str) -> tuple[float, Language]:
    """Trust in the dense leg for this question (what was proved in its language, else what the encoder claims)."""
    language = language_of(query)
    claimed = 1.0 if language in embedder.languages else 0.0
    return float(calibration.trust.get(language, claimed)), language


def signals(
    view: CollectionView, query: LexicalQuery, vector: Vectors, tops: tuple[float, float], trust: float
) -> Signals:
    """What a question reached; `tops` are the best scores of the dense and of the lexical leg, 0 where none."""
    background = view.dense.background(vector)
    contrast = (tops[0] - background) / max(1e-6, 1.0 - background) if tops[0] else 0.0
    return Signals(contrast, tops[1] / max(1e-9, view.lexical.ceiling(query)), trust)


def _trust(
    view: CollectionView, embedder: Embedder, language: Language, probes: Sequence[tuple[int, str]]
) -> float | None:
    """0..1 from the mean reciprocal rank of the chunk that a sentence is from; None where there are too few.

    Among a fixed number of others, not among all: in a large collection many chunks say nearly the same, which is no
    fault of the encoder.
    """
    own = view.store.vectors([number for number, _ in probes])
    known = [(number, sentence) for number, sentence in probes if number in own]
    if len(known) < _FEWEST:
        return None
    vectors = embedder.embed_documents([sentence for _, sentence in known])
    others = view.dense.sample()
    total = 0.0
    for (number, _), vector in zip(known, vectors, strict=True):
        as_good = np.count_nonzero(others @ vector > own[number] @ vector - _ROUNDING)
        itself = bool(np.any(np.all(others == own[number], axis=1)))
        total += 1.0 / (1 + as_good - itself)
    least, most = _PROOF[language in embedder.languages]
    return min(1.0, max(0.0, (total / len(known) - least) / (most - least)))


def _background(view: CollectionView, language: str, vectors: Vectors) -> Background:
    alive, questions = view.alive(), foreign_questions()[language]
    measured = []
    for question, vector in zip(questions, vectors, strict=True):
        query = parse_query(question)
        dense = view.dense.search(vector, 1, alive)
        lexical = view.lexical.search(query, 1, alive)
        tops = (dense[0].score if dense else 0.0, lexical[0].score if lexical else 0.0)
        measured.append(signals(view, query, vector, tops, 1.0))
    return measure_background(measured)
