"""What one process shares: settings, history, the running answers, and the heavy parts, built in the background.

The page is usable while the parts load; a question asked meanwhile waits for them in its own thread.
"""

import atexit
import contextlib
import importlib
import logging
import pkgutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from app import preferences
from app.answer_view import GROUNDING, AnswerView
from app.identity import CLOSED
from app.ingest_jobs import IngestJobs
from app.jobs import WorkBoard
from app.runs import Answering, IsCancelled, Runs
from app.works import note_ingest, works_of
from core.config import Settings, load_settings
from core.errors import CollectionLockedError, FourfoldError, SettingError
from core.language import Bilingual
from core.types import Question
from orchestrator.events import AnswerEvent
from orchestrator.grounding import Grounding
from orchestrator.history import SECONDS_WITHOUT_A_SIGN, open_history
from orchestrator.serialise import plain
from orchestrator.weighing import Weigher

if TYPE_CHECKING:
    from inference.extensions import ExtensibleEngine
    from inference.protocol import ModelInfo
    from orchestrator.assistant import Assistant
    from retrieval.library import Library
    from retrieval.protocol import Embedder
    from tools.registry import ToolRegistry

State = Literal["loading", "ready", "failed"]
Models: TypeAlias = tuple["ExtensibleEngine", "Embedder"]
# What the model's process may run for the X-ray page.
XRAY_OPERATIONS = "interpretability.operations"
# So many passages are encoded in a few seconds: a command does it before it asks.
FEW_PASSAGES = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What is heavy: the model's engine, the collections, and the assistant over both."""

    engine: "ExtensibleEngine"
    library: "Library"
    assistant: "Assistant"
    registry: "ToolRegistry"
    ensure_samples: Callable[[], None] = lambda: None
    warm_up: Callable[[], None] = lambda: None


