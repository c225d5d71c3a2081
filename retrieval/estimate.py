"""What a collection of so many passages takes: memory, disk, and processor time, before anything is built.

Figures a vector are measured (evaluation/DECISIONS.md, docs/scaling.md) and multiplied; nothing here was timed on the
machine that asks.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.errors import CollectionError
from core.language import Bilingual
from retrieval.vector_index import Kind, kind_for
from retrieval.vector_lists import lists_for

GB = 1e9
# Bytes a passage: its row with text and vector in SQLite, its words in tantivy, what a search keeps of it besides.
_ROW, _WORDS, _VIEW = 3_150, 200, 30
# Links of a graph and the factors of a list's entry, beside their codes.
_LINKS, _ENTRY = 216, 18
# Processor seconds a million: a graph with and without care, the bits and codes of lists, one list to compare with.
_GRAPH, _GRAPH_LARGE, _LARGE, _BITS, _A_LIST = 680.0, 303.0, 250_000, 12.0, 0.01
# Processor seconds a million for the truth that a search is tuned by, for rows, and for words.
_TUNING, _ROWS_SECONDS, _WORDS_SECONDS = 15.0, 142.0, 82.0
# Passages that one core encodes in a second by the default encoder.
ENCODED = 15.0


@dataclass(frozen=True)
class Needs:
    """Bytes and processor seconds. `building` is memory while the index is made; `index_disk` is one generation's."""

    kind: Kind
    memory: float
    building: float
    disk: float
    index_disk: float
    index_seconds: float
    encoding_seconds: float


def needs_of(passages: int, dimension: int = 384, *, compact: bool = False) -> Needs:
    """What so many passages take."""
    kind = kind_for(passages, compact=compact)
    vector, code, millions = 4.0 * dimension, float(dimension), passages / 1e6
    memory = {"exact": vector, "fine": code + _LINKS, "lists": dimension / 8 + _ENTRY}[kind]
    building = {"exact": 0.0, "fine": memory, "lists": memory + code}[kind]
    on_disk = 0.0 if kind == "exact" else vector + building + 8
    a_million = {
        "exact": 0.0,
        "fine": _TUNING + (_GRAPH if passages <= _LARGE else _GRAPH_LARGE),
        "lists": _TUNING + _BITS + _A_LIST * lists_for(passages),
    }[kind]
    return Needs(
        kind=kind,
        memory=passages * (memory + _VIEW),
        building=passages * building,
        disk=passages * (_ROW + _WORDS + on_disk),
        index_disk=passages * (_WORDS + on_disk),
        index_seconds=millions * (a_million + _ROWS_SECONDS + _WORDS_SECONDS),
        encoding_seconds=passages / ENCODED,
    )


def described(passages: int, needs: Needs) -> Bilingual:
    """The needs in words."""
    memory, building, disk = needs.memory / GB, needs.building / GB, needs.disk / GB
    again, minutes, hours = needs.index_disk / GB, needs.index_seconds / 60, needs.encoding_seconds / 3600
    return Bilingual(
        en=f"{passages:,} passages ({needs.kind}): some {memory:.1f} GB of memory to search and {building:.1f} GB more "
        f"while the index of the vectors is made, {disk:.1f} GB on the disk and {again:.1f} GB more while a new index "
        f"is made; {minutes:.0f} minutes of one core to store and index them, {hours:.1f} hours of one to encode them.",
        zh=f"{passages:,} 个段落（{needs.kind}）：检索约需内存 {memory:.1f} GB，构建向量索引时另需 {building:.1f} GB；"
        f"磁盘 {disk:.1f} GB，重建索引时另需 {again:.1f} GB；"
        f"存储与索引约需单核 {minutes:.0f} 分钟，编码约需单核 {hours:.1f} 小时。",
    )


def graph_fits(vectors: int, dimension: int) -> bool:
    """Whether the memory that is free holds a graph of so many vectors."""
    return needs_of(vectors, dimension).building <= psutil.virtual_memory().available


def check_room(folder: Path, name: str, vectors: int, dimension: int, *, compact: bool) -> None:
    """Raise CollectionError, with what it takes, where an index of so many vectors has no room on disk or in memory."""
    needs = needs_of(vectors, dimension, compact=compact)
    on_disk = needs.index_disk - vectors * _WORDS
    free, available = shutil.disk_usage(folder).free, psutil.virtual_memory().available
    if on_disk <= free and needs.building <= available:
        return
    raise CollectionError(
        Bilingual(
            en=f"The index of {vectors:,} vectors of the collection {name!r} would take {on_disk / GB:.1f} GB of the "
            f"disk ({free / GB:.1f} GB are free) and {needs.building / GB:.1f} GB of memory while it is made "
            f"({available / GB:.1f} GB are free). The documents are safe and can be searched, more slowly. Make room, "
            "or move the collection's index to a server (docs/scaling.md); the index follows at the next change.",
            zh=f"文档集“{name}”的 {vectors:,} 个向量的索引需要磁盘 {on_disk / GB:.1f} GB（可用 {free / GB:.1f} GB），"
            f"构建时需要内存 {needs.building / GB:.1f} GB（可用 {available / GB:.1f} GB）。"
            "文档均已保存，仍可检索，只是较慢。"
            "请腾出空间，或将该文档集的索引移到服务器（docs/scaling.md）；下次更改时会重建索引。",
        )
    )
