"""A scripted assistant behind the real container: every event kind, at a pace a browser can watch."""

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from app.container import Container, Parts
from core.config import Settings
from core.language import Bilingual
from core.types import Chunk, Evidence, Message, Question, ScoredChunk, Timings, ToolCall, Usage
from inference.fakes import FakeEngine
from inference.protocol import ModelInfo
from orchestrator.events import (
    AnswerCompleted,
    AnswerEvent,
    AnswerFailed,
    Citation,
    ContextAssembled,
    PromptSpan,
    Route,
    RouteChosen,
    Signal,
    Source,
    SourcesFound,
    TextDelta,
    ToolProposed,
    UnsupportedSentence,
)
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from tools.library_parts import library_parts
from tools.registry import ToolRegistry

PASSAGE = "The lighthouse was built in 1889. It is 41 metres tall.\nIts lamp is lit every evening."
ANSWER = "The lighthouse is **41 metres** tall [1]. It is painted blue.\n\n![x](http://evil.example/x.png)"
INFO = ModelInfo("Fake-1", "", "", "llama", "Q4_1", 1, 1, 1, 1, 4096, 4096, ("en",), "CPU")


class ScriptedAssistant:
    """Answers every question with the same events; the word `fail` in the question makes it fail."""

    def __init__(self, seconds_between: float = 0.0) -> None:
        self.seconds_between = seconds_between
        self.questions: list[Question] = []
        self.closed = False

    def answer(self, question: Question, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[AnswerEvent]:
        self.questions.append(question)
        if "explode" in question.text:
            raise RuntimeError("boom")
        yield from opening()
        if "refuse" in question.text and question.mode != "prompt":
            yield AnswerCompleted("The documents do not say.", "refusal", Usage(), Timings())
            return
        if "dangerous" in question.text and not question.options.resumed:
            yield waiting()
            return
        text = ""
        for word in ANSWER.split(" "):
            if is_cancelled():
                break
            text += (" " if text else "") + word
            yield TextDelta(word if text == word else f" {word}")
            time.sleep(self.seconds_between)
        if "fail" in question.text:
            yield AnswerFailed(Bilingual("The model failed.", "模型失败。"), text)
        else:
            yield ending(text)

    def close(self) -> None:
        self.closed = True


def opening() -> tuple[AnswerEvent, ...]:
    signal = Signal("probe", 1.0, Bilingual("a document speaks of it", "有文档谈到它"))
    prompt = f"<s>Answer briefly.\n[1] {PASSAGE}\nHow tall?</s>"
    chunk = Chunk(
        "c1", "d1", PASSAGE, 0, 0, len(PASSAGE), page=3, title="Harbour <b>guide</b>", uri="/docs/harbour.pdf"
    )
    spans = (
        PromptSpan(0, 3, "template", 1),
        PromptSpan(3, 19, "system", 3),
        PromptSpan(20, 24 + len(PASSAGE), "source", 20, 1),
        PromptSpan(25 + len(PASSAGE), 34 + len(PASSAGE), "question", 3),
    )
    return (
        RouteChosen(Route("rag", (signal,), 0.91, "prompt")),
        SourcesFound((Source(1, ScoredChunk(chunk, 1.0)),), Evidence("strong", 0.9), 1204),
        ContextAssembled(
            prompt,
            spans,
            {"template": 1, "system": 3, "source": 20, "question": 3},
            4000,
            (Bilingual("source 6: no room", "来源 6：放不下"),),
            (Message("user", "How tall?"),),
        ),
    )


def waiting() -> AnswerCompleted:
    proposed = ToolProposed(ToolCall("t1", "delete_file", {"path": "/tmp/x"}), "write", True)
    return AnswerCompleted("", "tool_result", Usage(), Timings(), pending=(proposed,))


def ending(text: str) -> AnswerCompleted:
    whole = text == ANSWER
    return AnswerCompleted(
        text,
        "model",
        Usage(120, len(text.split())),
        Timings(first_token=0.3, generate=0.5, total=0.9),
        citations=(Citation(1, 38, 41, 0, 42, True, 34, 55),) if whole else (),
        unsupported=(UnsupportedSentence(42, 61, Bilingual("no source says so", "没有来源这样说")),) if whole else (),
        stopped=not whole,
        seed=42,
    )


def container_over(settings: Settings, assistant: ScriptedAssistant, engine: Any = None) -> Container:
    """A container whose heavy parts are the scripted assistant, and an engine where one is asked."""
    library = Library(settings, HashEmbedder())
    parts = Parts(
        engine or cast(Any, FakeEngine(info=INFO)),
        library,
        cast(Any, assistant),
        ToolRegistry(settings, library_parts(library)),
    )
    return Container(settings, build=lambda _settings: parts)
