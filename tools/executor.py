"""Runs one call: known? arguments valid? approved? in time? Whatever goes wrong is a result, not an exception."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
from langchain_core.messages import ToolMessage

from core.errors import FourfoldError, ToolError
from core.language import Bilingual
from core.types import ToolCall
from tools.base import Failure, ToolEntry, ToolOutcome
from tools.isolation import STARTUP_SECONDS, ToolTimeoutError

LONGEST_RESULT = 20_000
POLL_SECONDS = 0.02


class ToolExecutor:
    """Runs calls of the tools given, each at most `seconds` long."""

    def __init__(self, entries: tuple[ToolEntry, ...], seconds: float = 20.0) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._seconds = seconds

    def check(self, call: ToolCall) -> ToolOutcome | None:
        """What is wrong with the call before it runs (unknown tool, bad argument), or None."""
        entry = self._entries.get(call.name)
        if entry is None:
            return _failed(call, "unknown_tool", self._unknown(call.name))
        validator = jsonschema.Draft202012Validator(entry.parameters)
        error = jsonschema.exceptions.best_match(validator.iter_errors(dict(call.arguments)))
        return _failed(call, "bad_arguments", _bad_argument(call, error)) if error else None

    def entry(self, name: str) -> ToolEntry | None:
        """The tool of that name, or None."""
        return self._entries.get(name)

    def run(
        self, call: ToolCall, *, approved: bool = False, is_cancelled: Callable[[], bool] = lambda: False
    ) -> ToolOutcome:
        """Run the call. A tool that does more than read runs only when `approved`. Raises nothing of the tool's."""
        problem = self.check(call)
        if problem is not None:
            return problem
        entry = self._entries[call.name]
        if entry.needs_approval and not approved:
            return _failed(call, "not_approved", _not_approved(call.name))
        started = time.monotonic()
        outcome = self._invoke(entry, call, is_cancelled)
        return replace(outcome, seconds=time.monotonic() - started)

    def _invoke(self, entry: ToolEntry, call: ToolCall, is_cancelled: Callable[[], bool]) -> ToolOutcome:
        """Run in a thread: what does not come back in time is left behind (isolated code is killed)."""
        outcomes: list[ToolOutcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(_attempt(entry, call)), daemon=True)
        thread.start()
        # A child process keeps its own time, from when it has started; this clock is the second fence.
        fence = time.monotonic() + self._seconds + (STARTUP_SECONDS + 1 if entry.isolated else 0)
        while thread.is_alive():
            if is_cancelled():
                return _failed(call, "timeout", Bilingual(en="The tool was stopped.", zh="工具已停止。"))
            if time.monotonic() > fence:
                return _failed(call, "timeout", _too_long(call.name, self._seconds))
            thread.join(POLL_SECONDS)
        return outcomes[0]

    def _unknown(self, name: str) -> Bilingual:
        known = ", ".join(sorted(self._entries))
        return Bilingual(
            en=f"There is no tool called {name!r}. The tools are: {known}.",
            zh=f"没有名为 {name!r} 的工具。可用的工具：{known}。",
        )


def denied(call: ToolCall) -> ToolOutcome:
    """The outcome of a call that the person refused."""
    return _failed(
        call,
        "denied",
        Bilingual(
            en=f"The person did not allow the call of {call.name}. Answer without it.",
            zh=f"用户没有允许调用 {call.name}。请在不使用它的情况下回答。",
        ),
    )


def _attempt(entry: ToolEntry, call: ToolCall) -> ToolOutcome:
    try:
        text, details = _invoke_tool(entry, call)
    except ToolTimeoutError as error:
        return _failed(call, "timeout", error.message)
    except FourfoldError as error:
        return _failed(call, "failed", error.message)
    except Exception as error:  # noqa: BLE001 a tool's failure of any kind is data for the model
        reason = f"{type(error).__name__}: {error}"
        return _failed(call, "failed", Bilingual(en=f"The tool failed: {reason}", zh=f"工具运行失败：{reason}"))
    return ToolOutcome(call, _shortened(text), details=details)


def _invoke_tool(entry: ToolEntry, call: ToolCall) -> tuple[str, dict[str, Any]]:
    request = {"type": "tool_call", "id": call.id or "call", "name": call.name, "args": dict(call.arguments)}
    message = entry.tool.invoke(request)
    if not isinstance(message, ToolMessage):
        return str(message), {}
    if message.status == "error":
        raise ToolError(Bilingual(en=str(message.content), zh=str(message.content)))
    artifact = message.artifact if isinstance(message.artifact, dict) else {}
    return str(message.text), artifact


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_RESULT:
        return text
    return text[:LONGEST_RESULT] + f"\n[... {len(text) - LONGEST_RESULT} more characters]"


def _failed(call: ToolCall, failure: Failure, message: Bilingual) -> ToolOutcome:
    return ToolOutcome(call, message.en, failure, message=message)


def _bad_argument(call: ToolCall, error: jsonschema.ValidationError) -> Bilingual:
    place = ".".join(str(part) for part in error.absolute_path) or "arguments"
    return Bilingual(
        en=f"{call.name}: {place} is wrong: {error.message}.",
        zh=f"{call.name}：参数 {place} 有误：{error.message}。",
    )


def _not_approved(name: str) -> Bilingual:
    return Bilingual(
        en=f"{name} does more than read, so it waits until a person allows it.",
        zh=f"{name} 不只是读取数据，需等待用户批准。",
    )


def _too_long(name: str, seconds: float) -> Bilingual:
    return Bilingual(
        en=f"{name} took longer than {seconds:g} s and was left behind (setting tool_seconds).",
        zh=f"{name} 运行超过 {seconds:g} 秒，已放弃等待（设置项 tool_seconds）。",
    )