class Container:
    """The parts of the application. Thread-safe; `start` returns at once."""

    def __init__(self, settings: Settings, build: Callable[[Settings], Parts] | None = None) -> None:
        self.settings = settings
        self.history = open_history(settings)
        # Where other processes give answers too, one is cut off when it gives no sign; else none survives its process.
        is_shared = bool(settings.owner or settings.database_url)
        self.history.close_interrupted(SECONDS_WITHOUT_A_SIGN if is_shared else 0.0)
        self.weigher = Weigher(lambda: self.parts().engine, self._keep_weights, lambda: self.runs.any_running())
        self.runs = Runs(self.history, self._weigh, is_shared)
        self.work = WorkBoard(settings.paths.jobs, works_of(self))
        self.ingest = IngestJobs(
            settings.paths.home / "uploads",
            lambda: self.parts().library,
            lambda run: note_ingest(self.work, run),
            # Somebody else's machine: its files are not for everybody who may log in.
            uploads_only=bool(settings.owner),
        )
        self.problem: Bilingual | None = None
        self.model: ModelInfo | None = None
        self._build = build or build_parts
        self._parts: Parts | None = None
        self._begun = False
        self._lock = threading.Lock()
        self._built = threading.Event()
        self._warm = threading.Event()

    def start(self) -> "Container":
        """Begin to load models and index in the background, unless that has begun."""
        with self._lock:
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._load, name="loading", daemon=True).start()
                atexit.register(self.close)
        return self

    @property
    def state(self) -> State:
        """Whether an answer can begin without waiting for a model to load."""
        if self.problem is not None:
            return "failed"
        return "ready" if self._warm.is_set() else "loading"

    @property
    def is_built(self) -> bool:
        """Whether `parts` returns at once."""
        return self._built.is_set()

    def parts(self) -> Parts:
        """The heavy parts, waiting until they are there. Raises FourfoldError where they cannot be built."""
        self.start()
        self._built.wait()
        if self._parts is None:
            raise FourfoldError(self.problem or Bilingual("The models did not load.", "模型未能加载。"))
        return self._parts

    def answering(self, question: Question) -> Answering:
        """How to answer a question, for `Runs.start`."""

        def answer(is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
            yield from self.parts().assistant.answer(question, is_cancelled)

        return answer

    def _weigh(self, answer_id: str, view: AnswerView) -> None:
        """Find out in the background what a finished answer stands on."""
        if self.settings.weigh_answers:
            self.weigher.ask(answer_id, view.context, view.completed)

    def _keep_weights(self, answer_id: str, found: Grounding) -> None:
        self.history.add_to_receipt(answer_id, GROUNDING, plain(found))

    @property
    def is_busy(self) -> bool:
        """Whether anything goes on here that must not be cut off."""
        return self.runs.any_running() or any(job.is_running for job in self.work.list())

    def close(self) -> None:
        """Stop what runs and give the model's process back."""
        atexit.unregister(self.close)
        self.weigher.close()
        self.runs.cancel_all()
        self.ingest.cancel_all()
        if self._parts is not None:
            self._parts.assistant.close()

    def _load(self) -> None:
        try:
            parts = self._build(self.settings)
            # The samples first: a question about them must not be answered as if they were not there.
            parts.ensure_samples()
            self._parts = parts
            self._built.set()
            self.model = parts.engine.info
            self._warm.set()
        except FourfoldError as error:
            self.problem = error.message
        except Exception as error:  # noqa: BLE001 shown on every page in place of the model's state
            _log.exception("the models could not be loaded")
            self.problem = Bilingual(
                en=f"Loading failed: {error}. `python -m app doctor` tells what is missing.",
                zh=f"加载失败：{error}。运行 `python -m app doctor` 查看缺少什么。",
            )
        finally:
            self._built.set()
            self._warm.set()
        self._warm_up()

    def _warm_up(self) -> None:
        """What only saves the first search and the first look at a page their wait."""
        try:
            if self._parts is not None:
                self._parts.warm_up()
        except Exception:  # noqa: BLE001 everything works without it, only later
            _log.exception("warming up failed")


def build_parts(settings: Settings, models: "Models | None" = None) -> Parts:
    """Open the engine and the collections that the settings name, or those over `models`; they load when first used."""
    from ingest.samples import ensure_sample_collection
    from orchestrator.build import build_assistant
    from retrieval.library import Library
    from tools.library_parts import library_parts
    from tools.registry import ToolRegistry

    engine, embedder = models or open_models(settings)
    library = Library(settings, embedder)
    registry = ToolRegistry(settings, library_parts(library, engine))
    assistant = build_assistant(settings, engine=engine, library=library)

    def ensure_samples() -> None:
        # By their words alone: the encoder takes seconds to load, and the first question need not wait for it.
        ensure_sample_collection(library, settings, embed=False)

    def warm_up() -> None:
        _import_pages()
        embedder.embed_query("warm")
        _complete_vectors(library, settings, library.names())

    return Parts(engine, library, assistant, registry, ensure_samples, warm_up)


def open_models(settings: Settings) -> Models:
    """The chat model and the encoder that the settings name."""
    from inference.runtime import open_engine
    from retrieval.embedder import open_embedder

    return open_engine(settings, extensions=(XRAY_OPERATIONS,)), open_embedder(settings)


def _import_pages() -> None:
    """A page that is opened for the first time should not have to import its libraries."""
    from app import views

    for module in pkgutil.iter_modules(views.__path__):
        importlib.import_module(f"{views.__name__}.{module.name}")


def prepare(parts: Parts, settings: Settings, collection: str) -> None:
    """What a command does before its question: the samples are there, and a few missing vectors are made at once.

    Many are not: the application, or the ingest that was cut off, goes on with them.
    """
    parts.ensure_samples()
    if parts.library.exists(collection) and _without_vector(parts.library, collection) <= FEW_PASSAGES:
        _complete_vectors(parts.library, settings, [collection])


def _complete_vectors(library: "Library", settings: Settings, names: Iterable[str]) -> None:
    """Give the passages their vectors that an earlier run left without."""
    from ingest.pipeline import IngestPipeline

    for name in names:
        if _without_vector(library, name):
            # Another process that writes there is at it already.
            with contextlib.suppress(CollectionLockedError):
                for _ in IngestPipeline(library, settings).run([], name):
                    pass


def _without_vector(library: "Library", name: str) -> int:
    """How many passages of a collection can be found by their words alone."""
    with closing(library.reader(name)) as store:
        counts = store.counts()
    return counts["chunks"] - counts["vectors"]


def adopt(changes: Mapping[str, Any]) -> None:
    """Keep changed settings and start anew with them. Raises SettingError naming the one that is wrong."""
    settings = load_settings(**changes)
    if settings.login != "none":
        raise SettingError(CLOSED)
    old = shared()
    preferences.save(settings.paths.settings_file, changes)
    # Work on the model that is given back now cannot go on; documents are read on by the new parts.
    for job in old.work.list():
        if job.is_running and job.kind != "download":
            old.work.cancel(job.id)
    old.close()
    share(Container(load_settings()).start())


_shared: Container | None = None
_sharing = threading.Lock()


def shared() -> Container:
    """The container of this process, made at the first call.

    Not started: the first page is drawn before models compete with it for the processor.
    """
    global _shared
    with _sharing:
        if _shared is None:
            _shared = Container(load_settings())
        return _shared


def share(container: Container) -> None:
    """Make `container` the one of this process: for a command line with settings of its own, and for tests."""
    global _shared
    with _sharing:
        _shared = container
