"""What a tool is to us: a LangChain `BaseTool` with a risk, an origin, and a name in both languages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from core.errors import ToolError
from core.language import Bilingual
from core.types import ToolCall

Risk = Literal["read", "write", "network"]
Failure = Literal["", "unknown_tool", "bad_arguments", "not_approved", "denied", "failed", "timeout"]
BUILT_IN = "built-in"


@dataclass(frozen=True)
class ToolEntry:
    """One callable tool. `origin` is `built-in`, the path of the user's file, a module or `mcp:<server>`.

    `isolated`: it runs in a process of its own that keeps the limits itself. `quotes`: its result holds text that
    others may have written.
    """

    tool: BaseTool
    risk: Risk
    title: Bilingual
    description: Bilingual
    origin: str = BUILT_IN
    isolated: bool = False
    quotes: bool = False

    @property
    def name(self) -> str:
        """The name by which a model calls it."""
        return self.tool.name

    @property
    def needs_approval(self) -> bool:
        """Whether a person is asked first: everything that does more than read."""
        return self.risk != "read"

    @property
    def brings_foreign_text(self) -> bool:
        """Whether its result may hold what others wrote, instructions to the model among it."""
        return self.quotes or self.origin != BUILT_IN

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON schema of the arguments (an object); what is not in it is refused."""
        return cast("dict[str, Any]", self.schema()["function"]["parameters"])

    def schema(self, language: str = "en") -> dict[str, Any]:
        """The tool in the form that chat templates and OpenAI-compatible servers read."""
        converted = convert_to_openai_tool(self.tool)
        function = dict(converted["function"])
        function["description"] = self.description.in_(language)
        function["parameters"] = {
            "type": "object",
            "properties": {},
            **function.get("parameters", {}),
            "additionalProperties": False,
        }
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class ToolOutcome:
    """What came of a call: `text` is data for the model, `details` what the person may unfold (a query, rows)."""

    call: ToolCall
    text: str
    failure: Failure = ""
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)
    message: Bilingual | None = None

    @property
    def failed(self) -> bool:
        """Whether the call brought no result."""
        return bool(self.failure)


@dataclass(frozen=True)
class ToolProblem:
    """A tool that cannot be offered, and why."""

    origin: str
    message: Bilingual


def built_in(
    function: Callable[..., Any],
    title: Bilingual,
    description: Bilingual,
    *,
    with_details: bool = False,
    quotes: bool = False,
) -> ToolEntry:
    """Make a built-in, read-only tool of a typed function.

    With `with_details` the function returns (text, details), else the text alone. The docstring's `Args:` section
    describes the arguments.
    """
    tool = StructuredTool.from_function(
        function,
        description=description.en,
        parse_docstring=True,
        error_on_invalid_docstring=True,
        response_format="content_and_artifact" if with_details else "content",
    )
    return ToolEntry(tool, "read", title, description, quotes=quotes)


def checked_risk(value: object, origin: str) -> Risk:
    """Return `value` as a risk. Raises ToolError naming the file or server that declares another word."""
    if value in get_args(Risk):
        return cast("Risk", value)
    raise ToolError(
        Bilingual(
            en=f"{origin} declares the risk {value!r}; write one of read, write, network.",
            zh=f"{origin} 声明的风险 {value!r} 无效；请写 read、write 或 network 之一。",
        )
    )
