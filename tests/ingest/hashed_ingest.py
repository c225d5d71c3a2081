"""Ingest of PATH into HOME in a process of its own, with the encoder that needs no model."""

import sys
from pathlib import Path

from core.config import Settings
from ingest.pipeline import IngestPipeline
from retrieval.fakes import HashEmbedder
from retrieval.library import Library


def main() -> None:
    """Ingest PATH into the default collection of HOME."""
    settings = Settings(home=Path(sys.argv[1]), chunk_tokens=60, chunk_overlap=8)
    for _ in IngestPipeline(Library(settings, HashEmbedder()), settings).run([Path(sys.argv[2])]):
        pass


if __name__ == "__main__":
    main()
