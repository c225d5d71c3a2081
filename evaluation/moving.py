"""A collection moved to a server and back: the mover killed midway, the answers and measures before, there and after.

The collection is copied first and joined by the contexts of question sets, so that there are questions whose right
passage is known; nothing of the user's is touched. The servers have to be running; their copies are dropped at the end.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from core.config import Settings
from core.types import DEFAULT_COLLECTION, Retrieval, Scope
from evaluation.datasets import ExamQuestion, read_contexts, read_questions
from evaluation.metrics import hit, ndcg
from evaluation.retrieval import document_of
from retrieval.backends.moving import move_back, move_to
from retrieval.backends.opening import open_backend
from retrieval.embedder import open_embedder
from retrieval.indexing import refresh_words
from retrieval.library import Library
from retrieval.protocol import Embedder

_TOP = 10
_BATCH = 256
# Two scores of 0..1 that are as good as equal.
_TIED = 1e-5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this evaluation."""
    parser.add_argument("--collection", default=DEFAULT_COLLECTION)
    parser.add_argument("--to", nargs="+", required=True, metavar="URL", help="servers, one after the other")
    parser.add_argument("--sets", nargs="+", default=["xquad_en", "xquad_zh", "cmrc2018"], metavar="NAME")
    parser.add_argument("--queries", type=int, default=100, help="questions of each set")
    parser.add_argument("--kill-at", type=float, default=0.4, help="share of the way at which the mover is killed")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Move there and back; returns a JSON object. Raises BackendError where a server does not do its work."""
    embedder = open_embedder(settings)
    qa = settings.eval_data / "qa"
    questions = {name: read_questions(qa / f"{name}.dev.jsonl", options.queries) for name in options.sets}
    with tempfile.TemporaryDirectory() as folder:
        home = settings.model_copy(update={"home": Path(folder), "index_url": ""})
        shutil.copytree(settings.paths.collections, home.paths.collections)
        _add_contexts(Library(home, embedder), options, qa)
        before = _asked(home, embedder, options.collection, questions)
        result: dict[str, Any] = {"evaluation": "moving", "here": _measures(before, questions), "servers": {}}
        for url in options.to:
            trip = _there_and_back(home, embedder, url, options)
            there = _asked(home.model_copy(update={"index_url": url}), embedder, options.collection, questions)
            trip |= _measures(there, questions) | {"against_here": _agreement(before, there)}
            started = time.perf_counter()
            move_back(Library(home, embedder), options.collection, open_backend(url))
            back = _asked(home, embedder, options.collection, questions)
            trip |= {"back_seconds": _since(started), "back_against_here": _agreement(before, back)}
            result["servers"][open_backend(url).name] = trip
    return result


def _add_contexts(library: Library, options: argparse.Namespace, qa: Path) -> None:
    with library.writer(options.collection) as store:
        for name in options.sets:
            for passage in read_contexts(qa / f"{name}.contexts.jsonl"):
                document, chunks = document_of(passage)
                # The contexts of two languages of one set have the same ids.
                store.put_document(replace(document, uri=f"{name}/{passage.id}"), chunks)
        while pending := store.chunks_without_vectors(_BATCH):
            vectors = library.embedder.embed_documents([chunk.embedded_text for chunk in pending])
            store.put_vectors([chunk.id for chunk in pending], vectors)
        # As a move begins, so that both places count words over the same passages.
        refresh_words(store, force=True)


def _there_and_back(home: Settings, embedder: Embedder, url: str, options: argparse.Namespace) -> dict[str, Any]:
    """Kill a mover midway, then go on; what was sent before the kill is not sent again."""
    killed_at, to_send, seconds = _killed(home, url, options)
    resent: list[int] = []
    started = time.perf_counter()
    moved = move_to(
        Library(home, embedder), options.collection, open_backend(url), lambda done, all_: resent.append(all_)
    )
    return {
        "chunks": moved.chunks,
        "vectors": moved.vectors,
        "overlap": round(moved.overlap, 4),
        "killed_after": [killed_at, to_send],
        "seconds_until_killed": seconds,
        "sent_after_the_kill": resent[0] if resent else 0,
        "seconds_after_the_kill": _since(started),
    }


def _killed(home: Settings, url: str, options: argparse.Namespace) -> tuple[int, int, float]:
    """Start a mover and end it with SIGKILL; how much it had told to be sent, of how much, and its seconds."""
    command = [sys.executable, "-m", "retrieval", "move", "--collection", options.collection, "--to", url]
    started = time.perf_counter()
    mover = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "FOURFOLD_HOME": str(home.home)}
    )
    sent = to_send = 0
    for line in mover.stderr or ():
        if " / " not in line:
            continue
        sent, to_send = (int(part.replace(",", "")) for part in line.split(" / "))
        if sent >= options.kill_at * to_send:
            break
    mover.send_signal(signal.SIGKILL)
    mover.wait()
    return sent, to_send, _since(started)


Answers = dict[str, list[Retrieval]]
Questions = dict[str, list[ExamQuestion]]


def _asked(settings: Settings, embedder: Embedder, collection: str, questions: Questions) -> Answers:
    searcher = Library(settings, embedder).searcher()
    scope = Scope(collection)
    # The first question opens the collection, which is not what a question costs.
    searcher.retrieve("warm", scope, _TOP)
    found = {name: [searcher.retrieve(asked.text, scope, _TOP) for asked in rows] for name, rows in questions.items()}
    searcher.close()
    return found


def _measures(answers: Answers, questions: Questions) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for name, found in answers.items():
        rankings = [[scored.chunk.uri for scored in one.chunks] for one in found]
        relevant = [[f"{name}/{context}" for context in asked.context_ids] for asked in questions[name]]
        pairs = list(zip(rankings, relevant, strict=True))
        rows[name] = {
            "n": len(pairs),
            "ndcg@10": round(fmean(ndcg(ranking, right, _TOP) for ranking, right in pairs), 4),
            "hit@1": round(fmean(hit(ranking, right, 1) for ranking, right in pairs), 4),
        }
    milliseconds = [
        one.milliseconds["total"] - one.milliseconds["encode"] for found in answers.values() for one in found
    ]
    return {"sets": rows, "milliseconds_p50": round(median(milliseconds), 1)}


def _agreement(one: Answers, other: Answers) -> dict[str, float]:
    """The shares of questions with the same answer, the same ten in their order, the same level of evidence.

    An answer is the same where the best passage is, or has the same text, or where both best passages have the same
    score, there as here: of equal ones any may come first.
    """
    pairs = [pair for name in one for pair in zip(one[name], other[name], strict=True)]
    ids = [(_ids(mine), _ids(theirs)) for mine, theirs in pairs]
    shared = [len(set(mine) & set(theirs)) / max(1, len(mine)) for mine, theirs in ids]
    return {
        "n": len(pairs),
        "same_first": round(fmean(_is_same_first(mine, theirs) for mine, theirs in pairs), 4),
        "same_ten": round(fmean(mine == theirs for mine, theirs in ids), 4),
        "shared_of_ten": round(fmean(shared), 4),
        "same_evidence": round(fmean(mine.evidence.level == theirs.evidence.level for mine, theirs in pairs), 4),
    }


def _ids(found: Retrieval) -> Sequence[str]:
    return [scored.chunk.id for scored in found.chunks]


def _is_same_first(mine: Retrieval, theirs: Retrieval) -> bool:
    if not mine.chunks or not theirs.chunks:
        return mine.chunks == theirs.chunks
    one, other = mine.chunks[0].chunk, theirs.chunks[0].chunk
    scores = [{hit.chunk.id: hit.score for hit in found.chunks} for found in (mine, theirs)]
    is_tied = all(abs(found.get(one.id, 2.0) - found.get(other.id, 3.0)) < _TIED for found in scores)
    return one.id == other.id or one.text == other.text or is_tied


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 1)
