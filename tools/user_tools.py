"""The user's own tools, .py files in a folder, and LangChain tools named by import path: run in a child, never here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.tools import StructuredTool

from core.errors import ToolError
from core.language import Bilingual
from tools import isolation
from tools.base import Risk, ToolEntry, ToolProblem, checked_risk
from tools.isolation import Limits

_ARGUMENTS = re.compile(r"^[ \t]*(?:Args|Arguments|Parameters|参数)[:：][ \t]*$", re.MULTILINE)
# One argument of Google's style: `name (type): what it is`, gone on in lines that are further in.
_ARGUMENT = re.compile(
    r"^[ \t]*(\w+)[ \t]*(?:\([^)\n]*\))?[:：][ \t]*(\S.*(?:\n[ \t]{8,}(?!\w+[ \t]*[:：(]).+)*)", re.MULTILINE
)
DEFAULT_RISK: Risk = "write"  # Who does not say what a tool does is asked before it runs.
COMMUNITY_RISK: Risk = "network"  # Most tools of others search something out there.


@dataclass(frozen=True)
class LoadedTools:
    """The tools found, and the files or paths from which none could be taken."""

    entries: tuple[ToolEntry, ...] = ()
    problems: tuple[ToolProblem, ...] = ()

    def __add__(self, other: "LoadedTools") -> "LoadedTools":
        return LoadedTools(self.entries + other.entries, self.problems + other.problems)


def load_folder(folder: Path, limits: Limits) -> LoadedTools:
    """The tools of every .py file in `folder` (which need not exist), in the order of the files' names."""
    files = sorted(path for path in folder.glob("*.py") if path.is_file() and not path.name.startswith("_"))
    return sum((load_target(str(path.absolute()), limits) for path in files), LoadedTools())


def load_named(named: str, limits: Limits) -> LoadedTools:
    """A tool by import path, `package.module:name` or `package.module:name=risk`; without a risk it may do all."""
    target, _, risk = (part.strip() for part in named.partition("="))
    return load_target(target, limits, risk or COMMUNITY_RISK)


def load_target(target: str, limits: Limits, risk: str = DEFAULT_RISK) -> LoadedTools:
    """The tools of one file or import path; a failure is a problem, not an exception.

    `risk` is that of a tool that declares none.
    """
    try:
        descriptions = isolation.describe(target, limits)
        if not descriptions:
            raise ToolError(_nothing_found(target))
        return LoadedTools(tuple(_entry(target, description, limits, risk) for description in descriptions))
    except ToolError as error:
        return LoadedTools(problems=(ToolProblem(target, error.message),))


def _entry(target: str, description: dict[str, Any], limits: Limits, usual: str) -> ToolEntry:
    name, text = description["name"], _summary(description["description"])
    parameters = _explained(description["parameters"], description["description"])
    risk = checked_risk(description["risk"] or usual, target)

    def run(**arguments: Any) -> str:
        return isolation.call(target, name, arguments, risk, limits)

    tool = StructuredTool.from_function(run, name=name, description=text, args_schema=parameters)
    return ToolEntry(
        tool, risk, _bilingual(description["title"], name), Bilingual(text, text), origin=target, isolated=True
    )


def _summary(docstring: str) -> str:
    """What a docstring says before it comes to the arguments."""
    return _ARGUMENTS.split(docstring)[0].strip()


def _explained(parameters: dict[str, Any], docstring: str) -> dict[str, Any]:
    """The schema with what the docstring's `Args:` section says of each argument that is not described otherwise."""
    section = _ARGUMENTS.split(docstring)[1:2]
    told = {match[1]: " ".join(match[2].split()) for match in _ARGUMENT.finditer(section[0] if section else "")}
    properties = {
        name: {"description": told[name], **schema} if name in told else schema
        for name, schema in parameters.get("properties", {}).items()
    }
    return {**parameters, "properties": properties} if properties else parameters


def _bilingual(title: object, name: str) -> Bilingual:
    """A title may be a string or {"en": ..., "zh": ...}; without one the name is spoken."""
    if isinstance(title, dict):
        return Bilingual(str(title.get("en", name)), str(title.get("zh", title.get("en", name))))
    spoken = str(title) if title else name.replace("_", " ")
    return Bilingual(spoken, spoken)


def _nothing_found(target: str) -> Bilingual:
    return Bilingual(
        en=f"{target} holds no tool. Put @tool (from langchain_core.tools) above a typed, documented function.",
        zh=f"{target} 中没有工具。请在带类型和文档的函数上方加 @tool（来自 langchain_core.tools）。",
    )
