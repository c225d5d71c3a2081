"""Chunks: exact spans, counted in the encoder's own tokens, nothing lost, headers kept."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import Settings
from core.types import PAGE_BREAK, Document, Page
from ingest.langchain_splitter import EncoderTextSplitter
from ingest.splitter import Splitter
from ingest.types import Structure
from retrieval.embedder import open_embedder
from retrieval.fakes import HashEmbedder
from retrieval.protocol import Embedder

LIMIT, OVERLAP = 60, 12


@pytest.fixture(scope="session")
def encoder():
    return open_embedder(Settings())


def document(
    *texts: str, structure: str = "markdown", title: str = "T", paged: bool = False, **metadata: object
) -> Document:
    pages = tuple(Page(text, number if paged else None) for number, text in enumerate(texts, 1))
    return Document("file", title, pages, "hash", metadata={"structure": structure, **metadata})


def whole_text(made: Document) -> str:
    return PAGE_BREAK.join(page.text for page in made.pages)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def sentences(count: int, start: int = 0) -> str:
    return " ".join(f"Sentence number {n} speaks of harbour {n} and its lanterns." for n in range(start, start + count))


def test_every_chunk_is_an_exact_span_and_fits_the_encoder(encoder: Embedder):
    made = document(f"# One\n\n{sentences(20)}\n\n## Two\n\n{sentences(12, 20)}\n\n# Three\n\nShort.")
    chunks = Splitter(encoder, LIMIT, OVERLAP).split(made)
    text = whole_text(made)
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert max(encoder.count_tokens([chunk.text for chunk in chunks])) <= LIMIT
    assert max(encoder.count_tokens([chunk.embedded_text for chunk in chunks])) <= encoder.max_tokens - 2
    covered = {word for chunk in chunks for word in words(chunk.embedded_text)}
    assert set(words(text)) <= covered


def test_chunks_begin_and_end_with_sentences_and_share_some(encoder: Embedder):
    chunks = Splitter(encoder, LIMIT, 2 * OVERLAP).split(document(sentences(20)))
    assert all(chunk.text.startswith("Sentence") and chunk.text.endswith("lanterns.") for chunk in chunks)
    shared = [second.start < first.end for first, second in itertools.pairwise(chunks)]
    assert all(shared)
    assert len({chunk.start for chunk in chunks}) == len(chunks)


def test_no_overlap_when_none_is_wanted(encoder: Embedder):
    chunks = Splitter(encoder, LIMIT, 0).split(document(sentences(20)))
    assert all(first.end <= second.start for first, second in itertools.pairwise(chunks))


def test_chinese_sentences_stay_whole(encoder: Embedder):
    text = "".join(f"第{n}号灯塔建于港口，每晚准时点亮。" for n in range(30))
    chunks = Splitter(encoder, LIMIT, OVERLAP).split(document(text))
    assert len(chunks) > 3
    assert all(chunk.text.startswith("第") and chunk.text.endswith("。") and chunk.language == "zh" for chunk in chunks)


def test_heading_paths_follow_the_levels(encoder: Embedder):
    body = sentences(4)
    made = document(f"# A\n\n{body}\n\n## B {{#anchor}}\n\n{body}\n\n### C\n\n{body}\n\n## D\n\n{body}")
    paths = list(dict.fromkeys(chunk.heading_path for chunk in Splitter(encoder, LIMIT, 0).split(made)))
    assert paths == [("A",), ("A", "B"), ("A", "B", "C"), ("A", "D")]


def test_tiny_sections_are_joined_under_what_they_share(encoder: Embedder):
    chunks = Splitter(encoder, 120, 0).split(document("# Menu\n\n## Tea\n\nTwo pounds.\n\n## Cake\n\nThree pounds.\n"))
    assert len(chunks) == 1
    assert chunks[0].heading_path == ("Menu",)
    assert "## Tea" in chunks[0].text
    assert "Three pounds." in chunks[0].text


def test_a_long_table_is_cut_between_rows_and_remembers_its_header(encoder: Embedder):
    rows = "\n".join(f"| item {n} | {n * 10} pounds | shelf {n} |" for n in range(40))
    made = document(f"# Prices\n\n| name | price | place |\n| --- | --- | --- |\n{rows}\n")
    chunks = Splitter(encoder, LIMIT, OVERLAP).split(made)
    assert len(chunks) > 5
    assert chunks[0].text.startswith("| name | price | place |\n| --- | --- | --- |\n| item 0 |")
    for chunk in chunks[1:]:
        assert chunk.metadata["table_header"] == "| name | price | place |"
        assert "| name | price | place |\n" in chunk.embedded_text
        assert all(re.fullmatch(r"\| item \d+ \|.*\|", line) for line in chunk.text.split("\n"))


def test_small_tables_and_code_stay_whole(encoder: Embedder):
    code = "```python\n" + "\n".join(f"value_{n} = {n}" for n in range(6)) + "\n```"
    table = "| a | b |\n| - | - |\n| -- | -- |\n"
    made = document(f"# H\n\n{sentences(3)}\n\n{code}\n\n{sentences(3)}\n\n{table}")
    holders = [chunk for chunk in Splitter(encoder, LIMIT, 0).split(made) if "```" in chunk.text]
    assert len(holders) == 1
    assert code in holders[0].text


def test_a_heading_inside_code_is_no_heading(encoder: Embedder):
    made = document("# Real\n\n```sh\n# comment, not a heading\nls\n```\n")
    assert [chunk.heading_path for chunk in Splitter(encoder, LIMIT, 0).split(made)] == [("Real",)]


def test_chunks_keep_to_one_page_and_know_it(encoder: Embedder):
    made = document(sentences(6), sentences(6, 6), "", sentences(2, 12), structure="plain", paged=True)
    chunks = Splitter(encoder, LIMIT, OVERLAP).split(made)
    starts = [0]
    for page in made.pages:
        starts.append(starts[-1] + len(page.text) + len(PAGE_BREAK))
    for chunk in chunks:
        assert chunk.page is not None
        assert starts[chunk.page - 1] <= chunk.start
        assert chunk.end <= starts[chunk.page]
    assert {chunk.page for chunk in chunks} == {1, 2, 4}


def test_bookmarks_of_a_pdf_become_heading_paths(encoder: Embedder):
    outline = [[1, "Part I", 1], [2, "Chapter 2", 2], [1, "Part II", 3]]
    pages = [sentences(2, n) for n in (0, 2, 4)]
    made = document(*pages, structure="plain", paged=True, outline=outline)
    paths = {chunk.page: chunk.heading_path for chunk in Splitter(encoder, LIMIT, 0).split(made)}
    assert paths == {1: ("Part I",), 2: ("Part I", "Chapter 2"), 3: ("Part II",)}


def test_a_word_without_end_is_cut_to_fit(encoder: Embedder):
    chunks = Splitter(encoder, LIMIT, OVERLAP).split(document("x" * 5_000, structure="plain"))
    assert max(encoder.count_tokens([chunk.text for chunk in chunks])) <= LIMIT
    assert "".join(chunk.text for chunk in chunks) == "x" * 5_000


def test_a_long_title_leaves_less_room(encoder: Embedder):
    made = document(sentences(20), title="A very long title about lanterns " * 12)
    chunks = Splitter(encoder, 190, 0).split(made)
    assert max(encoder.count_tokens([chunk.embedded_text for chunk in chunks])) <= encoder.max_tokens - 2


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.sampled_from(list("ab #|-`\n.。？中文1(")), max_size=400), st.sampled_from(["markdown", "plain", "code"])
)
def test_any_text_gives_exact_spans_and_loses_no_letter(text: str, structure: Structure):
    made = document(text, structure=structure, title="")
    chunks = Splitter(HashEmbedder(), 40, 8).split(made)
    assert all(text[chunk.start : chunk.end] == chunk.text and chunk.text.strip() for chunk in chunks)
    kept = {place for chunk in chunks for place in range(chunk.start, chunk.end)}
    headings = {title for chunk in chunks for title in chunk.heading_path}
    lost = [text[place] for place in range(len(text)) if place not in kept and text[place].isalnum()]
    assert all(any(letter in title for title in headings) for letter in lost)


def test_langchain_takes_the_splitter(encoder: Embedder):
    splitter = EncoderTextSplitter(encoder, chunk_size=LIMIT, chunk_overlap=0, add_start_index=True)
    text = f"# One\n\n{sentences(12)}"
    made = splitter.create_documents([text], [{"source": "a"}])
    assert [piece.page_content for piece in made] == [
        chunk.text for chunk in Splitter(encoder, LIMIT, 0).split(document(text, title=""))
    ]
    assert all(text[piece.metadata["start_index"] :].startswith(piece.page_content) for piece in made)
    assert made[0].metadata["source"] == "a"
