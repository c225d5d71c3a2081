"""Our splitter as LangChain knows splitters, for chains of your own."""

from typing import Any

from langchain_text_splitters import TextSplitter

from core.types import Document, Page
from ingest.splitter import Splitter
from ingest.types import Structure
from retrieval.protocol import Embedder


class EncoderTextSplitter(TextSplitter):
    """Cuts text as ingest does, counted in the encoder's own tokens; `structure` tells how to read the text."""

    def __init__(
        self,
        embedder: Embedder,
        structure: Structure = "markdown",
        chunk_size: int = 190,
        chunk_overlap: int = 24,
        **kwargs: Any,
    ) -> None:
        super().__init__(chunk_size=chunk_size, chunk_overlap=chunk_overlap, **kwargs)
        self._splitter = Splitter(embedder, chunk_size, chunk_overlap)
        self._structure = structure

    def split_text(self, text: str) -> list[str]:
        """The chunks' texts; each is an exact part of `text`."""
        made = Document("", "", (Page(text),), "", metadata={"structure": self._structure})
        return [chunk.text for chunk in self._splitter.split(made)]
