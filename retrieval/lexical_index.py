"""Keyword search (BM25) by tantivy, which is imported here and in `analysis.py` only.

The index holds terms that `analysis` made; tantivy only splits them at the blanks between them. Its rows are chunk
numbers, and nothing is stored but what a search needs. Weights were chosen by measurement (evaluation/DECISIONS.md).
"""

import bisect
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tantivy

from core.types import Chunk
from retrieval.analysis import letters, quoted_phrases, terms

Field = str
FIELD_WEIGHTS: Mapping[Field, float] = {"body": 1.0, "heading": 1.0, "letters": 0.25}
_HEAP_BYTES = 64_000_000
Row = tuple[int, int, Chunk]
Lift = Callable[[Field, str], float]


@dataclass(frozen=True)
class LexicalQuery:
    """A question as the keyword index sees it: terms by field with their counts, and phrases that must stand there."""

    by_field: Mapping[Field, Counter[str]]
    phrases: tuple[tuple[str, ...], ...] = ()

    @property
    def words(self) -> Counter[str]:
        """The terms without the single characters."""
        return self.by_field["body"]


@dataclass(frozen=True)
class LexicalHit:
    """A chunk's number and its BM25 score."""

    number: int
    score: float


def parse_query(text: str) -> LexicalQuery:
    """Analyse a question; what stands in quotation marks becomes a phrase."""
    words = Counter(terms(text))
    phrases = tuple(found for phrase in quoted_phrases(text) if (found := tuple(terms(phrase))))
    return LexicalQuery({"body": words, "heading": words, "letters": Counter(letters(text))}, phrases)


def field_terms(chunk: Chunk) -> dict[Field, list[str]]:
    """The terms of a chunk by field."""
    heading = " ".join(dict.fromkeys(name for name in (chunk.title, *chunk.heading_path) if name))
    return {"heading": terms(heading), "body": terms(chunk.text), "letters": letters(chunk.text)}


def _roundings() -> list[int]:
    """Exact below 40, then eight steps each of 2, 4, 8, ... terms: tantivy keeps a length in one byte."""
    lengths, step = list(range(40)), 2
    while len(lengths) < 256:
        first = lengths[-1] + (1 if step == 2 else step // 2)
        lengths += [first + step * place for place in range(8)]
        step *= 2
    return lengths[:256]


_LENGTHS = _roundings()


def rounded_length(terms_in_field: int) -> int:
    """The length of a field as BM25 counts it, rounded down as tantivy does, so that every place scores alike."""
    return _LENGTHS[bisect.bisect_right(_LENGTHS, terms_in_field) - 1]


class LexicalIndex:
    """Terms of chunks, on the disk or in memory. Any number of threads may search."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the index in `folder`, made where it is missing; without a folder it lives in memory."""
        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("number", indexed=True, fast=True)
        schema.add_unsigned_field("document", indexed=True)
        for field in FIELD_WEIGHTS:
            # Phrases are looked for among words only: the places of single characters would be dead weight.
            option = "freq" if field == "letters" else "position"
            schema.add_text_field(field, tokenizer_name="whitespace", index_option=option)
        self._schema = schema.build()
        self._index = tantivy.Index(self._schema, path=None if folder is None else str(folder))
        splitter = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("whitespace", splitter)

    def update(self, rows: Iterable[Row], removed: Iterable[int] = ()) -> dict[Field, int]:
        """Add (chunk number, document number, chunk) and take removed numbers out, in one commit.

        Returns how many terms were added to each field.
        """
        added = dict.fromkeys(FIELD_WEIGHTS, 0)
        writer = self._index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        if gone := list(removed):
            writer.delete_documents_by_query(tantivy.Query.term_set_query(self._schema, "number", gone))
        for number, document, chunk in rows:
            row = tantivy.Document()
            row.add_unsigned("number", number)
            row.add_unsigned("document", document)
            for field, found in field_terms(chunk).items():
                row.add_text(field, " ".join(found))
                added[field] += len(found)
            writer.add_document(row)
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        return added

    def __len__(self) -> int:
        return int(self._index.searcher().num_docs)

    def search(
        self, query: LexicalQuery, top_k: int, documents: Collection[int] | None = None, lift: Lift | None = None
    ) -> list[LexicalHit]:
        """The best `top_k` chunks holding any of the terms and all of the phrases, best first.

        `documents` are the numbers of the documents to look in, where only some are wanted. `lift` is what the rarity
        of a term has to be multiplied by, where there are more chunks than those of this index.
        """
        if not query.words and not query.by_field["letters"]:
            return []
        searcher = self._index.searcher()
        hits = searcher.search(self._compile(query, documents, lift), limit=top_k, count=False).hits
        numbers: list[Any] = searcher.fast_field_values("number", [address for _, address in hits]) if hits else []
        return [LexicalHit(number, float(score)) for number, (score, _) in zip(numbers, hits, strict=True)]

    def document_frequency(self, field: Field, term: str) -> int:
        """In how many chunks the term stands, in this field."""
        return int(self._index.searcher().doc_freq(field, term))

    def _compile(
        self, query: LexicalQuery, documents: Collection[int] | None, lift: Lift | None = None
    ) -> tantivy.Query:
        lifted = lift or (lambda field, term: 1.0)
        parts = [
            (tantivy.Occur.Should, self._term(field, term, FIELD_WEIGHTS[field] * count * lifted(field, term)))
            for field, counts in query.by_field.items()
            for term, count in counts.items()
        ]
        # A phrase lets through and adds nothing: its words count already, here as in every other place.
        wanted = [tantivy.Query.const_score_query(self._phrase(phrase), 0.0) for phrase in query.phrases]
        if documents is not None:
            chosen = tantivy.Query.term_set_query(self._schema, "document", list(documents))
            wanted += [tantivy.Query.boolean_query(parts), tantivy.Query.const_score_query(chosen, 0.0)]
            parts = []
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, part) for part in wanted] + parts)

    def _term(self, field: Field, term: str, weight: float) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, term, index_option="freq")
        return query if weight == 1.0 else tantivy.Query.boost_query(query, weight)

    def _phrase(self, phrase: Sequence[str]) -> tantivy.Query:
        def within(field: Field) -> tantivy.Query:
            if len(phrase) == 1:
                return self._term(field, phrase[0], 1.0)
            return tantivy.Query.phrase_query(self._schema, field, list(phrase))

        return tantivy.Query.boolean_query([(tantivy.Occur.Should, within(field)) for field in ("body", "heading")])
