"""Which documents a scope lets through."""

from pathlib import PurePath

from core.types import Scope
from retrieval.records import DocumentRecord


def lets_through(scope: Scope, record: DocumentRecord) -> bool:
    """Whether every filter of `scope` holds for the document. The collection is not looked at."""
    return (
        _any(scope.document_ids, (record.id,))
        and _any(scope.tags, record.tags)
        and _any(scope.media_types, (record.media_type,))
        and _any(scope.languages, (record.language,))
        and (not scope.folders or any(_lies_in(record.uri, folder) for folder in scope.folders))
        and (scope.modified_after is None or (record.modified_at or 0.0) >= scope.modified_after)
        and (scope.modified_before is None or (record.modified_at or 0.0) < scope.modified_before)
    )


def _any(wanted: tuple[str, ...], present: tuple[str, ...]) -> bool:
    return not wanted or any(value in present for value in wanted)


def _lies_in(uri: str, folder: str) -> bool:
    return PurePath(folder) in PurePath(uri).parents
