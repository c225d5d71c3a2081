"""Downloads through the real hub client and through our ModelScope one, against small servers on this machine."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.config import load_settings
from core.errors import ModelError, ModelLoadError, ModelNotFoundError, SettingError
from inference.catalog import ENCODERS, estimate_entry, find_encoder
from inference.download import check_download
from inference.hub import HuggingFaceHub, ModelScopeHub, RemoteFile, Repository, _inside, _known, hub_of
from inference.repositories import best_file, encoder_files, entry_of_repository, file_of, is_repository

CONTENT = bytes(range(256)) * 200
SHA = hashlib.sha256(CONTENT).hexdigest()
REPOSITORY = "acme/tiny-GGUF"
COMMIT = "a" * 40


class Handler(http.server.BaseHTTPRequestHandler):
    """A hub with one repository of one file, in the form of either hub."""

    ranges: list[str]
    cut_at: int

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == f"/api/models/{REPOSITORY}":
            self._json(
                {
                    "id": REPOSITORY,
                    "siblings": [
                        {"rfilename": "tiny-Q8_0.gguf", "size": len(CONTENT), "lfs": self._lfs()},
                        {"rfilename": "README.md", "size": 3},
                    ],
                    "cardData": {"license": "mit", "language": ["en", "zh", "fr"]},
                }
            )
        elif path == f"/api/v1/models/{REPOSITORY}/repo/files":
            files = [
                {"Path": "tiny-Q8_0.gguf", "Size": len(CONTENT), "Sha256": SHA, "Type": "blob"},
                {"Path": "folder", "Size": 0, "Type": "tree"},
            ]
            self._json({"Code": 200, "Data": {"Files": files}})
        elif path.endswith("/tiny-Q8_0.gguf"):
            self._answer(CONTENT)
        else:
            self.send_error(404)

    def _lfs(self) -> dict[str, Any]:
        return {"sha256": SHA, "size": len(CONTENT), "pointerSize": 130}

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, body: bytes) -> None:
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0] or 0) if asked else 0
        if body:
            type(self).ranges.append(asked)
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{SHA}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        # The first download breaks off where `cut_at` says.
        self.wfile.write(body[start : type(self).cut_at or None])
        type(self).cut_at = 0

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(cut_at: int = 0) -> Iterator[tuple[str, type[Handler]]]:
    handler = type("OneHub", (Handler,), {"ranges": [], "cut_at": cut_at})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()


def test_modelscope_is_listed_and_a_broken_download_continues(tmp_path: Path):
    with serving(cut_at=1000) as (url, handler):
        hub = ModelScopeHub(url)
        found = hub.look(REPOSITORY)
        assert found.files == (RemoteFile("tiny-Q8_0.gguf", len(CONTENT), SHA),)
        with pytest.raises(ModelError, match="continues"):
            hub.fetch(REPOSITORY, found.files[0], tmp_path)
        assert (tmp_path / "tiny-Q8_0.gguf.incomplete").stat().st_size == 1000
        path = hub.fetch(REPOSITORY, found.files[0], tmp_path)
        assert handler.ranges == ["", "bytes=1000-"]
        # What is there is not fetched again.
        assert hub.fetch(REPOSITORY, found.files[0], tmp_path) == path
        assert len(handler.ranges) == 2
    assert path.read_bytes() == CONTENT
    check_download(path, SHA)


def test_a_hub_without_the_model_or_without_an_answer_says_so(tmp_path: Path):
    with serving() as (url, _), pytest.raises(ModelNotFoundError, match="no model acme/other"):
        ModelScopeHub(url).look("acme/other")
    with pytest.raises(ModelError, match="HF_ENDPOINT"):
        ModelScopeHub(url).look(REPOSITORY)
    with pytest.raises(SettingError, match="https://"):
        ModelScopeHub("file:///etc").look(REPOSITORY)


# The hub's client reads HF_ENDPOINT when it is imported: another process, as a user has it.
CLIENT = """
import json, sys
from pathlib import Path
from inference.hub import HuggingFaceHub
hub = HuggingFaceHub()
found = hub.look(sys.argv[1])
path = hub.fetch(sys.argv[1], found.files[0], Path(sys.argv[2]))
names = [file.path for file in found.files]
print(json.dumps([found.licence, found.languages, names, found.files[0].sha256, str(path)]))
"""


def test_the_hubs_own_client_respects_the_mirror(tmp_path: Path):
    with serving() as (url, handler):
        environment = {**os.environ, "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment |= {"HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
        environment.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, REPOSITORY, str(tmp_path / "models")],
            env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        licence, languages, files, digest, path = json.loads(done.stdout.splitlines()[-1])
        assert (licence, languages) == ("mit", ["en", "zh"])
        assert files == ["tiny-Q8_0.gguf", "README.md"]
        assert digest == SHA
        assert Path(path).read_bytes() == CONTENT
        assert len(handler.ranges) == 1


def test_the_settings_choose_the_hub_and_offline_forbids_it(tmp_path: Path):
    online = load_settings(home=tmp_path, offline=False)
    assert isinstance(hub_of(online), HuggingFaceHub)
    assert isinstance(hub_of(online.model_copy(update={"hub": "modelscope"})), ModelScopeHub)
    with pytest.raises(SettingError, match="FOURFOLD_OFFLINE"):
        hub_of(load_settings(home=tmp_path))


@pytest.mark.parametrize("path", ["../x.gguf", "/etc/passwd", "a/../../x", "a\\..\\x"])
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, path: str):
    with pytest.raises(ModelError, match="outside"):
        _inside(tmp_path, path)
    assert _inside(tmp_path, "a/b.gguf") == tmp_path / "a" / "b.gguf"


def files(*names: str) -> Repository:
    return Repository("acme/m", tuple(RemoteFile(name, 100 + len(name)) for name in names))


def test_one_gguf_is_chosen_among_many():
    many = files("m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-m-Q4_K_M.gguf", "m-F16-00001-of-00002.gguf", "README.md")
    assert best_file(many).path == "m-Q4_K_M.gguf"
    assert best_file(many, "q8_0").path == "m-Q8_0.gguf"
    assert best_file(files("odd.gguf")).path == "odd.gguf"
    with pytest.raises(ModelNotFoundError, match="m-Q8_0"):
        best_file(many, "Q2_K")
    with pytest.raises(ModelNotFoundError):
        best_file(files("README.md"))
    assert file_of(many, "m-Q8_0.gguf").path == "m-Q8_0.gguf"
    with pytest.raises(ModelNotFoundError):
        file_of(many, "absent.gguf")


def test_an_encoder_comes_without_other_runtimes_weights():
    names = ("modules.json", "model.safetensors", "onnx/model.json", "pytorch_model.bin", "1_Pooling/config.json")
    repository = files(*names)
    assert [file.path for file in encoder_files(repository)] == [
        "modules.json", "model.safetensors", "1_Pooling/config.json",
    ]  # fmt: skip
    with pytest.raises(ModelNotFoundError):
        encoder_files(files("model.safetensors"))


def test_a_repository_becomes_an_entry_with_an_estimate():
    class OneHub:
        def look(self, repository: str) -> Repository:
            file = RemoteFile("x-Q4_K_M.gguf", 2_500_000_000, SHA)
            return Repository(repository, (file,), "apache-2.0", ("en", "zh"))

        def fetch(self, repository: str, file: RemoteFile, folder: Path) -> Path:
            raise AssertionError("nothing is fetched for a look")

    entry = entry_of_repository("acme/x-GGUF:q4_k_m", OneHub())
    assert (entry.name, entry.repository, entry.file) == ("acme--x-GGUF", "acme/x-GGUF", "x-Q4_K_M.gguf")
    estimate = estimate_entry(entry, 4096, available=100 * 1024**3)
    # The nearest in size is Qwen3-4B: 36 layers, 8 heads of 128.
    assert estimate.kv_cache == 2 * 4096 * 36 * 8 * 128 * 2
    assert entry_of_repository("qwen3-4b", OneHub()).repository == "Qwen/Qwen3-4B-GGUF"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/b", True), ("a/b:Q8_0", True), ("qwen3-4b", False), ("../b", False), ("a/b/c", False), ("/abs/x.gguf", False)],
)
def test_the_form_of_a_repository(name: str, expected: bool):
    assert is_repository(name) is expected


def test_languages_of_cards_and_encoders():
    assert _known(["en", "fr"]) == ("en",)
    assert _known("Chinese") == ("zh",)
    assert _known(["multilingual"]) == ("en", "zh")
    assert _known(None) == ()
    assert find_encoder("bge-m3") is find_encoder("BAAI/bge-m3")
    assert find_encoder("nothing") is None
    assert any("zh" in entry.languages for entry in ENCODERS)


def test_a_checksum_that_does_not_hold_deletes_the_file(tmp_path: Path):
    path = tmp_path / "x.gguf"
    path.write_bytes(CONTENT)
    check_download(path, "")
    with pytest.raises(ModelLoadError, match="arrived damaged"):
        check_download(path, "0" * 64)
    assert not path.exists()
