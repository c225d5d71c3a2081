"""An X-ray beside a running chat: through the queue, on the weights that are loaded, without a change to the chat."""

import threading
from pathlib import Path

import pytest

from core.types import SamplingSettings
from inference.extensions import ExtensibleEngine
from inference.protocol import GeneratedText, GenerationRequest
from interpretability.xray import Xray

REQUEST = GenerationRequest(
    prompt="Once upon a time there was a small boat that", sampling=SamplingSettings(temperature=0.0, max_tokens=40)
)


def written(engine: ExtensibleEngine) -> str:
    return "".join(event.text for event in engine.generate(REQUEST) if isinstance(event, GeneratedText))


def test_an_xray_waits_its_turn_and_the_chat_is_the_same(engine: ExtensibleEngine, xray: Xray):
    alone = written(engine)
    worker = engine.worker_pid  # type: ignore[attr-defined]
    ids = [token.id for token in xray.tokens("The capital of France is")]
    expected = xray.logits(ids)
    order: list[str] = []
    chat: list[str] = []

    def talk() -> None:
        for event in engine.generate(REQUEST):
            if isinstance(event, GeneratedText):
                chat.append(event.text)
                started.set()
        order.append("chat")

    started = threading.Event()
    talking = threading.Thread(target=talk)
    talking.start()
    assert started.wait(120)
    looked = xray.logits(ids)  # asked while the answer is being written: it stands in the queue behind it
    order.append("xray")
    talking.join(120)
    assert order == ["chat", "xray"] or order == ["xray", "chat"]
    assert "".join(chat) == alone == written(engine)
    assert (looked == expected).all()
    assert engine.worker_pid == worker  # type: ignore[attr-defined]  # nobody was started anew


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="mapped files are read from Linux's /proc")
def test_the_weights_are_mapped_once(engine: ExtensibleEngine, xray: Xray, gguf: Path):
    pid = engine.worker_pid  # type: ignore[attr-defined]

    def mapped() -> int:
        """Bytes of the model's file that the worker has mapped from its start on: each load maps it once."""
        lines = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if gguf.name in line]
        return sum(int(line[0].split("-")[1], 16) - int(line[0].split("-")[0], 16) for line in lines)

    before = mapped()
    xray.hidden([token.id for token in xray.tokens("Something else entirely.")])
    assert 0 < before <= gguf.stat().st_size * 1.1
    assert mapped() == before
