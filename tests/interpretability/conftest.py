"""One model in a worker process, X-rayed; and the same GGUF dequantised in PyTorch, as the oracle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.config import Settings
from core.paths import embedded_chat_model
from inference.extensions import ExtensibleEngine
from inference.runtime import open_engine
from interpretability.xray import OPERATIONS, Xray

TEXT = "The quick brown fox jumps over the lazy dog. Paris is the capital of France, and 中文 too."


@pytest.fixture(scope="session")
def gguf() -> Path:
    path = embedded_chat_model()
    assert path is not None
    return path


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtensibleEngine]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), n_ctx=512)
    engine = open_engine(settings, extensions=(OPERATIONS,))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def xray(engine: ExtensibleEngine, gguf: Path) -> Xray:
    return Xray(engine.call, gguf)


@pytest.fixture(scope="session")
def ids(xray: Xray) -> list[int]:
    return [token.id for token in xray.tokens(TEXT)]


@pytest.fixture(scope="session")
def hugging_face(gguf: Path) -> Any:
    """(model, tokenizer) of transformers, the weights dequantised to float32 from the very same file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        attn_implementation="eager",
        quantization_config=GgufConfig(dequantize=True),
    )
    return model.train(False), AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
