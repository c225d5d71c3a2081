"""How well are passages found? Each leg and their fusion on a set of questions, with intervals and milliseconds.

A context becomes a document of one chunk in a collection of its own, kept in the cache folder under a hash of the
contexts and the encoder, so that the same set is embedded once.
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import numpy as np

from core.config import Settings
from core.language import language_of
from core.types import Chunk, Document, Page, Scope
from evaluation.datasets import ExamQuestion, Passage, read_contexts, read_questions
from evaluation.metrics import bootstrap_interval, hit, ndcg, recall, reciprocal_rank
from retrieval.embedder import open_embedder
from retrieval.library import Library
from retrieval.protocol import Embedder, Vectors
from retrieval.retriever import HybridSearcher, Leg

_BATCH = 256
Row = Mapping[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this evaluation."""
    parser.add_argument("--contexts", type=Path, required=True, help="JSONL of contexts: id, title, text")
    parser.add_argument("--questions", type=Path, required=True, help="JSONL of questions: id, question, context_id")
    parser.add_argument("--leg", choices=get_args(Leg), help="one leg alone; all three where it is left out")
    parser.add_argument("--limit", type=int, help="so many questions, spread evenly")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Measure; returns a JSON object with a block for each leg."""
    library = cached_library(settings)
    collection = collection_of(library, read_contexts(options.contexts))
    questions = [question for question in read_questions(options.questions, options.limit) if question.context_ids]
    embedder = library.embedder
    legs: Sequence[Leg] = [options.leg] if options.leg else get_args(Leg)
    results = {leg: measure(HybridSearcher(library, leg, arranged=False), questions, collection) for leg in legs}
    return {
        "evaluation": "retrieval",
        "contexts": str(options.contexts),
        "questions": len(questions),
        "encoder": embedder.name,
        "legs": results,
    }


def measure(searcher: HybridSearcher, questions: Sequence[ExamQuestion], collection: str) -> dict[str, Any]:
    """The means of all measures, an interval for nDCG, and the same by language where there are two."""
    scope = Scope(collection)
    # The first question opens the collection, which is not what a question costs.
    searcher.retrieve("warm", scope, 10)
    rows = [(language_of(question.text), _row(searcher, question, scope)) for question in questions]
    searcher.close()
    languages = sorted({language for language, _ in rows})
    result = _summary([row for _, row in rows])
    if len(languages) > 1:
        result["languages"] = {
            name: _summary([row for language, row in rows if language == name]) for name in languages
        }
    return result


def cached_library(settings: Settings) -> Library:
    """A library of evaluation collections in the cache folder, away from the user's own."""
    home = settings.model_copy(update={"home": settings.paths.cache / "evaluation"})
    return Library(home, CachedEmbedder(open_embedder(settings), home.home))


def collection_of(library: Library, passages: Sequence[Passage]) -> str:
    """The name of a collection that holds just these passages, ids as uris; made where it is missing."""
    digest = hashlib.sha256("\n".join(f"{p.id}\t{p.title}\t{p.text}" for p in passages).encode("utf-8"))
    name = f"exam-{digest.hexdigest()[:12]}-{library.embedder.name}"
    if library.exists(name):
        with library.reader(name) as store:
            if store.counts()["vectors"] == len(passages):
                return name
    with library.writer(name) as store:
        for passage in passages:
            store.put_document(*_document(passage))
        while pending := store.chunks_without_vectors(_BATCH):
            vectors = library.embedder.embed_documents([chunk.embedded_text for chunk in pending])
            store.put_vectors([chunk.id for chunk in pending], vectors)
    return name


class CachedEmbedder:
    """Remembers the vectors of questions on the disk; an encoder is slower than everything else that is measured."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self._embedder = embedder
        self._folder = folder / "questions" / hashlib.sha256(embedder.name.encode()).hexdigest()[:12]
        self.name = embedder.name
        self.dimension = embedder.dimension
        self.max_tokens = embedder.max_tokens
        self.languages = embedder.languages

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the encoder's."""
        return self._embedder.count_tokens(texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """As the encoder's."""
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> Vectors:
        """As the encoder's, from the disk where it was asked before."""
        path = self._folder / f"{hashlib.sha256(text.encode('utf-8')).hexdigest()[:24]}.npy"
        if path.is_file():
            return np.asarray(np.load(path), np.float32)
        vector = self._embedder.embed_query(text)
        self._folder.mkdir(parents=True, exist_ok=True)
        np.save(path, vector)
        return vector


def _document(passage: Passage) -> tuple[Document, list[Chunk]]:
    language = language_of(passage.text)
    title = passage.title.replace("_", " ")
    content_hash = hashlib.sha256(passage.text.encode("utf-8")).hexdigest()
    document = Document(passage.id, title, (Page(passage.text),), content_hash, language=language)
    return document, [Chunk("", "", passage.text, 0, 0, len(passage.text), title=title, language=language)]


def _row(searcher: HybridSearcher, question: ExamQuestion, scope: Scope) -> Row:
    found = searcher.retrieve(question.text, scope, 10)
    ranking = [scored.chunk.uri for scored in found.chunks]
    relevant = question.context_ids
    return {
        "hit@1": hit(ranking, relevant, 1),
        "hit@5": hit(ranking, relevant, 5),
        "recall@10": recall(ranking, relevant, 10),
        "ndcg@10": ndcg(ranking, relevant, 10),
        "mrr@10": reciprocal_rank(ranking, relevant, 10),
        "milliseconds": found.milliseconds["total"] - found.milliseconds["encode"],
    }


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    if not rows:
        return {"n": 0}
    means = {name: round(fmean(row[name] for row in rows), 4) for name in rows[0]}
    low, high = bootstrap_interval([row["ndcg@10"] for row in rows])
    p95 = float(np.quantile([row["milliseconds"] for row in rows], 0.95))
    return {
        "n": len(rows),
        **means,
        "ndcg@10_interval": [round(low, 4), round(high, 4)],
        "milliseconds_p95": round(p95, 2),
    }
