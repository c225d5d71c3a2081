"""The chat engine of the application: one queue before one worker process."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from core.answering import answering
from core.errors import FourfoldError, ModelCrashedError
from core.types import Message, Timings, Usage
from inference.jobs import event_from_json, request_to_json
from inference.personal import caller
from inference.protocol import (
    GenerationEvent,
    GenerationFinished,
    GenerationRequest,
    JsonSchema,
    ModelInfo,
    WaitingInQueue,
)
from inference.supervisor import Replies, Supervisor, WorkerProcess
from inference.turn_queue import Ticket, TurnQueue
from inference.wire import Frame

# How often a waiting caller asks whether it is still wanted.
POLL_SECONDS = 0.01
# How often the leading thread looks whether a worker that was told to stop still computes.
WATCH_SECONDS = 0.5
# A worker that does not obey a cancel for this long hangs and is replaced.
OBEY_SECONDS = 10.0


@dataclass
class _Job:
    """One request on its way: what is asked, and what came back."""

    header: Mapping[str, Any]
    outcome: "queue.SimpleQueue[Frame | FourfoldError]" = field(default_factory=queue.SimpleQueue)
    cancelled: threading.Event = field(default_factory=threading.Event)
    began: float = 0.0
    # The worker and its number for this request, while it computes.
    running: tuple[WorkerProcess, int] | None = None


class LocalEngine:
    """A ChatEngine (`inference.protocol`) and ExtensibleEngine (`inference.extensions`) over a worker process.

    A thread of its own leads one request after the other through the worker, so a caller that stops reading holds
    nobody up. `idle_seconds` 0 keeps the model in memory for good. While it computes, `cache` tells bulk work to step
    aside (`core.answering`).
    """

    def __init__(
        self,
        supervisor: Supervisor,
        describe: Callable[[Mapping[str, Any]], ModelInfo],
        queue_size: int = 16,
        idle_seconds: float = 0.0,
        cache: Path | None = None,
    ) -> None:
        self._cache = cache
        self._supervisor = supervisor
        self._describe = describe
        self._turns: TurnQueue[_Job] = TurnQueue(queue_size)
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._dispatcher: threading.Thread | None = None
        self._info: ModelInfo | None = None

    # --- the protocol --------------------------------------------------------------------------------------------

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; loads it when it is not loaded yet."""
        if self._info is None:
            self._info = self._describe(self._supervisor.worker().facts)
        return self._info

    @property
    def worker_pid(self) -> int | None:
        """The worker's process number, for diagnosis; None while none runs."""
        running = self._supervisor.running
        return running.pid if running else None

    def render(self, messages: Sequence[Message], tools: Sequence[JsonSchema] = ()) -> str:
        """Render the chat with the model's own template, ending where the assistant's answer begins."""
        request = GenerationRequest(messages=tuple(messages), tools=tuple(tools))
        return str(self._supervisor.worker().ask({"do": "render", "request": request_to_json(request)})["text"])

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens are recognised, none is added."""
        return list(self._supervisor.worker().ask({"do": "tokenize", "text": text})["tokens"])

    def count_tokens(self, text: str) -> int:
        """Length of `tokenize(text)`."""
        return len(self.tokenize(text))

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Generator[GenerationEvent, None, None]:
        """Yield events, the last one GenerationFinished; closing the iterator stops the computation."""
        entered = time.perf_counter()
        job = _Job({"do": "generate", "request": request_to_json(request)})
        ticket = self._enter(job, request.conversation_id)
        try:
            for item in self._follow(ticket, is_cancelled):
                events = [item] if isinstance(item, WaitingInQueue) else self._events(item, job, entered)
                yield from events
                if events and isinstance(events[-1], GenerationFinished):
                    return
        finally:
            self._give_up(ticket)

    def log_probabilities(self, prompt: str, continuation: str, adapter: str = "") -> list[float]:
        """Natural-log probability of each token of `continuation` given `prompt` and the tokens before it."""
        frame = self._wait(
            {"do": "score", "prompt": prompt, "continuation": continuation, "adapter": adapter}, lambda: False
        )
        return [float(value) for value in frame.header["log_probabilities"]]

    def call(
        self,
        operation: str,
        params: Mapping[str, Any],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Run `module:name` of an allowed extension in the worker, in its turn (see `inference.extensions`).

        Raises ModelError and its children; a cancelled call gives two empty dicts.
        """
        frame = self._wait({"do": "call", "operation": operation, "params": dict(params)}, is_cancelled)
        return dict(frame.header.get("values", {})), frame.arrays

    def close(self) -> None:
        """Give the memory back. The engine may be used again and then loads again."""
        self._supervisor.stop()

    # --- the caller's side ---------------------------------------------------------------------------------------

    def _enter(self, job: _Job, key: str) -> Ticket[_Job]:
        person = caller()
        ticket = self._turns.enter(job, ("person", person) if person else key or None, shared=bool(person))
        with self._lock:
            if self._dispatcher is None or not self._dispatcher.is_alive():
                self._dispatcher = threading.Thread(target=self._dispatch, daemon=True, name="fourfold-dispatcher")
                self._dispatcher.start()
        return ticket

    def _follow(self, ticket: Ticket[_Job], is_cancelled: Callable[[], bool]) -> Iterator[Frame | WaitingInQueue]:
        """Frames as they come, and changes of the position before them."""
        last = -1
        while True:
            if is_cancelled():
                self._give_up(ticket)
            try:
                outcome = ticket.item.outcome.get(timeout=POLL_SECONDS if ticket.item.began or last >= 0 else 0.001)
            except queue.Empty:
                position = self._turns.position(ticket)
                if position != last and not ticket.item.began:
                    last = position
                    yield WaitingInQueue(position)
                continue
            if isinstance(outcome, FourfoldError):
                raise outcome
            yield outcome

    def _events(self, frame: Frame, job: _Job, entered: float) -> list[GenerationEvent]:
        if frame.header.get("cancelled"):
            waited = time.perf_counter() - entered
            return [GenerationFinished("cancelled", Usage(), Timings(queued=waited, total=waited))]
        events = [event_from_json(plain) for plain in frame.header.get("events", ())]
        return [_with_queue_time(it, job, entered) if isinstance(it, GenerationFinished) else it for it in events]

    def _wait(self, header: Mapping[str, Any], is_cancelled: Callable[[], bool]) -> Frame:
        ticket = self._enter(_Job(header), "")
        try:
            for item in self._follow(ticket, is_cancelled):
                if isinstance(item, Frame):
                    return item
        finally:
            self._give_up(ticket)
        raise AssertionError("_follow ends only by an exception or with a frame")

    def _give_up(self, ticket: Ticket[_Job]) -> None:
        """Stop a request wherever it stands; nothing happens to one that is finished."""
        job = ticket.item
        job.cancelled.set()
        running = job.running
        if running is not None:
            _cancel(*running)
            return
        # It waits, or its turn has come and the model is still being loaded for it: nobody else will answer.
        self._turns.leave(ticket)
        job.outcome.put(Frame({"cancelled": True}))

    # --- the dispatcher's thread ---------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        while True:
            ticket = self._turns.next(self._idle_seconds or None)
            if ticket is None:
                self._supervisor.stop()
                continue
            ticket.item.began = time.perf_counter()
            try:
                with answering(self._cache) if self._cache else nullcontext():
                    self._lead(ticket.item)
            except FourfoldError as error:
                ticket.item.outcome.put(error)
            finally:
                self._turns.done()

    def _lead(self, job: _Job) -> None:
        """Send the request, whose text goes to the caller by itself, and wait until the worker says that it is done."""
        worker = self._supervisor.worker()
        if job.cancelled.is_set():
            return
        replies = worker.send(job.header, job.outcome.put)
        job.running = (worker, replies.job)
        if job.cancelled.is_set():
            worker.cancel(replies.job)
        try:
            self._await_end(job, worker, replies)
        finally:
            job.running = None

    def _await_end(self, job: _Job, worker: WorkerProcess, replies: Replies) -> None:
        gave_up_at = 0.0
        while True:
            try:
                job.outcome.put(replies.next(WATCH_SECONDS))
                return
            except queue.Empty:
                if job.cancelled.is_set():
                    gave_up_at = gave_up_at or time.perf_counter()
                    _replace_if_hanging(worker, gave_up_at)


def _cancel(worker: WorkerProcess, job: int) -> None:
    try:
        worker.cancel(job)
    except ModelCrashedError:
        # Its death ends the request by another way.
        return


def _replace_if_hanging(worker: WorkerProcess, gave_up_at: float) -> None:
    """Kill a worker that does not obey a cancel; the next request gets another."""
    if time.perf_counter() - gave_up_at > OBEY_SECONDS:
        worker.kill()


def _with_queue_time(event: GenerationFinished, job: _Job, entered: float) -> GenerationFinished:
    timings = replace(
        event.timings,
        queued=max(0.0, job.began - entered),
        total=time.perf_counter() - entered,
    )
    return replace(event, timings=timings)
