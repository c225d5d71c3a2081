"""A real llama-server as the model: the four modes answer; it is killed in mid-answer and comes back.

It is looked for in the folder that LLAMA_CPP_BIN names (see docs/models.md); without it the tests are skipped, and
tests/inference/test_remote.py speaks with a small server of ours.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.config import load_settings
from core.paths import embedded_chat_model
from core.types import AnswerOptions, ConcreteMode, Question, SamplingSettings
from ingest.samples import ensure_sample_collection
from orchestrator.build import build_assistant
from orchestrator.events import AnswerCompleted, AnswerEvent, AnswerFailed, SourcesFound, TextDelta, ToolFinished
from orchestrator.history import History
from orchestrator.recording import record
from retrieval.embedder import open_embedder
from retrieval.library import Library

pytestmark = pytest.mark.slow

KEY = "sk-a-key-of-the-tests"
ADAPTER = Path(__file__).parents[2] / "training" / "adapters" / "grounded" / "adapter.gguf"
LONG_TASK = "Write a long story about a lighthouse, a storm and a small boat."
SECONDS_TO_START = 240.0


class LlamaServer:
    """The program on a port of its own, with two adapters."""

    def __init__(self, program: Path, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        # One that documents are answered with, and one for whoever asks for it.
        loras = [folder / "grounded.gguf", folder / "formal.gguf"]
        for lora in loras:
            shutil.copyfile(ADAPTER, lora)
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--api-key", KEY]
        adapters = ["--lora", ",".join(map(str, loras)), "--lora-init-without-apply"]
        sizes = ["-c", "8192", "-np", "2", "-t", "1", "--jinja"]
        self._command = [str(program), "-m", str(embedded_chat_model()), *place, *adapters, *sizes]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://{self.place}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("llama-server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    program = Path(os.environ.get("LLAMA_CPP_BIN", "")) / "llama-server"
    if not os.environ.get("LLAMA_CPP_BIN") or not program.is_file():
        pytest.skip("LLAMA_CPP_BIN names no folder with llama-server")
    running = LlamaServer(program, tmp_path_factory.mktemp("llama"))
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def asked(server: LlamaServer, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    home = tmp_path_factory.mktemp("home")
    settings = load_settings(home=home, remote_url=f"http://{server.place}/v1", remote_api_key=KEY)
    library = Library(settings, open_embedder(settings))
    ensure_sample_collection(library, settings)
    assistant = build_assistant(settings, library=library)
    history = History(home / "conversations.db")
    conversation = history.create("A lighthouse").id

    def events(
        text: str, mode: ConcreteMode, tokens: int = 48, after: Callable[[AnswerEvent], None] = lambda event: None
    ) -> list[AnswerEvent]:
        """Ask in the one conversation, and keep the answer as the page does."""
        question = history.add_question(conversation, text)
        answer = history.begin_answer(question.id)
        options = AnswerOptions(sampling=SamplingSettings(max_tokens=tokens))
        given: list[AnswerEvent] = []
        for event in record(history, answer.id, assistant.answer(Question(text, mode=mode, options=options))):
            given.append(event)
            after(event)
        return given

    return SimpleNamespace(events=events, history=history, conversation=conversation)


@pytest.mark.parametrize(
    ("mode", "text", "seen"),
    [
        ("prompt", "What is the capital of France?", TextDelta),
        ("tools", "What is 17 * 23?", ToolFinished),
        ("rag", "How many days of paid annual leave do the staff have?", SourcesFound),
        ("finetuned", "Say hello.", TextDelta),
    ],
)
def test_the_four_modes_answer(asked: SimpleNamespace, mode: ConcreteMode, text: str, seen: type[AnswerEvent]):
    events = asked.events(text, mode)
    end = events[-1]
    assert isinstance(end, AnswerCompleted)
    assert end.text.strip()
    assert any(isinstance(event, seen) for event in events)


def test_killed_in_the_middle_it_is_named_the_conversation_stays_and_it_is_used_again(
    asked: SimpleNamespace, server: LlamaServer
):
    before = asked.history.thread(asked.conversation)

    def kill(event: AnswerEvent) -> None:
        if isinstance(event, TextDelta):
            server.kill()

    failed = asked.events(LONG_TASK, "prompt", 400, kill)[-1]
    assert isinstance(failed, AnswerFailed)
    for text in (failed.message.en, failed.message.zh):
        assert server.place in text
        assert KEY not in text
    thread = asked.history.thread(asked.conversation)
    assert [turn.text for turn in thread[:-2]] == [turn.text for turn in before]
    assert (thread[-2].text, thread[-1].status) == (LONG_TASK, "failed")
    assert thread[-1].text.strip()
    # As long as it is away every answer says so, and after three of them nobody waits for it any more.
    ends = [asked.events("Hello?", "prompt")[-1] for _ in range(3)]
    assert all(isinstance(end, AnswerFailed) and server.place in end.message.en for end in ends)

    server.start()
    until = time.monotonic() + 60
    while isinstance(end := asked.events("Are you back?", "prompt")[-1], AnswerFailed) and time.monotonic() < until:
        time.sleep(1.0)
    assert isinstance(end, AnswerCompleted)
    assert asked.history.thread(asked.conversation)[len(before)].text == LONG_TASK
