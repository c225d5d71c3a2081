"""Which server a URL names."""

from core.errors import MissingExtraError, SettingError
from core.language import Bilingual
from retrieval.backends.contract import Backend


def open_backend(url: str) -> Backend:
    """The server at `url`; nothing is connected yet.

    Raises SettingError for a kind of server that is not known, MissingExtraError where its package is not installed.
    """
    scheme = url.partition("://")[0]
    if scheme not in ("postgresql", "postgres"):
        raise SettingError(
            Bilingual(
                en=f"The setting index_url (FOURFOLD_INDEX_URL) begins with {scheme!r}; it knows postgresql://… only.",
                zh=f"设置项 index_url（FOURFOLD_INDEX_URL）以“{scheme}”开头；可用的是 postgresql://……。",
            )
        )
    try:
        from retrieval.backends.postgres import PostgresBackend
    except ImportError as error:
        raise MissingExtraError(Bilingual("An index in PostgreSQL", "PostgreSQL 索引"), "postgres") from error
    return PostgresBackend(url)
