"""The embedded model as training sees it, loaded once."""

from collections.abc import Iterator

import numpy as np
import pytest

from core.paths import embedded_chat_model
from tests.training.tiny_models import write_tiny
from training.gguf_model import GgufModel, read_model
from training.lora import LoraModel, LoraWeights, load_tokenizer
from training.recipe import TrainingRecipe
from training.rendering import ChatFormat


@pytest.fixture(scope="session")
def base() -> GgufModel:
    path = embedded_chat_model()
    if path is None:
        pytest.skip("the embedded chat model is not installed")
    return read_model(path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GgufModel:
    """A random model of half a megabyte, for what needs a whole GGUF but no language."""
    return read_model(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))


@pytest.fixture(scope="session")
def chat_format(base: GgufModel) -> ChatFormat:
    return ChatFormat(load_tokenizer(base.path))


@pytest.fixture(scope="session")
def loaded(base: GgufModel) -> LoraModel:
    """A LoRA model whose B is still zero; tests that train it put it back with `blank`."""
    return LoraModel(base, TrainingRecipe(rank=8, alpha=16.0, threads=1, seed=7, precision="float32"))


@pytest.fixture
def blank(loaded: LoraModel) -> Iterator[LoraModel]:
    """The shared model with the adapter that it began with."""
    start = loaded.weights()
    yield loaded
    loaded.set_weights(start)


@pytest.fixture(scope="session")
def random_adapter(loaded: LoraModel) -> LoraWeights:
    """An adapter that changes every layer by a clearly visible amount."""
    draw = np.random.default_rng(3)
    plain = loaded.weights()
    b = {name: draw.normal(0, 0.1, matrix.shape).astype(np.float32) for name, matrix in plain.b.items()}
    return LoraWeights(plain.rank, plain.alpha, plain.a, b)
