"""Keyword search (BM25) by tantivy, which is imported here and in `analysis.py` only.

The index holds terms that `analysis.terms` made; tantivy only splits them at the blanks between them. Its rows are
chunk numbers, and nothing is stored but what a search needs.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tantivy

from core.types import Chunk
from retrieval.analysis import terms

_HEAP_BYTES = 64_000_000
HEADING_WEIGHT = 0.5


@dataclass(frozen=True)
class LexicalHit:
    """A chunk's number and its BM25 score."""

    number: int
    score: float


class LexicalIndex:
    """Terms of chunks, on the disk or in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the index in `folder`, made where it is missing; without a folder it lives in memory."""
        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("number", indexed=True, fast=True)
        schema.add_unsigned_field("document", indexed=True)
        schema.add_text_field("heading", tokenizer_name="whitespace", index_option="position")
        schema.add_text_field("body", tokenizer_name="whitespace", index_option="position")
        self._schema = schema.build()
        self._index = tantivy.Index(self._schema, path=None if folder is None else str(folder))
        self._index.register_tokenizer(
            "whitespace", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        )

    def add(self, chunks: Iterable[tuple[int, int, Chunk]]) -> None:
        """Add (chunk number, document number, chunk); searchable when this returns."""
        writer = self._index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        for number, document, chunk in chunks:
            heading = " ".join(dict.fromkeys(name for name in (chunk.title, *chunk.heading_path) if name))
            row = tantivy.Document()
            row.add_unsigned("number", number)
            row.add_unsigned("document", document)
            row.add_text("heading", " ".join(terms(heading)))
            row.add_text("body", " ".join(terms(chunk.text)))
            writer.add_document(row)
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()

    def __len__(self) -> int:
        return int(self._index.searcher().num_docs)

    def search(
        self, query_terms: Sequence[str], top_k: int, documents: Sequence[int] | None = None
    ) -> list[LexicalHit]:
        """The best `top_k` chunks holding any of the terms, best first; of `documents` only, where they are given."""
        if not query_terms or top_k <= 0:
            return []
        query = self._any_of(query_terms)
        if documents is not None:
            query = self._within(query, documents)
        searcher = self._index.searcher()
        hits = searcher.search(query, limit=top_k, count=False).hits
        numbers: list[Any] = searcher.fast_field_values("number", [address for _, address in hits]) if hits else []
        return [LexicalHit(number, float(score)) for number, (score, _) in zip(numbers, hits, strict=True)]

    def document_frequency(self, term: str) -> int:
        """In how many chunks' bodies the term stands."""
        return int(self._index.searcher().doc_freq("body", term))

    def _any_of(self, query_terms: Sequence[str]) -> tantivy.Query:
        parts = []
        for term, count in Counter(query_terms).items():
            for field, weight in (("body", 1.0), ("heading", HEADING_WEIGHT)):
                query = tantivy.Query.term_query(self._schema, field, term, index_option="freq")
                parts.append((tantivy.Occur.Should, tantivy.Query.boost_query(query, weight * count)))
        return tantivy.Query.boolean_query(parts)

    def _within(self, query: tantivy.Query, documents: Sequence[int]) -> tantivy.Query:
        allowed = tantivy.Query.term_set_query(self._schema, "document", list(documents))
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, query), (tantivy.Occur.Must, tantivy.Query.const_score_query(allowed, 0.0))]
        )
