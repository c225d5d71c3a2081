"""A real Milvus 2.3 server out of the package `milvus`, on free ports of this machine.

Milvus binds its ports on all interfaces and has no setting for it, so it asks for a password that is made anew each
time; its parts find each other under 127.0.0.1.
"""

import importlib
import re
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_SECONDS_TO_START = 120.0
# Whom a new server knows, with the password that every new one has.
_USER, _FIRST_PASSWORD = "root", "Milvus"
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
        """Start, wait until it is healthy, change its password, and return its URL.

        Raises RuntimeError with its last words where it does not start.
        """
        self._server.start()
        process: subprocess.Popen[bytes] = self._server.server_proc
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self._is_healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                words = (self._folder / "logs" / "milvus-stdout.log").read_text(errors="replace")[-2_000:]
                self.stop()
                raise RuntimeError(f"the Milvus server did not start: {words}")
            time.sleep(0.2)
        place = f"127.0.0.1:{self._server.listen_port}"
        password = secrets.token_hex(16)
        client = milvus_client(f"milvus://{_USER}:{_FIRST_PASSWORD}@{place}")
        client.update_password(_USER, _FIRST_PASSWORD, password)
        client.close()
        return f"milvus://{_USER}:{password}@{place}"

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
    given = given.replace("  use:\n    embed", f"  config:\n    path: {etcd}\n  use:\n    embed", 1)
    given = re.sub(r"(?m)^  ip:.*$", "  ip: 127.0.0.1", given)
    changed.write_text(re.sub(r"authorizationEnabled: .*", "authorizationEnabled: true", given), "utf-8")
    return changed


def milvus_client(url: str) -> Any:
    """Milvus' own client at a URL of ours."""
    known = urlsplit(url)
    pymilvus = importlib.import_module("pymilvus")
    return pymilvus.MilvusClient(
        f"http://{known.hostname}:{known.port}", user=known.username or "", password=known.password or "", timeout=30
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
