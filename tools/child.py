"""Runs the user's own tools, as a script in a process of its own: `python -I -B child.py`, one JSON request on stdin.

It imports nothing of the project. The request names a `target` (a .py file, or `module:attribute`), and for a call the
tool's `name` and `arguments`; the reply is a line `ready` and one JSON object on the first standard output, whatever
the tool prints.
The guards hold code to the risk that it declared. They stop accidents and careless code, not a determined attacker.
"""

import importlib
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

# Names of Python's audit events.
PROCESS_EVENTS = {"subprocess.Popen", "pty.spawn"} | {
    f"os.{name}"
    for name in ("fork", "forkpty", "posix_spawn", "exec", "spawn", "system", "startfile", "kill", "killpg")
}
NETWORK_EVENTS = {f"socket.{name}" for name in ("connect", "bind", "sendto", "sendmsg", "getaddrinfo")}
LOCAL = frozenset(("127.0.0.1", "::1", "localhost"))
CHANGE_EVENTS = {
    f"os.{name}"
    for name in ("remove", "rename", "rmdir", "mkdir", "link", "symlink", "truncate", "chmod", "chown", "utime")
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LARGEST_FILE = 64 * 2**20


def main() -> None:
    """Answer one request. A failure of the tool is part of the reply, never a traceback."""
    reply_to = os.dup(1)
    os.dup2(2, 1)  # What the tool prints goes to the log, not into the reply.
    request = json.load(sys.stdin)
    try:
        reply = _answer(request, reply_to)
    except MemoryError:
        reply = {"error": "MemoryError: the memory limit was reached"}
    except BaseException as error:  # noqa: BLE001 the user's code may raise anything, SystemExit included
        reply = {"error": f"{type(error).__name__}: {error}"}
    with os.fdopen(reply_to, "w", encoding="utf-8") as stream:
        json.dump(reply, stream, ensure_ascii=False, default=str)
    os._exit(0)  # Threads that the tool left behind must not keep the process.


def _answer(request: dict[str, Any], reply_to: int) -> dict[str, Any]:
    # Imported before the limits and the guards, which are meant for the user's code.
    from langchain_core.tools import BaseTool

    _limit(request["memory_bytes"], request["seconds"])
    os.write(reply_to, b"ready\n")  # From here on the clock runs.
    _guard(request["risk"], request["offline"])
    tools = [value for value in _load(request["target"]) if isinstance(value, BaseTool)]
    if "name" not in request:
        return {"tools": [_describe(tool) for tool in tools]}
    tool = next(tool for tool in tools if tool.name == request["name"])
    result = tool.invoke(request["arguments"])
    return {"result": result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)}


def _load(target: str) -> list[Any]:
    if target.endswith(".py"):
        spec = importlib.util.spec_from_file_location("user_tool_" + Path(target).stem, target)
        if spec is None or spec.loader is None:
            raise ImportError(f"{target} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # Type hints are looked up there.
        spec.loader.exec_module(module)
        return list(vars(module).values())
    module_name, _, attribute = target.partition(":")
    value = getattr(importlib.import_module(module_name), attribute)
    return [_made(value) if isinstance(value, type) else value]


def _made(kind: type) -> Any:
    """A tool of a class. One that wants more than its name says (a key, a connection) is made in a file of its own."""
    try:
        return kind()
    except (TypeError, ValueError) as error:
        wanted = [str(one["loc"][0]) for one in error.errors()] if hasattr(error, "errors") else [str(error)]
        raise TypeError(
            f"{kind.__name__} is not made without arguments ({', '.join(wanted)}); put a .py file with"
            f" `my_tool = {kind.__name__}(...)` into the tool folder instead"
        ) from error


def _describe(tool: Any) -> dict[str, Any]:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    function = convert_to_openai_tool(tool)["function"]
    extras = getattr(tool, "extras", None) or {}
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": function.get("parameters", {"type": "object", "properties": {}}),
        "risk": extras.get("risk"),
        "title": extras.get("title"),
    }


def _limit(memory_bytes: int, seconds: float) -> None:
    try:
        import resource
    except ImportError:  # Windows: the supervisor's watch is what remains.
        return
    pages = Path("/proc/self/statm")
    used = int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 0
    _lower(resource.RLIMIT_AS, used + memory_bytes)
    _lower(resource.RLIMIT_CPU, int(seconds) + 1)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))


def _guard(risk: str, offline: bool) -> None:
    """Hold the code to its risk: nothing starts a process, `read` only reads, `write` does not connect."""
    scratch = str(Path(tempfile.gettempdir()).resolve())

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in PROCESS_EVENTS:
            raise PermissionError(f"a tool may not start or stop programs ({event})")
        if event in NETWORK_EVENTS and risk != "network":
            raise PermissionError(f"a tool of risk {risk} may not use the network; declare the risk network")
        if event in NETWORK_EVENTS and offline and not _is_local(event, arguments):
            raise PermissionError("no tool may use the network while the setting offline is on (offline = false)")
        if risk == "read" and _changes_files(event, arguments) and not _inside(scratch, arguments[0]):
            raise PermissionError(f"a tool of risk read may not write ({arguments[0]}); declare the risk write")

    sys.addaudithook(watch)


def _is_local(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a network event stays on this machine."""
    target = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = target[0] if isinstance(target, tuple) and target else target
    return host in LOCAL


def _changes_files(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
        return bool(flags & WRITING) and arguments[0] != os.devnull and not isinstance(arguments[0], int)
    return event in CHANGE_EVENTS


def _inside(scratch: str, path: Any) -> bool:
    try:
        resolved = os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError):
        return False
    return resolved == scratch or resolved.startswith(scratch + os.sep)


if __name__ == "__main__":
    main()
