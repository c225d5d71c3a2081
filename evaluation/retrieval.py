"""How well are passages found? Each leg and their fusion on sets of questions, with intervals and milliseconds.

Every measure is [mean, low, high] with the 95 % bootstrap interval; `differences` are paired, question by question.
A context becomes a document of one chunk in a collection of its own, kept in the cache folder under a hash of the
contexts and the encoder, so that the same set is embedded once.
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import numpy as np

from core.config import Settings
from core.errors import SettingError
from core.language import Bilingual, Language, language_of
from core.types import Chunk, Document, Page, Scope
from evaluation.datasets import ExamQuestion, Passage, read_contexts, read_questions
from evaluation.figures import mean_with_interval
from evaluation.metrics import hit, ndcg, recall, reciprocal_rank
from inference.protocol import ChatEngine
from retrieval.calibration import META_KEY
from retrieval.embedder import open_embedder
from retrieval.library import Library
from retrieval.protocol import Embedder, Vectors
from retrieval.reranker import LikelihoodReranker
from retrieval.retriever import HybridSearcher, Leg

_BATCH = 256
SETS = ("xquad_en", "xquad_zh", "cmrc2018", "drcd_zh_hant", "clapnq", "pubmedqa")


@dataclass(frozen=True)
class Row:
    """What one question reached: its measures (0..1), and milliseconds less those of the encoder."""

    language: Language
    values: Mapping[str, float]
    milliseconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this evaluation."""
    parser.add_argument("--contexts", type=Path, help="JSONL of contexts: id, title, text")
    parser.add_argument("--questions", type=Path, help="JSONL of questions: id, question, context_id")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help=f"sets of qa/ in place of files, or all: {SETS}")
    parser.add_argument("--leg", choices=get_args(Leg), help="one leg alone; all three where it is left out")
    parser.add_argument("--limit", type=int, help="so many questions, spread evenly")
    parser.add_argument("--likelihood", type=float, metavar="W", help="look again with the chat model, at this weight")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Measure; returns a JSON object with a block for each leg. Raises SettingError where no set is named."""
    library = cached_library(settings)
    if options.sets:
        names = SETS if options.sets == ["all"] else options.sets
        qa = settings.eval_data / "qa"
        files = {name: (qa / f"{name}.contexts.jsonl", qa / f"{name}.dev.jsonl") for name in names}
    elif options.contexts and options.questions:
        files = {str(options.contexts): (options.contexts, options.questions)}
    else:
        raise SettingError(
            Bilingual(
                en="Name --sets, or --contexts and --questions.", zh="请给出 --sets，或 --contexts 与 --questions。"
            )
        )
    sets = {name: _set(library, paths, options) for name, paths in files.items()}
    head = {"evaluation": "retrieval", "encoder": library.embedder.name}
    return {**head, "sets": sets} if options.sets else {**head, "contexts": str(options.contexts), **sets.popitem()[1]}


def _set(library: Library, files: tuple[Path, Path], options: argparse.Namespace) -> dict[str, Any]:
    collection = collection_of(library, read_contexts(files[0]))
    questions = [question for question in read_questions(files[1], options.limit) if question.context_ids]
    legs: Sequence[Leg] = [options.leg] if options.leg else get_args(Leg)
    rows: dict[str, list[Row]] = {
        leg: rows_of(HybridSearcher(library, leg, arranged=False), questions, collection) for leg in legs
    }
    if options.likelihood is not None:
        with closing(_engine(library.settings)) as engine:
            reranker = LikelihoodReranker(engine, options.likelihood)
            searcher = HybridSearcher(library, arranged=False, reranker=reranker)
            rows["reranked"] = rows_of(searcher, questions, collection)
    return {
        "questions": len(questions),
        "legs": {name: summary(found) for name, found in rows.items()},
        "differences": differences(rows),
    }


def _engine(settings: Settings) -> ChatEngine:
    from inference.runtime import open_engine

    return open_engine(settings)


def rows_of(searcher: HybridSearcher, questions: Sequence[ExamQuestion], collection: str) -> list[Row]:
    """The measures of each question, in order, with its language."""
    scope = Scope(collection)
    # The first question opens the collection, which is not what a question costs.
    searcher.retrieve("warm", scope, 10)
    rows = [_row(searcher, question, scope) for question in questions]
    searcher.close()
    return rows


def differences(rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """What the fusion wins over the better leg, and a reranker over the fusion: nDCG@10, question by question."""
    found: dict[str, Any] = {}
    if {"dense", "lexical", "hybrid"} <= rows.keys() and rows["hybrid"]:
        better = max(("dense", "lexical"), key=lambda leg: fmean(row.values["ndcg@10"] for row in rows[leg]))
        found[f"hybrid over {better}"] = _difference(rows["hybrid"], rows[better])
    if "reranked" in rows and "hybrid" in rows:
        found["reranked over hybrid"] = _difference(rows["reranked"], rows["hybrid"])
    return found


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The means of all measures with intervals, and the same by language where there are two."""
    result = _summary(rows)
    languages = sorted({row.language for row in rows})
    if len(languages) > 1:
        result["languages"] = {name: _summary([row for row in rows if row.language == name]) for name in languages}
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
            if store.counts()["vectors"] == len(passages) and store.meta(META_KEY):
                return name
    with library.writer(name) as store:
        for passage in passages if store.counts()["vectors"] < len(passages) else ():
            store.put_document(*document_of(passage))
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


def document_of(passage: Passage) -> tuple[Document, list[Chunk]]:
    """A context as a document of one chunk, its id the uri."""
    language = language_of(passage.text)
    title = passage.title.replace("_", " ")
    content_hash = hashlib.sha256(passage.text.encode("utf-8")).hexdigest()
    document = Document(passage.id, title, (Page(passage.text),), content_hash, language=language)
    return document, [Chunk("", "", passage.text, 0, 0, len(passage.text), title=title, language=language)]


def _row(searcher: HybridSearcher, question: ExamQuestion, scope: Scope) -> Row:
    found = searcher.retrieve(question.text, scope, 10)
    ranking = [scored.chunk.uri for scored in found.chunks]
    relevant = question.context_ids
    values = {
        "hit@1": hit(ranking, relevant, 1),
        "hit@5": hit(ranking, relevant, 5),
        "recall@10": recall(ranking, relevant, 10),
        "ndcg@10": ndcg(ranking, relevant, 10),
        "mrr@10": reciprocal_rank(ranking, relevant, 10),
    }
    return Row(language_of(question.text), values, found.milliseconds["total"] - found.milliseconds["encode"])


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    if not rows:
        return {"n": 0}
    means = {name: mean_with_interval([row.values[name] for row in rows]) for name in rows[0].values}
    p50, p95 = (round(float(value), 2) for value in np.quantile([row.milliseconds for row in rows], [0.5, 0.95]))
    measures = {name: [value["mean"], value["low"], value["high"]] for name, value in means.items()}
    return {"n": len(rows), **measures, "milliseconds_p50": p50, "milliseconds_p95": p95}


def _difference(one: Sequence[Row], other: Sequence[Row]) -> list[float | int]:
    gains = [mine.values["ndcg@10"] - theirs.values["ndcg@10"] for mine, theirs in zip(one, other, strict=True)]
    figure = mean_with_interval(gains)
    return [figure["mean"], figure["low"], figure["high"]]
