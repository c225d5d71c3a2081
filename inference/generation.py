"""The generation loop: prompt, next token, text, until something says stop. Runs in the worker process."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import PromptTooLongError
from core.language import Bilingual
from core.types import Timings, Usage
from inference.adapters import AdapterShelf
from inference.chat_template import ChatTemplate
from inference.constraint import Constraint, ConstraintFactory
from inference.engine import GenerationCancelledError, LoadedModel
from inference.prefix_cache import PrefixCache
from inference.prompt_states import PromptStates
from inference.protocol import FinishReason, GeneratedText, GenerationEvent, GenerationFinished, GenerationRequest
from inference.stored_passages import StoredPassages, token_ranges
from inference.text_stream import TextStream

# Logits of 49,152 float32 values a token: 64 rows are 12 MB.
SCORED_AT_ONCE = 64


@dataclass
class _Progress:
    """What one generation has come to."""

    started: float
    prompt_tokens: int = 0
    cached_tokens: int = 0
    stored_tokens: int = 0
    completion_tokens: int = 0
    first_token: float = 0.0

    def finished(self, reason: FinishReason, seed: int) -> GenerationFinished:
        total = time.perf_counter() - self.started
        usage = Usage(self.prompt_tokens, self.completion_tokens, self.cached_tokens, self.stored_tokens)
        generate = total - self.first_token if self.first_token else 0.0
        timings = Timings(first_token=self.first_token, generate=generate, total=total)
        return GenerationFinished(reason, usage, timings, seed)


class Generator:
    """One model, one caller at a time."""

    def __init__(
        self, model: LoadedModel, template: ChatTemplate, shelf: AdapterShelf, states: PromptStates | None = None
    ) -> None:
        self._model = model
        self._template = template
        self._shelf = shelf
        self._constraints = ConstraintFactory(model)
        self.cache = PrefixCache(model, model.options.cache_bytes, states)
        stores = model.options.stored_passages and model.can_shift
        self._passages = StoredPassages(model, self.cache) if stores else None

    def run(
        self,
        request: GenerationRequest,
        emit: Callable[[GenerationEvent], None],
        is_due: Callable[[], bool] = lambda: True,
    ) -> None:
        """Emit text, then GenerationFinished. Raises PromptTooLongError and ModelLoadError before any text.

        While `is_due` says no, plain tokens are gathered and not yet made text.
        """
        seed = secrets.randbits(32) if request.sampling.seed is None else request.sampling.seed
        progress = _Progress(time.perf_counter())
        writer = _Writer(self._model, request, emit, is_due)
        try:
            reason = self._run(request, seed, progress, writer)
        except GenerationCancelledError:
            reason = "cancelled"
        writer.finish()
        emit(progress.finished(reason, seed))

    def _run(self, request: GenerationRequest, seed: int, progress: _Progress, writer: "_Writer") -> FinishReason:
        text = request.prompt or self._template.render(request.messages, request.tools)
        tokens = self._model.tokenize(text)
        progress.prompt_tokens = len(tokens)
        self._check_length(tokens)
        constraint = self._constraints.make(request, self._template.knows_tools, self._template.thinks)
        adapter = self._shelf.activate(request.adapter)
        progress.cached_tokens = self.cache.prepare(tokens, adapter)
        if self._passages and request.passages:
            ranges = token_ranges(self._model, text, tokens, request.passages)
            laid_out = self._passages.lay_out(tokens, ranges, adapter, self._compute)
            progress.cached_tokens, progress.stored_tokens = laid_out
        self._compute(tokens[len(self.cache.live) :])
        return self._write(request, seed, progress, writer, constraint)

    def _write(
        self,
        request: GenerationRequest,
        seed: int,
        progress: _Progress,
        writer: "_Writer",
        constraint: Constraint | None,
    ) -> FinishReason:
        room = min(request.sampling.max_tokens, self._model.n_ctx - progress.prompt_tokens)
        with self._model.sampler(request.sampling, seed) as draw:
            while progress.completion_tokens < room:
                if self._model.cancelled:
                    raise GenerationCancelledError
                raw = self._model.logits().copy() if request.top_logprobs else None
                if constraint is not None:
                    constraint.apply(self._model.logits(), room - progress.completion_tokens)
                token = draw()
                progress.first_token = progress.first_token or time.perf_counter() - progress.started
                if self._model.is_end(token):
                    return "stop"
                progress.completion_tokens += 1
                if not writer.write(token, raw) or (constraint is not None and constraint.accept(token)):
                    return "stop"
                if progress.completion_tokens < room:
                    self._model.decode_one(token, len(self.cache.live))
                    self.cache.extend((token,))
        return "length"

    def log_probabilities(self, prompt: str, continuation: str, adapter: str) -> list[float]:
        """Natural-log probability of each token of `continuation`; raises GenerationCancelledError."""
        head, tail = self._model.tokenize(prompt), self._model.tokenize(continuation)
        if not tail:
            return []
        # Without anything before it the first token has no probability: the beginning of a text stands in for it.
        head = head or [max(self._model.special_token("bos"), 0)]
        self._check_length(head + tail)
        cached = self.cache.prepare(head, self._shelf.activate(adapter))
        self._compute(head[cached:])
        result = [_log_probability(self._model.logits(), tail[0])]
        step = min(SCORED_AT_ONCE, self._model.n_batch)
        for start in range(0, len(tail) - 1, step):
            piece = tail[start : min(start + step, len(tail) - 1)]
            self._model.decode(piece, len(self.cache.live), n_outputs=len(piece))
            self.cache.extend(piece)
            result += [_log_probability(self._model.logits(i), tail[start + i + 1]) for i in range(len(piece))]
        return result

    def _compute(self, tokens: Sequence[int]) -> None:
        for start in range(0, len(tokens), self._model.n_batch):
            if self._model.cancelled:
                raise GenerationCancelledError
            piece = tokens[start : start + self._model.n_batch]
            self._model.decode(piece, len(self.cache.live))
            self.cache.extend(piece)

    def _check_length(self, tokens: Sequence[int]) -> None:
        if len(tokens) < self._model.n_ctx:
            return
        raise PromptTooLongError(
            Bilingual(
                en=f"The prompt has {len(tokens)} tokens, the model reads {self._model.n_ctx}. "
                "Ask with less text or raise FOURFOLD_N_CTX.",
                zh=f"提示有 {len(tokens)} 个词元，而模型最多读取 {self._model.n_ctx} 个。"
                "请缩短文本或调大 FOURFOLD_N_CTX。",
            )
        )


class _Writer:
    """Turns tokens into events: whole characters, stop strings, log-probabilities."""

    def __init__(
        self,
        model: LoadedModel,
        request: GenerationRequest,
        emit: Callable[[GenerationEvent], None],
        is_due: Callable[[], bool],
    ) -> None:
        self._model = model
        self._emit = emit
        self._top = request.top_logprobs
        self._stream = TextStream(request.sampling.stop)
        # Nothing in the text can end it: it need not be known before it is sent.
        self._is_due = is_due if not (request.sampling.stop or self._top) else lambda: True
        self._pending: list[int] = []
        self._unread: list[int] = []

    def write(self, token: int, raw: NDArray[np.float32] | None) -> bool:
        """Take one token; false where a stop string ended the text."""
        self._unread.append(token)
        if not self._is_due():
            return True
        text = self._read()
        if raw is not None:
            self._flush(text, *self._probabilities(raw, token))
        elif text:
            self._flush(text)
        return not self._stream.stopped

    def finish(self) -> None:
        """Give out what was held back."""
        text = self._read() + self._stream.finish()
        if text or self._pending:
            self._flush(text)

    def _read(self) -> str:
        """The text that the tokens gathered so far make certain."""
        text = self._stream.push(b"".join([self._model.piece(token) for token in self._unread]))
        self._pending += self._unread
        self._unread.clear()
        return text

    def _flush(self, text: str, logprob: float | None = None, top: tuple[tuple[str, float], ...] = ()) -> None:
        ids, self._pending = tuple(self._pending), []
        self._emit(GeneratedText(text, ids, logprob, top))

    def _probabilities(self, raw: NDArray[np.float32], token: int) -> tuple[float, tuple[tuple[str, float], ...]]:
        logs = _log_softmax(raw)
        best = np.argpartition(-logs, self._top)[: self._top]
        ranked = best[np.argsort(-logs[best], kind="stable")]
        named = tuple((self._name(int(index)), float(logs[index])) for index in ranked)
        return float(logs[token]), named

    def _name(self, token: int) -> str:
        return self._model.piece(token, special=True).decode("utf-8", errors="replace")


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - float(logits.max())
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def _log_probability(logits: NDArray[np.float32], token: int) -> float:
    return float(_log_softmax(logits)[token])
