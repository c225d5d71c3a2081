"""The operations in the real worker process: what they return, and that the chat is left alone."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import ModelLoadError
from core.types import SamplingSettings
from inference.extensions import ExtensibleEngine
from inference.protocol import GenerationFinished, GenerationRequest
from interpretability import capture
from interpretability.logit_lens import lens
from interpretability.operations import _is_causal
from interpretability.parameters import anatomy
from interpretability.sampling_steps import softmax
from interpretability.xray import Variant, Xray, judged

TRACE = "interpretability.operations:trace"


def test_the_self_check_finds_everything_in_the_default_model(xray: Xray):
    assert (xray.abilities.hidden, xray.abilities.attention, xray.abilities.notice) == (True, True, None)


def test_what_is_missing_is_said():
    moved = judged({"logits": True, "hidden": False, "attention": False, "reason": "AttributeError: ggml_get_name"}, 30)
    hybrid = judged({"logits": True, "hidden": True, "attention": True, "reason": "", "attention_layers": 6}, 24)
    assert (moved.hidden, moved.attention) == (False, False)
    assert moved.notice is not None
    assert "ggml_get_name" in moved.notice.in_("zh")
    assert hybrid.attention
    assert hybrid.notice is not None
    assert "6 of 24" in hybrid.notice.en


def test_a_map_that_sees_the_future_is_caught():
    good = np.tril(np.ones((1, 3, 3), dtype=np.float32)) / np.asarray([1, 2, 3], dtype=np.float32)[None, :, None]
    assert _is_causal(good)
    assert not _is_causal(np.full((1, 3, 3), 1 / 3, dtype=np.float32))
    assert not _is_causal(good * 0.9)


def test_pieces_of_a_computation_join(engine: ExtensibleEngine, xray: Xray):
    """A prompt longer than one computation, recorded from the middle, equals the rows of a recording from the start."""
    ids = [token.id for token in xray.tokens("One two three four five six seven eight nine ten. " * 16)]
    assert len(ids) > 150
    wanted = {"ids": ids, "hidden": True, "attention": [7], "segments": [0, 40, 130, len(ids)], "logits": "all"}
    _, whole = engine.call(TRACE, wanted)
    _, tail = engine.call(TRACE, {**wanted, "first": 140})
    assert whole["attention-7"].shape == (9, len(ids), len(ids))
    assert whole["logits"].shape == (len(ids), 49152)
    sums = np.stack([whole["attention-7"][:, :, a:b].sum(-1) for a, b in ((0, 40), (40, 130), (130, len(ids)))], -1)
    assert np.allclose(whole["segments-7"], sums, atol=1e-5)
    assert np.allclose(tail["l_out-29"], whole["l_out-29"][140:], atol=0.2)
    assert np.allclose(tail["segments-7"], whole["segments-7"][:, 140:], atol=5e-3)


def test_scores_are_the_softmax_of_the_logits(engine: ExtensibleEngine, xray: Xray):
    prompt, answer = "The capital of France is", " Paris."
    ids = [token.id for token in xray.tokens(prompt + answer)]
    _, arrays = engine.call(TRACE, {"ids": ids, "logits": "all"})
    chances = softmax(arrays["logits"])
    first = len(xray.tokens(prompt))
    expected = [float(np.log(chances[place - 1, ids[place]])) for place in range(first, len(ids))]
    scores = xray.score([prompt, "Nobody knows what", prompt], answer)
    assert scores[0] == pytest.approx(expected, abs=0.05)
    assert scores[2] == pytest.approx(scores[0], abs=0.05)
    assert scores[1][0] < scores[0][0]
    assert scores[0] == pytest.approx(engine.log_probabilities(prompt, answer), abs=0.1)


def test_the_chats_context_keeps_its_cache(engine: ExtensibleEngine, xray: Xray):
    request = GenerationRequest(prompt="Once upon a time there was a", sampling=SamplingSettings(max_tokens=4))
    list(engine.generate(request))
    xray.hidden([token.id for token in xray.tokens("Something else entirely, in between.")])
    finished = list(engine.generate(request))[-1]
    assert isinstance(finished, GenerationFinished)
    assert finished.usage.cached_tokens >= finished.usage.prompt_tokens - 1


def test_steps_branch_and_end(xray: Xray):
    settings = SamplingSettings(temperature=0.0)
    ids = [token.id for token in xray.tokens("<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n")]
    steps = xray.steps(ids, 40, settings)
    assert [step.rank for step in steps] == [1] * len(steps)
    assert all(abs(sum(step.probabilities)) <= 1.0001 for step in steps)
    if len(steps) < 40:
        assert xray.tokens_of([steps[-1].token_id])[0].text == "<|im_end|>"
        assert steps[-1].end_probability >= steps[-1].probabilities[0] - 1e-6


def test_steering_pushes_the_output(xray: Xray):
    vectors = xray.steering(
        ["I love this. It is wonderful", "What a great day, I am happy"],
        ["I hate this. It is terrible", "What an awful day, I am sad"],
    )
    ids = [token.id for token in xray.tokens("I think that the film was")]
    base = xray.hidden(ids)[0].states
    pushed, logits = xray.hidden(ids, 0, Variant(vectors=vectors, strength=1.0))
    # Layer 0 cannot be pushed; layer 1 must have moved by exactly the vector.
    assert np.allclose(pushed.states[1], base[1], atol=0.05)
    assert np.allclose(pushed.states[2] - base[2], vectors[1], atol=0.2)
    assert xray.compare(ids, Variant(vectors=vectors, strength=0.0)).divergence < 1e-6
    good, bad = (xray.tokens(word)[0].id for word in (" great", " terrible"))
    _, away = xray.hidden(ids, 0, Variant(vectors=vectors, strength=-1.0))
    assert logits[good] - logits[bad] > away[good] - away[bad]


def test_another_model_and_an_adapter_that_is_none(xray: Xray, gguf: Path, tmp_path: Path):
    same = xray.compare_models("The capital of France is", str(gguf))
    assert same is not None
    assert same[0] < 1e-6
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ModelLoadError):
        xray.compare(xray_ids(xray, "Hello"), Variant(adapter=str(broken)))


def xray_ids(xray: Xray, text: str) -> list[int]:
    return [token.id for token in xray.tokens(text)]


def test_the_cache_is_as_large_as_predicted(engine: ExtensibleEngine, xray: Xray):
    sizes = []
    for repeat in (8, 16):
        ids = xray_ids(xray, "word " * repeat)
        values, _ = engine.call(TRACE, {"ids": ids})
        sizes.append((len(ids), values["state_bytes"]))
    per_token = (sizes[1][1] - sizes[0][1]) / (sizes[1][0] - sizes[0][0])
    predicted = anatomy(xray.model).kv_bytes_per_token
    # The saved state carries a few bytes of position beside each token's keys and values.
    assert predicted <= per_token <= predicted + 64


def test_a_library_that_has_moved_leaves_the_logits():
    assert capture.can_observe()
    assert not capture.can_observe(SimpleNamespace(ggml_get_name=None))


def test_using_the_model_does_not_change_its_file(xray: Xray, gguf: Path):
    before = hashlib.sha256(gguf.read_bytes()).hexdigest()
    lens(xray.model, xray.hidden(xray_ids(xray, "Learn this: 7 is blue."))[0])
    assert hashlib.sha256(gguf.read_bytes()).hexdigest() == before
