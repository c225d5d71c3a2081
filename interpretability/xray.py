"""The X-ray: one object over a running model. It gives every part as a frozen value for a page or a command to draw."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelLoadError
from core.language import Bilingual, sentence_spans
from core.types import SamplingSettings
from interpretability.attention import AttentionMap, CellAttention, PassageAttention, SegmentAttention
from interpretability.attribution import Attribution, leave_one_out
from interpretability.comparison import Change, Comparison, compare, compare_outputs, steering_vectors
from interpretability.logit_lens import HiddenStates
from interpretability.loop import Step, steps_from
from interpretability.model_file import Floats, ModelFile, read_model_file
from interpretability.positions import Rotation
from interpretability.sampling_steps import softmax
from interpretability.tokens import Token

OPERATIONS = "interpretability.operations"
Call = Callable[[str, Mapping[str, Any]], tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]]


@dataclass(frozen=True)
class Abilities:
    """What can be shown of this model with this build of the library; `notice` says what is missing and why."""

    hidden: bool
    attention: bool
    notice: Bilingual | None = None


@dataclass(frozen=True)
class Variant:
    """Another way to run the prompt: an adapter file, another GGUF, or a push along a direction; all may be empty."""

    adapter: str = ""
    adapter_scale: float = 1.0
    model: str = ""
    vectors: Floats | None = None
    strength: float = 0.0

    def params(self) -> dict[str, Any]:
        """The same as parameters of an operation."""
        params: dict[str, Any] = {}
        if self.adapter:
            params |= {"adapter": self.adapter, "adapter_scale": self.adapter_scale}
        if self.model:
            params["model"] = self.model
        if self.vectors is not None:
            params["steering"] = {"vectors": self.vectors.tolist(), "strength": self.strength}
        return params


PLAIN = Variant()


@dataclass(frozen=True)
class Measured:
    """What a prompt took: seconds of computing, bytes of cache per token, SHA-256 of the model's file afterwards."""

    seconds: float
    kv_bytes_per_token: float
    sha256: str


