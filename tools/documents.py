"""Search, exact lookup and reading over the user's documents. What comes back is quoted data, with where it stands."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from core.errors import ToolError
from core.language import Bilingual
from core.types import Scope
from retrieval.protocol import Searcher
from tools.base import ToolEntry, built_in

MOST_PASSAGES = 10
MOST_MATCHES = 20
AROUND = 80
READ_CHARACTERS = 4_000


class DocumentReader(Protocol):
    """The texts of one collection."""

    def titles(self) -> Mapping[str, str]:
        """Document id -> title, in the order of ingestion."""
        ...

    def text(self, document_id: str) -> str:
        """The whole text of a document."""
        ...


ReaderOf = Callable[[str], DocumentReader]
WithDetails = tuple[str, dict[str, Any]]


def document_tools(searcher: Searcher, reader_of: ReaderOf | None, scope: Scope) -> tuple[ToolEntry, ...]:
    """The tools over the documents of `scope`; without a reader only the search."""

    def search_documents(query: str, passages: int = 3) -> WithDetails:
        """Search the documents by meaning.

        Args:
            query: what to look for, in a few words
            passages: how many passages to bring, 1 to 10

        """
        found = searcher.retrieve(query, scope, max(1, min(passages, MOST_PASSAGES)))
        lines = [
            f"[{number}] {scored.chunk.title}{_page(scored.chunk.page)}\n{scored.chunk.text}"
            for number, scored in enumerate(found.chunks, start=1)
        ]
        return "\n\n".join(lines) or "nothing found", {
            "evidence": found.evidence.level,
            "chunks": [scored.chunk.id for scored in found.chunks],
        }

    entries = [built_in(search_documents, _SEARCH_TITLE, _SEARCH, with_details=True, quotes=True)]
    if reader_of is not None:
        entries += _reading_tools(reader_of(scope.collection), scope)
    return tuple(entries)


def _reading_tools(reader: DocumentReader, scope: Scope) -> list[ToolEntry]:
    def grep_documents(text: str) -> WithDetails:
        """Find every place where a text stands literally.

        Args:
            text: the characters to find; capitals do not matter

        """
        matches = _matches(text, reader, scope)
        shown = "\n".join(f"{title} @{place}: … {line} …" for title, place, line in matches[:MOST_MATCHES])
        total = f"{len(matches)} matches" if len(matches) <= MOST_MATCHES else f"{len(matches)} matches, first 20 shown"
        return f"{total}\n{shown}".strip(), {"matches": len(matches)}

    def read_document(title: str, start: int = 0) -> WithDetails:
        """Read a piece of one document.

        Args:
            title: the document's title or file name
            start: the character to begin at, from 0

        """
        document_id, name = _named(title, reader, scope)
        text = reader.text(document_id)
        begin = max(0, start)
        end = min(len(text), begin + READ_CHARACTERS)
        return f"{name}, characters {begin}-{end} of {len(text)}:\n{text[begin:end]}", {"document": document_id}

    return [
        built_in(grep_documents, _GREP_TITLE, _GREP, with_details=True, quotes=True),
        built_in(read_document, _READ_TITLE, _READ, with_details=True, quotes=True),
    ]


_SEARCH_TITLE, _GREP_TITLE, _READ_TITLE = (
    Bilingual("Search documents", "搜索文档"),
    Bilingual("Find text in documents", "在文档中查找"),
    Bilingual("Read a document", "阅读文档"),
)
_SEARCH = Bilingual("Search the user's own documents by meaning and keywords.", "按含义和关键词搜索用户自己的文档。")
_GREP = Bilingual(
    "Find every place in the documents where a text stands literally.", "在文档中逐字查找某段文字的所有位置。"
)
_READ = Bilingual("Read a piece of one of the user's documents by its title.", "按标题阅读某个文档的一段内容。")


def _in_scope(reader: DocumentReader, scope: Scope) -> dict[str, str]:
    titles = reader.titles()
    return {key: titles[key] for key in titles if not scope.document_ids or key in scope.document_ids}


def _matches(text: str, reader: DocumentReader, scope: Scope) -> list[tuple[str, int, str]]:
    # Literal, not a regular expression: a pattern can take exponential time.
    wanted = text.strip().lower()
    if not wanted:
        raise ToolError(Bilingual(en="The text to find is empty.", zh="要查找的文字为空。"))
    found = []
    for document_id, title in _in_scope(reader, scope).items():
        content = reader.text(document_id)
        folded = content.lower()
        place = folded.find(wanted)
        while place >= 0:
            line = content[max(0, place - AROUND) : place + len(wanted) + AROUND].replace("\n", " ")
            found.append((title, place, line))
            place = folded.find(wanted, place + len(wanted))
    return found


def _named(title: str, reader: DocumentReader, scope: Scope) -> tuple[str, str]:
    titles = _in_scope(reader, scope)
    wanted = title.strip().lower()
    exact = [item for item in titles.items() if item[1].lower() == wanted]
    close = exact or [item for item in titles.items() if wanted and wanted in item[1].lower()]
    if len(close) != 1:
        shown = list(dict(close or titles.items()).values())[:10]
        raise ToolError(
            Bilingual(
                en=f"{len(close)} documents are called like {title!r}. Some titles: {', '.join(shown)}.",
                zh=f"名称类似“{title}”的文档有 {len(close)} 个。部分标题：{'、'.join(shown)}。",
            )
        )
    return close[0]


def _page(number: int | None) -> str:
    return f", page {number}" if number else ""
