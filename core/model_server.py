"""An OpenAI-compatible server over HTTP: limits of time, retries with jitter, and a circuit breaker that names it.

A request is sent again only while nothing of its answer has come. The key goes into one header and nowhere else: no
message, no representation of an object here holds it.
"""

import http.client
import json
import random
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from core.errors import ModelBusyError, ModelError, ModelNotFoundError, ModelUnreachableError, PromptTooLongError
from core.language import Bilingual

CONNECT_SECONDS = 5.0
# A long prompt on a server without a GPU is read for minutes before its first token.
READ_SECONDS = 300.0
TRIES = 3
# Pauses between tries: half to one and a half times this, doubled each time, so that many clients do not come at once.
PAUSE_SECONDS = 0.3
# A busy server that asks for a longer wait than this is reported to the caller instead.
LONGEST_WAIT = 2.0
FAILURES_TO_OPEN = 3
OPEN_SECONDS, MOST_OPEN_SECONDS = 5.0, 60.0
DONE = "[DONE]"

Cancelled = Callable[[], bool]


class ExchangeCancelledError(Exception):
    """The caller no longer wanted the answer before it began."""


@dataclass(frozen=True)
class Address:
    """Where a server is: `url` up to and with `/v1`, a key that may be empty, the setting that named it."""

    url: str
    api_key: str = field(default="", repr=False)
    setting: str = "FOURFOLD_REMOTE_URL"

    @property
    def place(self) -> str:
        """Host and port, without credentials."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.netloc.rpartition("@")[2] or self.url

    def without_key(self, text: str) -> str:
        """The text of a server, in which an echoed key is struck out."""
        return text.replace(self.api_key, "***") if self.api_key else text


class Breaker:
    """After three failed requests in a row the server is left alone for a while, longer each time. Thread-safe."""

    def __init__(self, address: Address, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""
        self._until = 0.0

    def check(self) -> None:
        """Raises ModelUnreachableError while the server is left alone."""
        with self._lock:
            left = self._until - self._clock()
            if left <= 0:
                return
            failures, reason = self._failures, self._reason
        place, setting, seconds = self._address.place, self._address.setting, max(1, round(left))
        raise ModelUnreachableError(
            Bilingual(
                en=f"The model server {place} is down: {failures} requests in a row failed, the last one with: "
                f"{reason}. It is asked again in {seconds} s. Start it or change {setting}.",
                zh=f"模型服务器 {place} 不可用：连续 {failures} 个请求失败，最近一次的原因：{reason}。"
                f"{seconds} 秒后再试。请启动它，或修改 {setting}。",
            )
        )

    def succeeded(self) -> None:
        """The server answered."""
        with self._lock:
            self._failures, self._until = 0, 0.0

    def failed(self, reason: str) -> None:
        """A whole request failed, all its tries."""
        with self._lock:
            self._failures += 1
            self._reason = reason
            if self._failures >= FAILURES_TO_OPEN:
                doubled = OPEN_SECONDS * 2 ** (self._failures - FAILURES_TO_OPEN)
                self._until = self._clock() + min(doubled, MOST_OPEN_SECONDS)


class ModelServer:
    """Requests to one server. Thread-safe; every request has a connection of its own."""

    def __init__(self, address: Address, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self.breaker = Breaker(address, clock)

    def get(self, path: str) -> Any:
        """The JSON at `path` below the address. Raises ModelError and its children."""
        return self._whole("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that answers `body`. Raises ModelError and its children."""
        return self._whole("POST", path, body)

    def stream(
        self, path: str, body: Mapping[str, Any], is_cancelled: Cancelled = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """The objects of a server-sent stream as they come; ends early when cancelled, in any phase.

        Raises ModelError and its children; ModelUnreachableError also where the stream breaks off before its end.
        """
        try:
            exchange = self._begin("POST", path, body, is_cancelled)
        except ExchangeCancelledError:
            return
        ended = False
        try:
            for chunk in exchange.chunks():
                ended = ended or chunk is None or _is_last(chunk)
                if chunk is None:
                    break
                yield chunk
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            # The watcher closed the connection under the reader: that is the cancel, not a failure.
            if not is_cancelled():
                self._broke_off(str(error) or type(error).__name__)
            return
        finally:
            exchange.close()
        if not ended and not is_cancelled():
            self._broke_off("the connection was closed")

    def _whole(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        exchange = self._begin(method, path, body, lambda: False)
        try:
            return json.loads(exchange.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._broke_off(str(error) or type(error).__name__)
        finally:
            exchange.close()

    def _begin(self, method: str, path: str, body: Mapping[str, Any] | None, is_cancelled: Cancelled) -> "_Exchange":
        """An exchange whose answer begins with status 200; the tries before it are ours alone to know."""
        self.breaker.check()
        for number in range(TRIES):
            exchange = _Exchange(self.address, is_cancelled)
            try:
                status = exchange.send(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                exchange.close()
                self._after_failure(error, number, is_cancelled)
                continue
            if status == 200:
                self.breaker.succeeded()
                return exchange
            refusal = exchange.refusal(status)
            exchange.close()
            self._after_refusal(status, refusal, number, is_cancelled)
        raise AssertionError("the last try returns or raises")

    def _after_failure(self, error: Exception, number: int, is_cancelled: Cancelled) -> None:
        if is_cancelled():
            raise ExchangeCancelledError
        # Who kept us waiting for so long would do it again.
        if isinstance(error, TimeoutError) or number + 1 == TRIES:
            reason = str(error) or type(error).__name__
            self.breaker.failed(reason)
            self._unreachable(reason, error)
        _pause(PAUSE_SECONDS * 2**number, is_cancelled)

    def _after_refusal(self, status: int, refusal: ModelError, number: int, is_cancelled: Cancelled) -> None:
        wait = refusal.retry_after_seconds if isinstance(refusal, ModelBusyError) else PAUSE_SECONDS
        again = status in (429, 500, 502, 503, 504) and number + 1 < TRIES and wait <= LONGEST_WAIT
        if again:
            _pause(max(wait, PAUSE_SECONDS * 2**number), is_cancelled)
            return
        if status in (500, 502, 504):
            self.breaker.failed(f"status {status}")
        else:
            # It refuses, but it is there.
            self.breaker.succeeded()
        raise refusal

    def _unreachable(self, reason: str, error: Exception) -> NoReturn:
        place, setting = self.address.place, self.address.setting
        raise ModelUnreachableError(
            Bilingual(
                en=f"The model server {place} does not answer ({reason}). Start it or change {setting}.",
                zh=f"模型服务器 {place} 没有响应（{reason}）。请启动它，或修改 {setting}。",
            )
        ) from error

    def _broke_off(self, reason: str) -> NoReturn:
        self.breaker.failed(reason)
        place = self.address.place
        raise ModelUnreachableError(
            Bilingual(
                en=f"The model server {place} broke off in the middle of its answer ({reason}). "
                "What had come is kept; ask again when it runs.",
                zh=f"模型服务器 {place} 在回答中途断开（{reason}）。已收到的内容已保留；请在其恢复后再问一次。",
            )
        )


class _Exchange:
    """One request and its answer. A thread of its own hangs up when the caller no longer wants it."""

    def __init__(self, address: Address, is_cancelled: Cancelled) -> None:
        parts = urllib.parse.urlsplit(address.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._address = address
        self._base = parts.path.rstrip("/")
        self._connection = kind(address.place, timeout=CONNECT_SECONDS)
        self._closed = threading.Event()
        self._is_cancelled = is_cancelled
        self._response: Any = None
        # Kept beside the connection, which forgets it where the server will close after its answer.
        self._socket: socket.socket | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def send(self, method: str, path: str, body: Mapping[str, Any] | None) -> int:
        """Send the request and wait for the status. Raises OSError and HTTPException."""
        headers = {"Content-Type": "application/json"}
        if self._address.api_key:
            headers["Authorization"] = f"Bearer {self._address.api_key}"
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        self._connection.connect()
        self._socket = self._connection.sock
        self._socket.settimeout(READ_SECONDS)
        self._connection.request(method, self._base + path, data, headers)
        self._response = self._connection.getresponse()
        return int(self._response.status)

    def read(self) -> bytes:
        """The whole answer."""
        return bytes(self._response.read())

    def chunks(self) -> Iterator[dict[str, Any] | None]:
        """The objects of the stream, None for its own sign of the end."""
        for line in self._response:
            if self._is_cancelled():
                return
            data = line.decode("utf-8", errors="replace").strip().removeprefix("data:").strip()
            if data == DONE:
                yield None
                return
            if data.startswith("{"):
                yield self._checked(json.loads(data))

    def refusal(self, status: int) -> ModelError:
        """The error of an answer with that status."""
        detail = self._address.without_key(self._response.read(2000).decode("utf-8", errors="replace"))[:300]
        retry_after = self._response.headers.get("Retry-After", "")
        place = self._address.place
        message = Bilingual(
            en=f"The model server {place} refused the request with status {status}: {detail}",
            zh=f"模型服务器 {place} 拒绝了请求，状态码 {status}：{detail}",
        )
        if status in (429, 503):
            return ModelBusyError(message, float(retry_after) if retry_after.isdigit() else 1.0)
        if "context" in detail and status == 400:
            return PromptTooLongError(message)
        return ModelNotFoundError(message) if status == 404 else ModelError(message)

    def close(self) -> None:
        """Hang up."""
        self._closed.set()
        self._connection.close()

    def _checked(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Some servers tell an error inside a stream that began well."""
        if "error" not in chunk:
            return chunk
        found = chunk["error"]
        detail = self._address.without_key(str(found.get("message", found) if isinstance(found, dict) else found))
        place = self._address.place
        raise ModelError(
            Bilingual(
                en=f"The model server {place} reported an error: {detail[:300]}",
                zh=f"模型服务器 {place} 报告了错误：{detail[:300]}",
            )
        )

    def _watch(self) -> None:
        while not self._closed.wait(0.02):
            if self._is_cancelled() and self._socket is not None:
                _hang_up(self._socket)
                return


def _hang_up(sock: socket.socket) -> None:
    try:
        # Closing alone does not wake a thread that waits in `recv`.
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other end was faster.
        return


def _is_last(chunk: Mapping[str, Any]) -> bool:
    return any(choice.get("finish_reason") for choice in chunk.get("choices") or [])


def _pause(seconds: float, is_cancelled: Cancelled) -> None:
    """Wait half to one and a half times as long. Raises ExchangeCancelledError where the caller gives up meanwhile."""
    until = time.monotonic() + seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
    while time.monotonic() < until:
        if is_cancelled():
            raise ExchangeCancelledError
        time.sleep(0.02)
