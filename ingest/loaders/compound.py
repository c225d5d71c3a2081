"""OLE compound files: the container of the old office formats and of Outlook messages."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import olefile

from ingest import reasons
from ingest.types import Source


def stream_names(source: Source) -> set[str]:
    """Names of the streams and storages at the top. Raises DocumentDamagedError where the container is broken."""
    with opened(source) as container:
        return {entry[0] for entry in container.listdir(streams=True, storages=True)}


@contextmanager
def opened(source: Source) -> Iterator[Any]:
    """The compound file; every failure inside the block is a DocumentDamagedError."""
    try:
        container = olefile.OleFileIO(io.BytesIO(source.data))
    except (OSError, ValueError, IndexError, TypeError, RecursionError) as error:
        raise reasons.damaged(source.name, str(error)) from error
    try:
        yield container
    except (OSError, ValueError, IndexError) as error:
        raise reasons.damaged(source.name, str(error)) from error
    finally:
        container.close()


def read_stream(container: Any, *path: str) -> bytes:
    """The bytes of a stream; empty where it is missing or broken."""
    try:
        if not container.exists(list(path)):
            return b""
        with container.openstream(list(path)) as stream:
            data: bytes = stream.read()
            return data
    except (OSError, ValueError, IndexError):
        return b""
