"""An encoder on a server: a real HTTP server that hands out the vectors of a table, in another order and length."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from core.config import load_settings
from core.errors import ModelLoadError, ModelUnreachableError
from retrieval.embedder import open_embedder
from retrieval.remote_encoder import BATCH, RemoteEncoder

TABLE = {"a": [3.0, 4.0], "b": [0.0, 2.0], " ": [1.0, 0.0]}


class Handler(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]]

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        models = [{"id": "/models/first.gguf", "meta": {"n_ctx_train": 256}}, {"id": "bge-m3", "max_model_len": 8192}]
        self._send({"data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        rows = [
            {"index": place, "embedding": TABLE.get(text, [1.0, 1.0])}
            for place, text in enumerate(body["input"])
            if text != "lost"
        ]
        self._send({"data": rows[::-1]})

    def _send(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/v1"
    running.shutdown()
    running.server_close()


def test_unit_rows_in_the_order_of_the_texts(url: str):
    encoder = open_embedder(load_settings(encoder=url))
    assert encoder.embed_documents(["a", "b", ""]).tolist() == pytest.approx(np.array([[0.6, 0.8], [0, 1], [1, 0]]))
    assert encoder.embed_query("b").tolist() == [0.0, 1.0]
    assert (encoder.name, encoder.max_tokens, encoder.dimension) == ("remote:first.gguf", 256, 2)
    assert encoder.embed_documents([]).shape == (0, 2)


def test_the_fragment_names_the_model(url: str):
    encoder = RemoteEncoder(f"{url}#bge-m3")
    assert (encoder.name, encoder.max_tokens, encoder.languages) == ("remote:bge-m3", 8192, ("en", "zh"))
    encoder.embed_query("a")
    assert Handler.asked[-1]["model"] == "bge-m3"
    assert RemoteEncoder(f"{url}#loaded-on-demand").name == "remote:loaded-on-demand"


def test_many_texts_go_in_batches(url: str):
    vectors = RemoteEncoder(url).embed_documents(["a", "b"] * BATCH)
    assert vectors.shape == (2 * BATCH, 2)
    assert [len(body["input"]) for body in Handler.asked] == [BATCH, BATCH]


def test_vectors_that_are_missing_and_a_server_that_is_not_there_are_errors(url: str):
    with pytest.raises(ModelLoadError, match="no usable vectors"):
        RemoteEncoder(url).embed_documents(["a", "lost"])
    with pytest.raises(ModelUnreachableError, match="FOURFOLD_ENCODER"):
        RemoteEncoder("http://127.0.0.1:9/v1").embed_query("a")
