"""Getting a model from the page: the same command as in the terminal, its complaint told, its bytes counted."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import downloads
from app.container import Container
from app.jobs import Job, Report
from app.wording import Wording
from core.config import load_settings
from core.errors import FourfoldError
from tests.app.test_jobs import ended

EN = Wording("en")


@pytest.fixture
def closed_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that has nothing: every request is answered with 404."""

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_about: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("FOURFOLD_HUB", "modelscope")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()


def test_a_download_that_fails_says_why_on_the_page(closed_hub: None, box: Container):
    job = ended(box.work, box.work.start("download", "qwen3-0.6b", {"name": "qwen3-0.6b", "bytes": 1000}))
    assert job.state == "failed"
    page = AppTest.from_string("from app.views import models\n\nmodels.draw()\n", default_timeout=60).run()
    assert not page.exception
    assert "Qwen" in page.error[0].value.replace("\\", "")


def test_the_list_is_that_of_the_command():
    names = [model["name"] for model in downloads.command(load_settings(), "list")["models"]]
    assert names[0] == "smollm2-135m"
    assert "qwen3-0.6b" in names


def test_a_model_that_is_not_there_cannot_be_removed():
    with pytest.raises(FourfoldError, match="qwen"):
        downloads.command(load_settings(), "remove", "qwen3-0.6b")


def test_what_comes_is_counted_also_while_it_comes(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.gguf.incomplete").write_bytes(b"12345")
    (tmp_path / "y.json").write_bytes(b"678")
    assert downloads.size_of(tmp_path) == 8
    assert downloads.size_of(tmp_path / "nowhere") == 0


def test_the_end_of_the_command_is_read_from_its_last_line():
    assert downloads._outcome(["25 %", json.dumps({"path": "/m.gguf"})]) == {"path": "/m.gguf"}
    with pytest.raises(FourfoldError, match="no such"):
        downloads._outcome([json.dumps({"error": "no such model", "error_zh": "没有该模型"})])
    with pytest.raises(FourfoldError):
        downloads._outcome(["Traceback"])


def test_a_stopped_download_ends_its_process(closed_hub: None, tmp_path: Path):
    folder = tmp_path / "work-1"
    folder.mkdir()
    (folder / "cancel").touch()
    report = Report(folder, Job("work-1", "download", "x"))
    assert downloads.download(load_settings(), {"name": "qwen3-0.6b", "bytes": 0}, report) is None
