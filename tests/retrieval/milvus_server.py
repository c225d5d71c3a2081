"""A real Milvus 2.3 server out of the package `milvus`, on free ports of this machine."""

import importlib
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_SECONDS_TO_START = 120.0
# What the package leaves out: its etcd would take the ports 2379 and 2380, whoever else has them.
_ETCD = """name: default
data-dir: {folder}
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
"""


class MilvusProcess:
    """The server in `folder`, started by `start` and ended by `stop`."""

    def __init__(self, folder: Path) -> None:
        self._package: Any = importlib.import_module("milvus")
        config = self._package.MilvusServerConfig(data_dir=str(folder), template=str(_template(self._package, folder)))
        config.glog_conf_file = str(Path(str(self._package.__file__)).parent / "data" / "glog.conf")
        self._server = self._package.MilvusServer(config, wait_for_started=False)
        self._folder = folder

    def start(self) -> str:
        """Start, wait until it is healthy, and return its URL. Raises RuntimeError with its last words otherwise."""
        self._server.start()
        process: subprocess.Popen[bytes] = self._server.server_proc
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self._is_healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                words = (self._folder / "logs" / "milvus-stdout.log").read_text(errors="replace")[-2_000:]
                self.stop()
                raise RuntimeError(f"the Milvus server did not start: {words}")
            time.sleep(0.2)
        return f"milvus://127.0.0.1:{self._server.listen_port}"

    def stop(self) -> None:
        """End the server and delete its files."""
        self._server.stop()
        self._server.cleanup()

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._server.webservice_port}/healthz", timeout=5
            ) as answer:
                return b"OK" in answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _template(package: Any, folder: Path) -> Path:
    given = (Path(package.__file__).parent / "data" / "config.yaml.template").read_text(encoding="utf-8")
    etcd = folder / "etcd.yaml"
    etcd.write_text(_ETCD.format(folder=folder / "etcd", client=_free_port(), peer=_free_port()), encoding="utf-8")
    changed = folder / "milvus.yaml.template"
    changed.write_text(
        given.replace("  use:\n    embed", f"  config:\n    path: {etcd}\n  use:\n    embed", 1), "utf-8"
    )
    return changed


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
