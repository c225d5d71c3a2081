"""Wires an assistant from settings: the one place that knows which real part stands behind which seam."""

from core.config import Settings
from inference.protocol import ChatEngine
from orchestrator.assistant import Assistant, Services
from orchestrator.modes.finetuned import FinetunedMode
from orchestrator.modes.prompt import PromptMode
from orchestrator.modes.rag import RagMode
from orchestrator.modes.tools import ToolsMode
from orchestrator.router import Router
from retrieval.protocol import Searcher


def build_assistant(
    settings: Settings, engine: ChatEngine | None = None, searcher: Searcher | None = None
) -> Assistant:
    """Return an assistant over the model and the collections that `settings` name, or over the parts given.

    Nothing heavy happens before the first question: models load when they are used.
    """
    from inference.runtime import open_engine
    from retrieval.embedder import open_embedder
    from retrieval.library import Library

    engine = engine or open_engine(settings)
    searcher = searcher or Library(settings, open_embedder(settings)).searcher()
    return assistant_over(settings, Services(engine, searcher))


def assistant_over(settings: Settings, services: Services) -> Assistant:
    """Return an assistant over ready parts, real or fake."""
    prompt = PromptMode(services.engine, settings)
    return Assistant(
        services,
        modes={
            "prompt": prompt,
            "rag": RagMode(services.engine, services.searcher, settings),
            "tools": ToolsMode(),
            "finetuned": FinetunedMode(prompt, services.adapters),
        },
        router=Router(),
    )
