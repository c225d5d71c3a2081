"""The worker process: `python -m inference.worker`, started by `inference.supervisor` and by nobody else.

Its standard input and output carry frames (`inference.wire`). The main thread computes, one request at a time; a second
thread reads, answers what needs no computation (rendering, tokens) at once, and raises the abort flag on a cancel.
"""

import gc
import importlib.metadata
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from core.errors import FourfoldError, ModelError
from core.language import Bilingual
from inference.adapters import AdapterShelf
from inference.chat_template import ChatTemplate
from inference.engine import GenerationCancelledError, LoadedModel
from inference.engine_options import LoadOptions
from inference.extensions import Operations
from inference.generation import Generator
from inference.jobs import error_to_json, event_to_json, request_from_json
from inference.outbox import Outbox
from inference.prompt_states import PromptStates
from inference.protocol import GenerationEvent
from inference.wire import Channel, Frame


class Worker:
    """One model behind one channel."""

    def __init__(self, channel: Channel, start: Mapping[str, Any]) -> None:
        self._channel = channel
        self._model = LoadedModel(LoadOptions(**start["options"]))
        self._original: LoadedModel | None = None
        self._template = ChatTemplate(
            str(self._model.header.metadata.get("tokenizer.chat_template", "")),
            self._special("bos"),
            self._special("eos"),
        )
        folders = [Path(folder) for folder in start["adapter_folders"]]
        shelf = AdapterShelf(self._model, folders, start["sha256"])
        self._generator = Generator(self._model, self._template, shelf, _prompt_states(self._model, start["sha256"]))
        self._operations = Operations(start["extensions"])
        self._work: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current, self._running = -1, False
        self._cancelled: set[int] = set()

    def facts(self) -> dict[str, Any]:
        """What the application wants to know of the model."""
        device, gpu_layers = self._model.device()
        return {
            "n_ctx": self._model.n_ctx,
            "n_vocab": self._model.n_vocab,
            "n_layers": self._model.n_layers,
            "n_embd": self._model.n_embd,
            "device": device,
            "gpu_layers": gpu_layers,
            "quantisation": self._model.header.quantisation,
        }

    def run(self) -> None:
        """Serve until the application closes its end."""
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            frame = self._work.get()
            if self._begin(frame.header["id"]):
                self._compute(frame)
            else:
                self._reply(frame, {"cancelled": True})
            self._end()

    # --- the reading thread ------------------------------------------------------------------------------------

    def _read(self) -> None:
        while (frame := self._channel.receive()) is not None:
            operation = frame.header["do"]
            if operation == "cancel":
                self._cancel(int(frame.header["id"]))
            elif operation in ("render", "tokenize"):
                self._guarded(frame, self._answer_at_once)
            else:
                self._work.put(frame)
        # The application is gone: nothing that is computed here can reach anybody.
        os._exit(0)

    def _answer_at_once(self, frame: Frame) -> None:
        if frame.header["do"] == "tokenize":
            self._reply(frame, {"tokens": self._model.tokenize(frame.header["text"])})
            return
        request = request_from_json(frame.header["request"])
        self._reply(frame, {"text": self._template.render(request.messages, request.tools)})

    def _cancel(self, job: int) -> None:
        with self._lock:
            if job == self._current and self._running:
                self._model.cancel()
                if self._original is not None:
                    self._original.cancel()
            elif job > self._current:
                self._cancelled.add(job)

    # --- the computing thread ----------------------------------------------------------------------------------

    def _begin(self, job: int) -> bool:
        with self._lock:
            self._current, self._running = job, True
            wanted = job not in self._cancelled
            self._cancelled.discard(job)
            return wanted

    def _end(self) -> None:
        with self._lock:
            # A cancel that comes after the end must not meet the next request.
            self._running = False
            self._model.resume()
            if self._original is not None:
                self._original.resume()

    def _compute(self, frame: Frame) -> None:
        operations = {"generate": self._generate, "score": self._score, "call": self._call}
        self._guarded(frame, operations[frame.header["do"]])

    def _generate(self, frame: Frame) -> None:
        def send(events: Sequence[GenerationEvent]) -> None:
            self._channel.send({"id": frame.header["id"], "events": [event_to_json(event) for event in events]})

        box = Outbox(send)
        self._generator.run(request_from_json(frame.header["request"]), box.put, box.is_due)
        self._reply(frame, {})

    def _score(self, frame: Frame) -> None:
        header = frame.header
        result = self._generator.log_probabilities(header["prompt"], header["continuation"], header["adapter"])
        self._reply(frame, {"log_probabilities": result})

    def _call(self, frame: Frame) -> None:
        operation = self._operations.find(frame.header["operation"])
        result = operation(self._looked_into(), frame.header["params"])
        header = {"id": frame.header["id"], "done": True, "values": dict(result.values)}
        self._channel.send(header, result.arrays)

    def _looked_into(self) -> LoadedModel:
        """The model as its file has it, for those who look into it: loaded beside where a tuned copy is chatting."""
        options = self._model.options
        if not options.original:
            return self._model
        if self._original is None:
            self._original = LoadedModel(replace(options, path=options.original, original="", kv_type="f16"))
        return self._original

    def _guarded(self, frame: Frame, action: Any) -> None:
        try:
            action(frame)
        except GenerationCancelledError:
            self._reply(frame, {"cancelled": True})
        except FourfoldError as error:
            self._reply(frame, {"error": error_to_json(error)})
        except Exception as error:  # noqa: BLE001 - one request's fault must not end the process that serves the others
            self._reply(frame, {"error": error_to_json(_unexpected(error))})

    def _reply(self, frame: Frame, values: Mapping[str, Any]) -> None:
        self._channel.send({"id": frame.header["id"], "done": True, **values})

    def _special(self, name: str) -> str:
        token = self._model.special_token(name)
        return self._model.piece(token, special=True).decode("utf-8", errors="replace") if token >= 0 else ""


def _prompt_states(model: LoadedModel, sha256: str) -> PromptStates | None:
    options = model.options
    if not options.states or not options.reuse or not sha256:
        return None
    # Everything that the numbers in a state depend on.
    library = importlib.metadata.version("llama-cpp-python")
    facts = [sha256, model.header.quantisation, model.header.file_size, options.kv_type, options.flash_attention]
    # What was put together from passages is not what reading gives.
    facts += ["stored passages"] if options.stored_passages else []
    return PromptStates(Path(options.states), " · ".join(map(str, (*facts, library))))


def _unexpected(error: Exception) -> ModelError:
    text = f"{type(error).__name__}: {error}"
    return ModelError(Bilingual(en=f"The model's process failed: {text}", zh=f"模型进程出错：{text}"))


def _take_streams() -> Channel:
    """Keep the two pipes for frames; whatever a library prints goes to standard error."""
    reader = cast(BinaryIO, os.fdopen(os.dup(0), "rb"))
    writer = cast(BinaryIO, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return Channel(reader, writer)


def main() -> None:
    """Load the model that the first frame names, then serve."""
    channel = _take_streams()
    start = channel.receive()
    if start is None:
        return
    try:
        worker = Worker(channel, start.header)
    except FourfoldError as error:
        channel.send({"error": error_to_json(error)})
        return
    # What is loaded stays: the collector need not look through it between two tokens.
    gc.freeze()
    channel.send({"ready": worker.facts()})
    worker.run()


if __name__ == "__main__":
    main()
