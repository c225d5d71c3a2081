"""Answers run here, in threads of their own: a refresh, a lost connection or a second tab cannot end them.

A page never waits for an answer: it looks at `AnswerRun.view` as often as it likes. Threads here never touch Streamlit.
"""

import logging
import threading
from collections.abc import Callable, Iterator

from app.answer_view import AnswerView, fold
from core.errors import FourfoldError
from core.language import Bilingual
from orchestrator.events import AnswerEvent, AnswerFailed
from orchestrator.history import History
from orchestrator.recording import record

IsCancelled = Callable[[], bool]
Answering = Callable[[IsCancelled], Iterator[AnswerEvent]]

_log = logging.getLogger(__name__)
_UNEXPECTED = Bilingual(
    en="Something went wrong inside Fourfold; the terminal shows the details. Asking again may work.",
    zh="Fourfold 内部出错，详情见终端。可以再问一次试试。",
)


class AnswerRun:
    """One answer being given. `view` is always whole; `changed` counts its versions."""

    def __init__(self, answer_id: str) -> None:
        self.answer_id = answer_id
        self._view = AnswerView()
        self._cancelled = threading.Event()
        self._over = threading.Event()

    @property
    def view(self) -> AnswerView:
        """The answer so far."""
        return self._view

    @property
    def is_over(self) -> bool:
        """Whether the answer ended and the history holds it."""
        return self._over.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether a person pressed stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop the computation; what was written stays."""
        self._cancelled.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end; False where it did not come in time."""
        return self._over.wait(timeout_seconds)

    def work(self, answering: Answering, history: History) -> None:
        """Consume the answer to its end, whatever that is. Runs in the thread of this answer."""
        try:
            for event in record(history, self.answer_id, _guarded(answering, self._cancelled.is_set)):
                self._view = fold(self._view, event)
        except KeyError:
            # The conversation was deleted while its answer was being written: nobody is left to read it.
            _log.info("answer %s belongs to a deleted conversation", self.answer_id)
        finally:
            self._over.set()


class Runs:
    """All answers that are being given in this process, by the id of their message."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._runs: dict[str, AnswerRun] = {}
        self._lock = threading.Lock()

    def start(self, answer_id: str, answering: Answering) -> AnswerRun:
        """Begin an answer. `answering` is called in the new thread and may block as long as it likes."""
        run = AnswerRun(answer_id)
        with self._lock:
            self._runs = {key: old for key, old in self._runs.items() if not old.is_over}
            self._runs[answer_id] = run
        threading.Thread(
            target=run.work, args=(answering, self._history), name=f"answer-{answer_id[:8]}", daemon=True
        ).start()
        return run

    def get(self, answer_id: str) -> AnswerRun | None:
        """The running answer of a message, or None where it is not running in this process."""
        run = self._runs.get(answer_id)
        return run if run is not None and not run.is_over else None

    def cancel_all(self) -> None:
        """Stop everything, at the end of the process."""
        for run in list(self._runs.values()):
            run.cancel()


def _guarded(answering: Answering, is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
    """The answer's events; an exception becomes AnswerFailed, so that a page always has something to say."""
    try:
        yield from answering(is_cancelled)
    except FourfoldError as error:
        yield AnswerFailed(error.message)
    except Exception:  # noqa: BLE001 the last line of defence of a thread: logged, and told to the person
        _log.exception("an answer failed")
        yield AnswerFailed(_UNEXPECTED)
