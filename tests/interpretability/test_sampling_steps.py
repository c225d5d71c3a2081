"""The sliders against llama.cpp itself: its own sampler chain on the same logits, seed and settings."""

import ctypes
from collections.abc import Iterator, Sequence

import llama_cpp
import numpy as np
import pytest

from core.types import SamplingSettings
from inference.extensions import ExtensibleEngine
from inference.protocol import GeneratedText, GenerationRequest
from interpretability.sampling_steps import PENALTY_WINDOW, Sampler, entropy_bits, sampling_stages, softmax
from interpretability.xray import Xray

SETTINGS = [
    SamplingSettings(temperature=0.0, repeat_penalty=1.3),
    SamplingSettings(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0),
    SamplingSettings(temperature=0.7, top_k=40, top_p=0.95, min_p=0.05),
    SamplingSettings(temperature=1.5, top_k=5, top_p=1.0, min_p=0.0, seed=7),
    SamplingSettings(temperature=2.0, top_k=0, top_p=0.8, min_p=0.0, seed=2**31),
    SamplingSettings(temperature=1.3, top_k=0, top_p=1.0, min_p=0.02, seed=0),
    SamplingSettings(temperature=0.9, top_k=100, top_p=0.9, min_p=0.01, repeat_penalty=1.2, seed=123),
]


class LlamaCpp:
    """llama.cpp's chain, fed with stored logits."""

    def __init__(self, settings: SamplingSettings, n_vocab: int) -> None:
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for sampler in self._samplers(settings, n_vocab):
            llama_cpp.llama_sampler_chain_add(self._chain, sampler)

    def _samplers(self, settings: SamplingSettings, n_vocab: int) -> Iterator[object]:
        yield llama_cpp.llama_sampler_init_penalties(n_vocab, PENALTY_WINDOW, settings.repeat_penalty, 0.0, 0.0)
        if settings.temperature <= 0:
            yield llama_cpp.llama_sampler_init_greedy()
            return
        if settings.top_k > 0:
            yield llama_cpp.llama_sampler_init_top_k(settings.top_k)
        yield llama_cpp.llama_sampler_init_top_p(settings.top_p, 1)
        yield llama_cpp.llama_sampler_init_min_p(settings.min_p, 1)
        yield llama_cpp.llama_sampler_init_temp(settings.temperature)
        yield llama_cpp.llama_sampler_init_dist(settings.seed)

    def draw(self, logits: np.ndarray) -> int:
        data = np.zeros(len(logits), dtype=np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)]))
        data["id"], data["logit"] = np.arange(len(logits)), logits
        pointer = data.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        array = llama_cpp.llama_token_data_array(data=pointer, size=len(logits), selected=-1, sorted=False)
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token


@pytest.fixture(scope="module")
def rows(xray: Xray) -> list[np.ndarray]:
    """Real logits of the model, for flat and for peaked distributions."""
    texts = ("Once upon a time", "The capital of France is", "1, 2, 3, 4,", "def main():\n", "I like to")
    return [xray.logits([token.id for token in xray.tokens(text)]) for text in texts]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_very_token_that_llama_cpp_draws(rows: Sequence[np.ndarray], settings: SamplingSettings):
    ours, theirs = Sampler(settings), LlamaCpp(settings, len(rows[0]))
    drawn: list[int] = []
    for turn in range(60):
        logits = rows[turn % len(rows)]
        expected = theirs.draw(logits)
        drawn.append(ours.draw(logits, drawn).token_id)
        assert drawn[-1] == expected, f"turn {turn}"


def test_the_loop_gives_what_the_engine_writes(xray: Xray, engine: ExtensibleEngine):
    settings = SamplingSettings(
        temperature=0.9, top_k=30, top_p=0.9, min_p=0.02, repeat_penalty=1.1, seed=5, max_tokens=24
    )
    prompt = "The old sailor looked at the sea and"
    events = list(engine.generate(GenerationRequest(prompt=prompt, sampling=settings)))
    written = [token for event in events if isinstance(event, GeneratedText) for token in event.token_ids]
    steps = xray.steps([token.id for token in xray.tokens(prompt)], 24, settings)
    # Two contexts, with and without flash attention, round differently: the first tokens must agree.
    assert [step.token_id for step in steps][:8] == written[:8]


def test_what_each_stage_removed(rows: Sequence[np.ndarray]):
    settings = SamplingSettings(temperature=0.5, top_k=10, top_p=0.8, min_p=0.1)
    stages = {stage.name: stage for stage in sampling_stages(rows[0], settings)}
    ranked = np.sort(softmax(rows[0]))[::-1]
    assert list(stages) == ["model", "top_k", "top_p", "min_p", "temperature"]
    assert set(stages["top_k"].ids) == set(np.argsort(-rows[0])[:10])
    assert stages["top_k"].removed_mass == pytest.approx(1 - ranked[:10].sum(), abs=1e-4)
    kept = ranked[:10] / ranked[:10].sum()
    assert len(stages["top_p"].ids) == int((np.cumsum(kept) < 0.8).sum()) + 1
    assert (stages["min_p"].probabilities >= 0.1 * stages["min_p"].probabilities.max() - 1e-6).all()


def test_top_k_is_not_temperature(rows: Sequence[np.ndarray]):
    """Temperature keeps the order and changes the ratios; top-k keeps the ratios and removes candidates."""
    raw = softmax(rows[0])
    cool = sampling_stages(rows[0], SamplingSettings(temperature=0.5, top_k=0, top_p=1.0, min_p=0.0))[-1]
    few = sampling_stages(rows[0], SamplingSettings(temperature=1.0, top_k=5, top_p=1.0, min_p=0.0))[-1]
    assert np.array_equal(np.argsort(-cool.logits, kind="stable")[:50], np.argsort(-raw, kind="stable")[:50])
    assert cool.entropy < entropy_bits(raw)
    assert few.probabilities[0] / few.probabilities[1] == pytest.approx(raw[few.ids[0]] / raw[few.ids[1]], rel=1e-4)


def test_entropy_in_bits():
    assert entropy_bits(np.full(8, 0.125, dtype=np.float32)) == pytest.approx(3.0)
    assert entropy_bits(np.asarray([1.0, 0.0], dtype=np.float32)) == 0.0