class Xray:
    """The X-ray of the model behind `call` (an engine's own `call`), whose file is `path`.

    `variant` is how the model runs unless a method is told otherwise: an answer that an adapter gave is explained with
    that adapter.
    """

    def __init__(self, call: Call, path: Path, variant: Variant = PLAIN) -> None:
        self._call = call
        self.path = path
        self.variant = variant

    @cached_property
    def model(self) -> ModelFile:
        """The file: settings, vocabulary, tables."""
        return read_model_file(self.path)

    @cached_property
    def abilities(self) -> Abilities:
        """The self-check, run once."""
        values, _ = self._call(f"{OPERATIONS}:self_check", {})
        body = self.model.setting
        return judged(values, int(body("block_count", 0)), int(body("attention.sliding_window", 0) or 0))

    def tokens(self, text: str) -> tuple[Token, ...]:
        """The tokens of `text`, special tokens recognised."""
        return self._tokens({"text": text})

    def tokens_of(self, ids: Sequence[int]) -> tuple[Token, ...]:
        """The tokens with these ids."""
        return self._tokens({"ids": list(map(int, ids))})

    def hidden(self, ids: Sequence[int], first: int = 0, variant: Variant = PLAIN) -> tuple[HiddenStates, Floats]:
        """Hidden states of the rows from `first` on, and the logits (n_vocab,) after the last token.

        Raises ModelLoadError where this build of the library shows the output alone.
        """
        if not self.abilities.hidden:
            raise ModelLoadError(self.abilities.notice or _only_output("?"))
        _, arrays = self._run("trace", {"ids": list(ids), "first": first, "hidden": True, **variant.params()})
        layers = sorted((key for key in arrays if key.startswith("l_out-")), key=lambda key: int(key[6:]))
        # Some architectures rename the first state; it is the rows of the table all the same.
        embedded = arrays["embd"] if "embd" in arrays else self.model.embedding.rows(ids[first:])
        return HiddenStates(np.stack([embedded, *(arrays[key] for key in layers)]), first), arrays["logits"][0]

    def attention(self, ids: Sequence[int], layer: int, first: int = 0) -> AttentionMap | None:
        """All heads of one layer for the rows from `first` on; None where this layer has no attention."""
        params = {"ids": list(ids), "first": first, "attention": [layer], "logits": "none"}
        _, arrays = self._run("trace", params)
        weights = arrays.get(f"attention-{layer}")
        return None if weights is None else AttentionMap(layer, weights, first)

    def segments(self, ids: Sequence[int], borders: Sequence[int], first: int) -> SegmentAttention:
        """Attention of the rows from `first` on, summed over segments of the prompt, for every layer and head."""
        params = {"ids": list(ids), "first": first, "segments": list(borders), "logits": "none"}
        _, arrays = self._run("trace", params)
        layers = sorted(int(key[9:]) for key in arrays if key.startswith("segments-"))
        weights = np.stack([arrays[f"segments-{layer}"] for layer in layers])
        return SegmentAttention(tuple(layers), weights, tuple(borders), first)

    def rotations(self, ids: Sequence[int], layer: int) -> tuple[Rotation, Rotation] | None:
        """Queries and keys of one layer before and after RoPE; None where this layer does not rotate."""
        _, arrays = self._run("trace", {"ids": list(ids), "rope": [layer], "logits": "none"})
        if f"Q-{layer}-after" not in arrays or f"Q-{layer}-before" not in arrays:
            return None
        queries, keys = (
            Rotation(layer, arrays[f"{name}-{layer}-before"], arrays[f"{name}-{layer}-after"]) for name in "QK"
        )
        return queries, keys

    def logits(self, ids: Sequence[int], variant: Variant = PLAIN) -> Floats:
        """Logits after the last token, float32 (n_vocab,)."""
        _, arrays = self._run("trace", {"ids": list(ids), **variant.params()})
        return np.asarray(arrays["logits"][0], dtype=np.float32)

    def steps(
        self, ids: Sequence[int], n: int, sampling: SamplingSettings, variant: Variant = PLAIN
    ) -> tuple[Step, ...]:
        """The next `n` turns of the loop, fewer where the model ends."""
        params = {"ids": list(ids), "n": n, "sampling": asdict(sampling), **variant.params()}
        return steps_from(self._run("continuations", params)[1])

    def score(self, prompts: Sequence[str], continuation: str) -> list[list[float]]:
        """Log-probability of every token of `continuation` after each prompt, in a context of its own."""
        ids = [[token.id for token in self.tokens(text)] for text in (*prompts, continuation)]
        _, arrays = self._run("log_probabilities", {"prompts": ids[:-1], "continuation": ids[-1]})
        rows: list[list[float]] = arrays["log_probabilities"].tolist()
        return rows

    def attribute(self, prompt: str, spans: Sequence[tuple[int, int]], answer: str) -> Attribution:
        """Which passage the answer used: see `attribution.leave_one_out`."""
        return leave_one_out(prompt, spans, answer, self.score)

    def passage_attention(self, prompt: str, spans: Sequence[tuple[int, int]], answer: str) -> PassageAttention:
        """Attention from each sentence of the answer to each passage.

        `spans` are character offsets of the passages in the prompt, in order, cut at the nearest token borders. The
        prompt is computed with the observer asleep, so that a long one needs no more than a short one.
        """
        tokens = self.tokens(prompt)
        borders = passage_borders(tokens, spans)
        replies = self.tokens(answer)
        sentences = [_token_span(replies, start, end) for start, end in sentence_spans(answer)]
        ids = [token.id for token in (*tokens, *replies)]
        seen = self.segments(ids, borders, len(tokens))
        rows = [(len(tokens) + start, len(tokens) + end) for start, end in sentences]
        mean, strongest = (seen.between(rows, reduce)[:, 1:-1:2] for reduce in ("mean", "max"))
        return PassageAttention(tuple(answer[start:end] for start, end in sentence_spans(answer)), mean, strongest)

    def cell_attention(
        self, prompt: str, spans: Sequence[tuple[int, int]], answer: str, cell: tuple[int, int], layer: int
    ) -> CellAttention | None:
        """One cell of `passage_attention`, token by token: `cell` is (sentence, passage), both from 0.

        None where this layer has no attention.
        """
        tokens, replies = self.tokens(prompt), self.tokens(answer)
        start, end = _token_span(replies, *sentence_spans(answer)[cell[0]])
        left, right = _token_span(tokens, *spans[cell[1]])
        seen = self.attention([token.id for token in (*tokens, *replies)], layer, len(tokens) + start)
        if seen is None:
            return None
        rows, columns = (tuple(token.text for token in part) for part in (replies[start:end], tokens[left:right]))
        return CellAttention(rows, columns, seen.weights[:, : end - start, left:right])

    def compare(self, ids: Sequence[int], variant: Variant) -> Comparison:
        """The same prompt as it is and as `variant` (an adapter or a push) runs it.

        Where the inside cannot be read, the output alone is compared and `layer_distance` is empty.
        """
        if not self.abilities.hidden:
            divergence, changes = compare_outputs(self.logits(ids), self.logits(ids, variant))
            return Comparison(np.zeros(0, dtype=np.float32), divergence, changes)
        (before, first), (after, second) = self.hidden(ids), self.hidden(ids, 0, variant)
        return compare(before, after, (first, second))

    def compare_models(self, text: str, other: str) -> tuple[float, tuple[Change, ...]] | None:
        """Next-token distributions of this model and the GGUF at `other`; None where their vocabularies differ."""
        if read_model_file(Path(other)).tokens != self.model.tokens:
            return None
        ids = [token.id for token in self.tokens(text)]
        return compare_outputs(self.logits(ids), self.logits(ids, Variant(model=other)))

    def next_words(self, text: str, variant: Variant = PLAIN, top: int = 10) -> tuple[tuple[Token, float], ...]:
        """The likeliest next tokens of `text`, cut as the model of `variant` cuts it, with their probabilities."""
        ids = [token.id for token in self._tokens({"text": text, "model": variant.model})]
        chances = softmax(self.logits(ids, variant))
        best = np.argsort(-chances, kind="stable")[:top].tolist()
        found = self._tokens({"ids": best, "model": variant.model})
        return tuple((token, float(chances[token.id])) for token in found)

    def measure(self, ids: Sequence[int]) -> Measured:
        """Time and cache of this prompt, computed as the X-ray does, and the hash of the file after it."""
        longer = [*ids, *ids, *ids][: len(ids) + 64]
        first, second = (self._run("trace", {"ids": part})[0] for part in (list(ids), longer))
        per_token = (second["state_bytes"] - first["state_bytes"]) / max(1, len(longer) - len(ids))
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Measured(float(first["seconds"]), per_token, digest)

    def steering(self, positive: Sequence[str], negative: Sequence[str]) -> Floats:
        """A direction per layer from opposite examples, float32 (layers, n_embd)."""
        return steering_vectors(self._last_states(positive), self._last_states(negative))

    def _last_states(self, texts: Sequence[str]) -> Floats:
        prompts = [[token.id for token in self.tokens(text)] for text in texts]
        return np.stack([self.hidden(ids, len(ids) - 1)[0].states[1:, 0] for ids in prompts])

    def _tokens(self, params: Mapping[str, Any]) -> tuple[Token, ...]:
        values, _ = self._call(f"{OPERATIONS}:pieces", params)
        return tuple(
            Token(token, bytes.fromhex(data)) for token, data in zip(values["ids"], values["pieces"], strict=True)
        )

    def _run(self, operation: str, params: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        # An adapter belongs to one model: another one is compared as it is.
        own = {} if "model" in params else self.variant.params()
        return self._call(f"{OPERATIONS}:{operation}", {**own, **params})


def passage_borders(tokens: Sequence[Token], spans: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Token positions that cut a prompt into: before, passage 1, between, passage 2, ..., after.

    Adjacent passages have an empty piece between them, so passages are always the odd segments.
    """
    cuts = [place for start, end in spans for place in _token_span(tokens, start, end)]
    return (0, *cuts, len(tokens))


def _token_span(tokens: Sequence[Token], start: int, end: int) -> tuple[int, int]:
    """The tokens (half-open) that hold the characters start..end of the text that `tokens` spell."""
    text = b"".join(token.data for token in tokens).decode("utf-8", "replace")
    first, last = len(text[:start].encode()), len(text[:end].encode())
    ends = np.cumsum([len(token.data) for token in tokens])
    return int(np.searchsorted(ends, first, side="right")), int(np.searchsorted(ends, last, side="left")) + 1


def judged(values: Mapping[str, Any], n_layers: int, window: int = 0) -> Abilities:
    """What the self-check means for a model of `n_layers` layers that look back `window` tokens (0: all)."""
    if not values["hidden"]:
        return Abilities(False, False, _only_output(values["reason"] or "the tensors have other names"))
    layers = int(values.get("attention_layers", 0))
    notices = []
    if layers and not values["attention"]:
        notices.append(_NO_SUM)
    elif layers != n_layers:
        notices.append(
            Bilingual(
                en=f"{layers} of {n_layers} layers have attention that can be shown; the others work another way.",
                zh=f"{n_layers} 层中有 {layers} 层的注意力权重可以显示；其余各层以其他方式工作。",
            )
        )
    if window:
        notices.append(
            Bilingual(
                en=f"Layers with a sliding window look back {window} tokens only: what is older is 0 there.",
                zh=f"带滑动窗口的层只回看 {window} 个词元：更早的内容在那里为 0。",
            )
        )
    together = Bilingual(" ".join(notice.en for notice in notices), "".join(notice.zh for notice in notices))
    return Abilities(True, bool(values["attention"]), together if notices else None)


_NO_SUM = Bilingual(
    en="This model's attention rows do not sum to 1 over the tokens (a part goes to a sink): they are not shown.",
    zh="该模型的注意力行在词元上的和不为 1（一部分流向汇聚点），因此不显示。",
)


def _only_output(reason: str) -> Bilingual:
    return Bilingual(
        en=f"Only the output can be shown: this build of llama.cpp does not let its inside be read ({reason}).",
        zh=f"只能显示输出：当前 llama.cpp 版本无法读取内部状态（{reason}）。",
    )
