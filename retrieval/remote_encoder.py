"""A sentence encoder on a server: any OpenAI-compatible `/v1/embeddings` (llama-server, vLLM, Ollama).

Vectors are brought to unit length here. Tokens are counted by estimate, on the high side, so that a passage is rather
too short for the server's window than cut by it.
"""

import urllib.parse
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np

from core.errors import ModelLoadError, ModelNotFoundError
from core.language import Bilingual
from core.model_server import Address, ModelServer
from core.text_length import estimated_tokens
from retrieval.protocol import Vectors

BATCH = 32
# What the usual small encoders read, where a server does not tell.
USUAL_TOKENS = 512
MULTILINGUAL = ("multilingual", "bge-m3", "xlm", "e5", "qwen", "gte")


class RemoteEncoder:
    """An Embedder (`retrieval.protocol`) over HTTP; nothing is asked before the first use.

    `url` goes up to and with `/v1`; a fragment names the model there (`http://127.0.0.1:8081/v1#bge-m3`), the first one
    that the server lists without it. A collection remembers the model's name, not the address.
    """

    def __init__(self, url: str, api_key: str = "") -> None:
        plain, fragment = urllib.parse.urldefrag(url)
        self._asked_for = fragment
        self._server = ModelServer(Address(plain, api_key, setting="FOURFOLD_ENCODER"))

    @property
    def name(self) -> str:
        """The model's name on the server."""
        return f"remote:{PurePath(str(self._model['id'])).name}"

    @property
    def max_tokens(self) -> int:
        """What the server says that it reads."""
        sizes: Any = self._model.get("meta") or {}
        told = self._model.get("max_model_len") or sizes.get("n_ctx") or sizes.get("n_ctx_train")
        return int(told or USUAL_TOKENS)

    @property
    def languages(self) -> tuple[str, ...]:
        """By the model's name: the languages of a collection are measured anyway before its vectors are trusted."""
        name = self.name.lower()
        if any(part in name for part in MULTILINGUAL):
            return ("en", "zh")
        return ("zh",) if "-zh" in name else ("en",)

    @cached_property
    def dimension(self) -> int:
        """As the first vector has it."""
        return int(self.embed_query("dimension").shape[0])

    @cached_property
    def _model(self) -> dict[str, Any]:
        listed: list[dict[str, Any]] = self._server.get("/models")["data"]
        found = next((it for it in listed if not self._asked_for or it.get("id") == self._asked_for), None)
        if found is None and self._asked_for:
            # Some servers load a model when it is asked for, and list it only then.
            return {"id": self._asked_for}
        if found is None:
            place = self._server.address.place
            raise ModelNotFoundError(
                Bilingual(
                    en=f"The model server {place} offers no encoder. Name one: FOURFOLD_ENCODER=http://…/v1#name",
                    zh=f"模型服务器 {place} 没有提供编码器。请指定：FOURFOLD_ENCODER=http://…/v1#名称",
                )
            )
        return found

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Estimates, rather more than fewer."""
        return [estimated_tokens(text) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows, in the order of `texts`."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        return np.concatenate([self._embed(batch) for batch in batches])

    def embed_query(self, text: str) -> Vectors:
        """float32 (dimension,), of unit length."""
        return np.asarray(self._embed([text])[0], np.float32)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        # A server takes an empty text for an error.
        body = {"model": self._model["id"], "input": [text or " " for text in texts]}
        vectors = _rows(self._server.post("/embeddings", body))
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            place = self._server.address.place
            raise ModelLoadError(
                Bilingual(
                    en=f"The model server {place} gave no usable vectors for {self.name}. Is it started as an encoder?",
                    zh=f"模型服务器 {place} 没有为 {self.name} 返回可用的向量。它是以编码器方式启动的吗？",
                )
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def _rows(answer: Any) -> Vectors:
    """The vectors in the order of the texts; an empty array where the answer is something else."""
    try:
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        return np.array([row["embedding"] for row in rows], np.float32)
    except (KeyError, TypeError, ValueError):
        return np.zeros(0, np.float32)
