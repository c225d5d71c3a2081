"""What is said where a server of search indexes does not do its work, the same for every kind of server."""

from core.language import Bilingual
from retrieval.backends.contract import CollectionKey


def describe_failure(name: str, error: Exception) -> Bilingual:
    """A server that does not answer, or refuses; its name holds no password."""
    # The reason only: libpq repeats the address, and with it a user's name.
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Bilingual(
        en=f"The index server {name} (setting index_url) does not do its work: {reason}. "
        f"Start it, or empty index_url to search on this machine.",
        zh=f"索引服务器 {name}（设置项 index_url）无法工作：{reason}。请启动该服务器，或清空 index_url 以在本机检索。",
    )


def describe_mismatch(name: str, key: CollectionKey, known: str) -> Bilingual:
    """A copy that another encoder made."""
    return Bilingual(
        en=f"On {name} the collection {key.name!r} was made with the encoder {known!r}, but {key.encoder!r} is set. "
        f"Go back to it, or drop the copy: python -m retrieval drop --collection {key.name}",
        zh=f"{name} 上的文档集“{key.name}”由编码器“{known}”建立，而当前设置为“{key.encoder}”。"
        f"请改回原设置，或删除该副本：python -m retrieval drop --collection {key.name}",
    )
