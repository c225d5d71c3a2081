"""Answers run here, in threads of their own: a refresh, a lost connection or a second tab cannot end them.

Where several processes serve the same people, an answer that another one gives is followed through the history, and
stopped by a word left there.

A page never waits for an answer: it looks at `AnswerRun.view` as often as it likes. Threads here never touch Streamlit.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

from app.answer_view import AnswerView, fold
from core.errors import FourfoldError
from core.language import Bilingual
from orchestrator.events import AnswerEvent, AnswerFailed
from orchestrator.history import History
from orchestrator.recording import record

IsCancelled = Callable[[], bool]
Answering = Callable[[IsCancelled], Iterator[AnswerEvent]]
# What to do with a finished answer: its id and how it ended.
Finished = Callable[[str, AnswerView], object]

SECONDS_BETWEEN_SIGNS = 2.0
SECONDS_BETWEEN_CLOSINGS = 5.0
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

    def work(self, answering: Answering, history: History, after: Finished) -> None:
        """Consume the answer to its end, whatever that is. Runs in the thread of this answer."""
        try:
            for event in record(history, self.answer_id, _guarded(answering, self._cancelled.is_set)):
                self._view = fold(self._view, event)
        except KeyError:
            # The conversation was deleted while its answer was being written: nobody is left to read it.
            _log.info("answer %s belongs to a deleted conversation", self.answer_id)
        finally:
            self._over.set()
        after(self.answer_id, self._view)


class RunElsewhere(AnswerRun):
    """An answer that another process gives, as far as the history knows it."""

    def __init__(self, answer_id: str, history: History) -> None:
        super().__init__(answer_id)
        self._history = history

    @property
    def view(self) -> AnswerView:
        """The text so far; the rest of the receipt comes at the end."""
        return AnswerView(text=self._history.message(self.answer_id).text)

    @property
    def is_over(self) -> bool:
        """Whether the answer ended, or its process is gone."""
        return not self._history.is_being_given(self.answer_id)

    def cancel(self) -> None:
        """Ask whoever gives the answer to stop."""
        super().cancel()
        self._history.ask_to_stop(self.answer_id)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end; False where it did not come in time."""
        until = time.monotonic() + timeout_seconds
        while not self.is_over:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


class Runs:
    """All answers that are being given, by the id of their message; with `is_shared` in other processes too."""

    def __init__(self, history: History, after: Finished = lambda _id, _view: None, is_shared: bool = False) -> None:
        self._history = history
        self._after = after
        self._is_shared = is_shared
        self._runs: dict[str, AnswerRun] = {}
        self._lock = threading.Lock()
        self._signs: threading.Thread | None = None
        self._closed_at = time.monotonic()

    def start(self, answer_id: str, answering: Answering) -> AnswerRun:
        """Begin an answer. `answering` is called in the new thread and may block as long as it likes."""
        run = AnswerRun(answer_id)
        with self._lock:
            self._runs = {key: old for key, old in self._runs.items() if not old.is_over}
            self._runs[answer_id] = run
        if self._is_shared:
            self._history.give_signs([answer_id])
            self._keep_giving_signs()
        threading.Thread(
            target=run.work, args=(answering, self._history, self._after), name=f"answer-{answer_id[:8]}", daemon=True
        ).start()
        return run

    def get(self, answer_id: str) -> AnswerRun | None:
        """The running answer of a message, or None where it is not running."""
        run = self._runs.get(answer_id)
        if run is None and self._is_shared:
            self._close_interrupted()
            run = RunElsewhere(answer_id, self._history)
        return run if run is not None and not run.is_over else None

    def any_running(self) -> bool:
        """Whether some answer is being given in this process."""
        return any(not run.is_over for run in list(self._runs.values()))

    def cancel_all(self) -> None:
        """Stop everything, at the end of the process."""
        for run in list(self._runs.values()):
            run.cancel()

    def _keep_giving_signs(self) -> None:
        with self._lock:
            if self._signs is None or not self._signs.is_alive():
                self._signs = threading.Thread(target=self._give_signs, name="signs", daemon=True)
                self._signs.start()

    def _give_signs(self) -> None:
        """Until no answer is left: say that they are still being given, and hear whether one shall stop."""
        while True:
            with self._lock:
                ours = [key for key, run in self._runs.items() if not run.is_over]
                if not ours:
                    self._signs = None
                    return
            try:
                for answer_id in self._history.give_signs(ours):
                    self._runs[answer_id].cancel()
            except (FourfoldError, sqlite3.Error):
                # The next sign may get through; an answer is given up only after many that did not.
                _log.exception("no sign could be given")
            time.sleep(SECONDS_BETWEEN_SIGNS)

    def _close_interrupted(self) -> None:
        if time.monotonic() - self._closed_at > SECONDS_BETWEEN_CLOSINGS:
            self._closed_at = time.monotonic()
            self._history.close_interrupted()


def _guarded(answering: Answering, is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
    """The answer's events; an exception becomes AnswerFailed, so that a page always has something to say."""
    try:
        yield from answering(is_cancelled)
    except FourfoldError as error:
        yield AnswerFailed(error.message)
    except Exception:  # noqa: BLE001 the last line of defence of a thread: logged, and told to the person
        _log.exception("an answer failed")
        yield AnswerFailed(_UNEXPECTED)
