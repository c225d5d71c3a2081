"""Wires an assistant from settings: the one place that knows which real part stands behind which seam."""

from typing import TYPE_CHECKING

from core.config import Settings
from core.errors import ModelError
from inference.protocol import ChatEngine
from orchestrator.assistant import Assistant, Services
from orchestrator.modes.finetuned import FinetunedMode
from orchestrator.modes.prompt import PromptMode
from orchestrator.modes.rag import RagMode, TextOf, no_text
from orchestrator.modes.tools import ToolsMode
from orchestrator.router import Router, load_weights
from orchestrator.routing_signals import AdapterDomain
from orchestrator.vote import ModelVote
from retrieval.protocol import Embedder, Searcher
from tools.proposer import CallProposer

if TYPE_CHECKING:
    from retrieval.library import Library
    from tools.registry import ToolRegistry

GROUNDED = "grounded"
# Adapters that a mode of their own takes; nobody has to choose them.
OWN = (GROUNDED, "tools")
REFITTED_WEIGHTS = "router.json"


def build_assistant(
    settings: Settings,
    engine: ChatEngine | None = None,
    searcher: Searcher | None = None,
    library: "Library | None" = None,
) -> Assistant:
    """Return an assistant over the model and the collections that `settings` name, or over the parts given.

    Nothing heavy happens before the first question: models load when they are used.
    """
    from inference.runtime import open_engine
    from retrieval.embedder import open_embedder
    from retrieval.library import Library
    from tools.library_parts import StoredDocuments, library_parts
    from tools.registry import ToolRegistry

    engine = engine or open_engine(settings)
    library = library or Library(settings, open_embedder(settings))
    registry = ToolRegistry(settings, library_parts(library, engine))
    return assistant_over(
        settings,
        engine,
        searcher or library.searcher(),
        registry,
        embedder=library.embedder,
        text_of=lambda collection, document_id: StoredDocuments(library, collection).text(document_id),
    )


def assistant_over(
    settings: Settings,
    engine: ChatEngine,
    searcher: Searcher,
    registry: "ToolRegistry | None" = None,
    grounded: str | None = None,
    embedder: Embedder | None = None,
    text_of: TextOf = no_text,
) -> Assistant:
    """Return an assistant over ready parts, real or fake; `embedder` chooses tools where the model is too small to.

    `text_of` gives whole documents, so that a short one is shown whole. `grounded` names the adapter of retrieval mode,
    empty for none; None: the one that fits the loaded model.
    """
    services = Services(
        engine,
        searcher,
        tools=lambda: tuple(entry.name for entry in registry.active()) if registry else (),
        adapters=lambda: _fitting_adapters(settings, engine),
    )
    prompt = PromptMode(engine, settings)
    refitted = settings.paths.home / REFITTED_WEIGHTS
    return Assistant(
        services,
        modes={
            "prompt": prompt,
            "rag": RagMode(
                engine,
                searcher,
                settings,
                lambda: _own_adapter(GROUNDED, settings, engine) if grounded is None else grounded,
                text_of,
            ),
            "tools": ToolsMode(
                engine,
                registry,
                CallProposer(engine, embedder, lambda: _own_adapter("tools", settings, engine)),
                settings,
            ),
            "finetuned": FinetunedMode(prompt, services.adapters),
        },
        router=Router(load_weights(refitted) if refitted.is_file() else None, ModelVote(engine)),
    )


def _fitting_adapters(settings: Settings, engine: ChatEngine) -> tuple[AdapterDomain, ...]:
    """The adapters trained on the loaded model, those aside that a mode takes by itself."""
    from training.adapters import AdapterLibrary

    base = _base_of(engine)
    if not base:
        return tuple(AdapterDomain(name, "") for name in _served_adapters(engine) if name not in OWN)
    found = [adapter for adapter in AdapterLibrary(settings).list() if adapter.name not in OWN]
    return tuple(AdapterDomain(item.name, item.card.task) for item in found if base and item.fits(base))


def _own_adapter(name: str, settings: Settings, engine: ChatEngine) -> str:
    """The adapter of a mode, trained on the loaded model; empty where there is none."""
    from training.adapters import chosen_for

    base = _base_of(engine)
    if not base:
        return name if name in _served_adapters(engine) else ""
    return chosen_for(name, settings, base)


def _served_adapters(engine: ChatEngine) -> tuple[str, ...]:
    """Names of the adapters that a model server offers; none of a model on this machine that does not load."""
    try:
        return tuple(engine.info.details.get("adapters", ()))
    except ModelError:
        return ()


def _base_of(engine: ChatEngine) -> str:
    """Hash of the loaded model, empty where it is remote or does not load: then no adapter of this machine fits."""
    try:
        return engine.info.sha256
    except ModelError:
        return ""
