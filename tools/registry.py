"""Which tools there are and which are active: the built-ins, the user's own, LangChain's, those of MCP servers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.config import Settings
from core.language import Bilingual
from core.types import Scope, ToolCall
from inference.protocol import ChatEngine
from retrieval.protocol import Embedder, Searcher
from tools.base import ToolEntry, ToolProblem
from tools.calculator import calculator_tool
from tools.clock import Now, clock_tools, local_now
from tools.documents import ReaderOf, document_tools
from tools.executor import ToolExecutor
from tools.isolation import Limits
from tools.mcp import load_servers
from tools.model_internals import model_tools
from tools.shortcuts import direct_call
from tools.tables import ASK_TABLES, TablesOf, can_answer, table_tools
from tools.user_tools import LoadedTools, load_folder, load_named

MOST_OFFERED = 8
EVERYWHERE = Scope()


@dataclass(frozen=True)
class ToolParts:
    """What the built-in tools work on. A part that is absent takes its tools away.

    `reader_of` and `tables_of` give, for a collection's name, its store and the path of its tables (None: it has none).
    """

    searcher: Searcher | None = None
    reader_of: ReaderOf | None = None
    tables_of: TablesOf | None = None
    engine: ChatEngine | None = None
    embedder: Embedder | None = None
    now: Now = local_now


class ToolRegistry:
    """The tools of one installation. `reload` looks again at the user's folder and the servers."""

    def __init__(self, settings: Settings, parts: ToolParts | None = None) -> None:
        self._settings = settings
        self._parts = parts or ToolParts()
        self._loaded: LoadedTools | None = None
        self._vectors: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}

    def reload(self) -> None:
        """Load the user's tools and the servers' anew; a tool dropped into the folder is there afterwards."""
        settings = self._settings
        if settings.owner and not settings.shared_tools:
            # They run code with the rights of the server: its people get them only where a setting says so.
            self._loaded = LoadedTools()
            return
        limits = Limits(settings.tool_seconds, settings.tool_memory_mb, settings.offline)
        loaded = load_folder(settings.paths.user_tools, limits)
        for named in settings.community_tools:
            loaded += load_named(named, limits)
        self._loaded = loaded + load_servers(settings)

    @property
    def problems(self) -> tuple[ToolProblem, ...]:
        """The files, paths and servers whose tools could not be loaded, and settings that name no tool."""
        loaded = self._outside()
        known = {entry.name for entry in self.all()}
        missing = [name for name in self._settings.active_tools if name not in known]
        return (*loaded.problems, *_clashes(self._every(EVERYWHERE)), *(_not_there(name) for name in missing))

    def all(self, scope: Scope = EVERYWHERE) -> tuple[ToolEntry, ...]:
        """Every tool known, active or not, its documents and tables those of `scope`; one for each name."""
        by_name: dict[str, ToolEntry] = {}
        for entry in self._every(scope):
            by_name.setdefault(entry.name, entry)  # A built-in keeps its name.
        return tuple(by_name.values())

    def active(self, scope: Scope = EVERYWHERE, names: Sequence[str] = ()) -> tuple[ToolEntry, ...]:
        """The tools that may be called: those named by `names`, else by the settings, else all."""
        wanted = tuple(names) or self._settings.active_tools
        return tuple(entry for entry in self.all(scope) if not wanted or entry.name in wanted)

    def fitting(self, question: str, entries: Sequence[ToolEntry], limit: int = MOST_OFFERED) -> tuple[ToolEntry, ...]:
        """The at most `limit` tools that fit the question: one that its words name, then the nearest descriptions."""
        named = direct_call(question, [entry.name for entry in entries])
        first = [entry for entry in entries if named and entry.name == named.name]
        rest = [entry for entry in entries if entry not in first]
        return (*first, *self._nearest(question, rest, limit - len(first)))

    def plain_call(self, question: str, entries: Sequence[ToolEntry], scope: Scope = EVERYWHERE) -> ToolCall | None:
        """The call that the words of the question name; to tables only where they can answer it."""
        call = direct_call(question, [entry.name for entry in entries])
        if call is None or call.name != ASK_TABLES or self._parts.tables_of is None:
            return call
        return call if can_answer(question, self._parts.tables_of, scope) else None

    def _nearest(self, question: str, entries: Sequence[ToolEntry], limit: int) -> tuple[ToolEntry, ...]:
        embedder = self._parts.embedder
        if len(entries) <= limit or embedder is None:
            return tuple(entries[:limit])
        scores = self._description_vectors(entries, embedder) @ embedder.embed_query(question)
        best = np.argsort(-scores, kind="stable")[:limit]
        return tuple(entries[index] for index in best)

    def executor(self, entries: Sequence[ToolEntry]) -> ToolExecutor:
        """What runs calls of these tools."""
        return ToolExecutor(tuple(entries), self._settings.tool_seconds)

    def _outside(self) -> LoadedTools:
        if self._loaded is None:
            self.reload()
        return self._loaded or LoadedTools()

    def _every(self, scope: Scope) -> tuple[ToolEntry, ...]:
        return (*self._built_in(scope), *self._outside().entries)

    def _built_in(self, scope: Scope) -> tuple[ToolEntry, ...]:
        parts = self._parts
        makers: list[Callable[[], tuple[ToolEntry, ...]]] = [partial(clock_tools, parts.now)]
        if parts.searcher is not None:
            makers.append(partial(document_tools, parts.searcher, parts.reader_of, scope))
        if parts.tables_of is not None and parts.tables_of(scope.collection) is not None:
            makers.append(partial(table_tools, parts.tables_of, scope))
        if parts.engine is not None and parts.embedder is not None:
            makers.append(partial(model_tools, parts.engine, parts.embedder))
        return (calculator_tool(), *(entry for make in makers for entry in make()))

    def _description_vectors(
        self, entries: Sequence[ToolEntry], embedder: Embedder
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """float32 (tools, dimension); a description is embedded once."""
        texts = [f"{entry.name.replace('_', ' ')}: {entry.description.en} {entry.description.zh}" for entry in entries]
        new = [text for text in texts if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, embedder.embed_documents(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def _clashes(entries: Sequence[ToolEntry]) -> list[ToolProblem]:
    first: dict[str, ToolEntry] = {}
    problems = []
    for entry in entries:
        other = first.setdefault(entry.name, entry)
        if other is not entry:
            problems.append(
                ToolProblem(
                    entry.origin,
                    Bilingual(
                        en=f"{entry.name} is already the name of a tool from {other.origin}; rename the function.",
                        zh=f"{entry.name} 与来自 {other.origin} 的工具重名；请给函数改名。",
                    ),
                )
            )
    return problems


def _not_there(name: str) -> ToolProblem:
    return ToolProblem(
        "active_tools",
        Bilingual(
            en=f"The setting active_tools names {name!r}, which no tool is called.",
            zh=f"设置项 active_tools 中的 {name!r} 不是任何工具的名称。",
        ),
    )
