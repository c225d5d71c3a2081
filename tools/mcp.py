"""Tools of MCP servers (stdio, HTTP), named by the setting `mcp_servers`; needs the optional extra `mcp`."""

import asyncio
import importlib.util
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar, cast

from langchain_core.tools import BaseTool, StructuredTool

from core.config import Settings
from core.errors import FourfoldError, MissingExtraError, SettingError, ToolError
from core.language import Bilingual
from tools.base import ToolEntry, ToolProblem, checked_risk
from tools.user_tools import LoadedTools

CONNECT_SECONDS = 30.0
Result = TypeVar("Result")


def load_servers(settings: Settings) -> LoadedTools:
    """The tools of every server in `settings.mcp_servers`; one that cannot be used is a problem, not an exception."""
    return sum((_load(name, dict(server), settings) for name, server in settings.mcp_servers.items()), LoadedTools())


def _load(name: str, server: dict[str, Any], settings: Settings) -> LoadedTools:
    origin = f"mcp:{name}"
    try:
        risk = checked_risk(server.pop("risk", "network"), origin)
        connection = _connection(name, server, settings.offline)
        tools = _wait(_list_tools(name, connection), CONNECT_SECONDS)
    except FourfoldError as error:
        return LoadedTools(problems=(ToolProblem(origin, error.message),))
    entries = (_entry(tool, origin, settings.tool_seconds) for tool in tools)
    return LoadedTools(tuple(ToolEntry(tool, risk, *_names(tool), origin=origin) for tool in entries))


def _connection(name: str, server: dict[str, Any], offline: bool) -> dict[str, Any]:
    """What langchain-mcp-adapters wants to know of a server. Raises MissingExtraError, SettingError."""
    if importlib.util.find_spec("langchain_mcp_adapters") is None:
        raise MissingExtraError(Bilingual("An MCP server", "MCP 服务器"), "mcp")
    if "command" in server:
        return {"transport": "stdio", "args": [], **server}
    if "url" in server:
        if offline and not _is_local(str(server["url"])):
            raise SettingError(
                Bilingual(
                    en=f"The MCP server {name} is on the network, and the setting offline is on.",
                    zh=f"MCP 服务器 {name} 位于网络上，而设置项 offline 已开启。",
                )
            )
        return {"transport": "streamable_http", **server}
    raise SettingError(
        Bilingual(
            en=f"mcp_servers.{name} needs a `command` (with `args`) or a `url`.",
            zh=f"mcp_servers.{name} 需要 `command`（及 `args`）或 `url`。",
        )
    )


def _is_local(url: str) -> bool:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


async def _list_tools(name: str, connection: dict[str, Any]) -> list[BaseTool]:
    from langchain_mcp_adapters.client import MultiServerMCPClient

    client = MultiServerMCPClient({name: cast("Any", connection)})
    return await client.get_tools()


def _entry(tool: BaseTool, origin: str, seconds: float) -> BaseTool:
    """The adapters give asynchronous tools only; ours are called from plain threads."""

    def run(**arguments: Any) -> str:
        request = {"type": "tool_call", "id": "call", "name": tool.name, "args": arguments}
        message = _wait(tool.ainvoke(request), seconds)
        if getattr(message, "status", "success") == "error":
            raise ToolError(Bilingual(en=f"{origin}: {message.text}", zh=f"{origin}：{message.text}"))
        return str(message.text)

    return StructuredTool.from_function(
        run, name=tool.name, description=tool.description or tool.name, args_schema=cast("Any", tool.args_schema)
    )


def _names(tool: BaseTool) -> tuple[Bilingual, Bilingual]:
    spoken = tool.name.replace("_", " ")
    return Bilingual(spoken, spoken), Bilingual(tool.description, tool.description)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop in a thread of its own: the application is synchronous."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="mcp", daemon=True).start()
    return loop


def _wait(coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result:
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        future.cancel()
        raise ToolError(
            Bilingual(
                en=f"The MCP server did not answer within {seconds:g} s.", zh=f"MCP 服务器在 {seconds:g} 秒内没有响应。"
            )
        ) from None
    except FourfoldError:
        raise
    except Exception as error:  # a group of whatever the transport raises
        reason = _innermost(error)
        raise ToolError(Bilingual(en=f"The MCP server failed: {reason}", zh=f"MCP 服务器出错：{reason}")) from error


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
