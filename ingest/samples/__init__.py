"""The sample documents of a fictional bookshop, in both languages, so that the first question works.

They lie in the default collection until a user puts documents of their own there; then they move to one of their own.
"""

import functools
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import Settings
from core.types import DEFAULT_COLLECTION, Mode
from retrieval.schema import FILE_NAME

if TYPE_CHECKING:
    from retrieval.library import Library

SAMPLE_TAG = "sample"
SAMPLE_COLLECTION = "samples"
_FOLDER = Path(__file__).parent
_VERSION = "1"
_MARK = "samples"
_MOVED = "moved"


@dataclass(frozen=True)
class SuggestedQuestion:
    """A question that the samples answer, and the mode that shows it best."""

    text: str
    mode: Mode
    language: str


def sample_folder() -> Path:
    """Where the documents lie."""
    return _FOLDER / "documents"


@functools.cache
def suggested_questions() -> tuple[SuggestedQuestion, ...]:
    """Questions to begin with, in English and in Chinese, at least one for each mode."""
    rows = json.loads((_FOLDER / "questions.json").read_text(encoding="utf-8"))
    return tuple(SuggestedQuestion(row["text"], row["mode"], row["language"]) for row in rows)


def ensure_sample_collection(library: "Library", settings: Settings, *, embed: bool = True) -> str:
    """Ingest the samples into the default collection where that does not exist yet; returns the collection's name.

    A default collection that somebody made with documents of their own is left alone, and so are samples that were
    deleted from it. An interrupted first start is completed. With `embed` False the samples can be found by their
    words alone, for now.
    """
    if library.exists(DEFAULT_COLLECTION):
        with library.reader(DEFAULT_COLLECTION) as store:
            state = store.meta(_MARK)
            is_empty = not store.counts()["documents"]
        if state in (_VERSION, _MOVED) or (state is None and not is_empty):
            return DEFAULT_COLLECTION
    with library.writer(DEFAULT_COLLECTION, wait_seconds=30.0) as store:
        store.set_meta(_MARK, "begun")
    # The questions are wanted by the first page; the pipeline with its libraries is not.
    from ingest.pipeline import IngestOptions, IngestPipeline

    options = IngestOptions(embed=embed, tags=(SAMPLE_TAG,))
    for _ in IngestPipeline(library, settings).run([sample_folder()], DEFAULT_COLLECTION, options):
        pass
    with library.writer(DEFAULT_COLLECTION, wait_seconds=30.0) as store:
        store.set_meta(_MARK, _VERSION)
    return DEFAULT_COLLECTION


def sample_collection(settings: Settings) -> str:
    """Where the samples are now."""
    moved = (settings.paths.collection(SAMPLE_COLLECTION) / FILE_NAME).is_file()
    return SAMPLE_COLLECTION if moved else DEFAULT_COLLECTION


def make_way(library: "Library", collection: str, paths: Sequence[Path]) -> bool:
    """Move the samples out of the default collection before documents of the user come in; whether there were any.

    Their own collection is searchable by words at once; its vectors follow at the next start.
    """
    if collection != DEFAULT_COLLECTION or all(path.is_relative_to(sample_folder()) for path in paths):
        return False
    if not library.exists(DEFAULT_COLLECTION):
        return False
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        samples = [record.id for record in store.documents() if Path(record.uri).is_relative_to(sample_folder())]
        if store.meta(_MARK) is None or not samples:
            return False
    from ingest.pipeline import IngestOptions, IngestPipeline

    options = IngestOptions(embed=False, tags=(SAMPLE_TAG,))
    for _ in IngestPipeline(library, library.settings).run([sample_folder()], SAMPLE_COLLECTION, options):
        pass
    with library.writer(DEFAULT_COLLECTION, wait_seconds=30.0) as store:
        for document_id in samples:
            store.remove_document(document_id)
        store.set_meta(_MARK, _MOVED)
    return True
