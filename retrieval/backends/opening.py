"""Which server a URL names."""

from core.errors import MissingExtraError, SettingError
from core.language import Bilingual
from retrieval.backends.contract import Backend

_POSTGRES = ("postgresql", "postgres")
_MILVUS = ("milvus", "milvus+https")


def open_backend(url: str) -> Backend:
    """The server at `url`; nothing is connected yet.

    Raises SettingError for a kind of server that is not known, MissingExtraError where its package is not installed.
    """
    scheme = url.partition("://")[0]
    if scheme in _POSTGRES:
        return _postgres(url)
    if scheme in _MILVUS:
        return _milvus(url)
    raise SettingError(
        Bilingual(
            en=f"The setting index_url (FOURFOLD_INDEX_URL) begins with {scheme!r}; it knows postgresql://… and "
            "milvus://….",
            zh=f"设置项 index_url（FOURFOLD_INDEX_URL）以“{scheme}”开头；可用的是 postgresql://…… 与 milvus://……。",
        )
    )


def _postgres(url: str) -> Backend:
    try:
        from retrieval.backends.postgres import PostgresBackend
    except ImportError as error:
        raise MissingExtraError(Bilingual("An index in PostgreSQL", "PostgreSQL 索引"), "postgres") from error
    return PostgresBackend(url)


def _milvus(url: str) -> Backend:
    try:
        from retrieval.backends.milvus import MilvusBackend
    except ImportError as error:
        raise MissingExtraError(Bilingual("An index in Milvus", "Milvus 索引"), "milvus") from error
    return MilvusBackend(url)
