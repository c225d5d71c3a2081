"""Tool calls for any model: how tools are described to it, which output is allowed, and how a call is read.

A model whose template knows tools is addressed in its own way. Any other gets the descriptions in a system message, and
calls and results become plain text. In both cases the output is constrained: a call is always valid JSON with the name
of a real tool and arguments of its schema.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from core.types import Message, ToolCall
from inference.protocol import JsonSchema

# `auto`: text or a call; `required`: a call; otherwise the name of the one tool that must be called.
ToolChoice = Literal["auto", "required"] | str

# Without bounds on white space a small model may write line breaks for ever.
COMPACT_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

# A thought may stand before a call; it is no part of it.
_TAGS = re.compile(r"^\s*(?:<think>.*?</think>)?\s*(?:<tool_call>)?\s*|\s*</tool_call>\s*$", re.DOTALL)

INSTRUCTION = """Answer with a function call in JSON when a function fits, else in words. Functions:
{tools}
A call: {{"name": "<function>", "arguments": {{...}}}}"""


def tool_function(tool: JsonSchema) -> Mapping[str, Any]:
    """The inner description of a tool in OpenAI's form (`name`, `description`, `parameters`)."""
    inner: Mapping[str, Any] = tool.get("function", tool)
    return inner


def call_schema(tools: Sequence[JsonSchema], choice: ToolChoice = "required") -> dict[str, Any]:
    """The JSON Schema of one call: `{"name": ..., "arguments": {...}}`, of the tools that `choice` leaves."""
    functions = [tool_function(tool) for tool in tools]
    if choice not in ("auto", "required"):
        functions = [function for function in functions if function["name"] == choice]
    return {"anyOf": [_one_call(function) for function in functions]}


def call_grammar(tools: Sequence[JsonSchema], choice: ToolChoice = "auto") -> str:
    """The Lark grammar of an answer: a call, with or without the tags that some models were taught, or else text."""
    alternatives = "call | text" if choice == "auto" else "call"
    rules = [
        f"start: {alternatives}",
        'call: "<tool_call>\\n" json "\\n</tool_call>" | json',
        f"json: %json {json.dumps({**call_schema(tools, choice), 'x-guidance': COMPACT_JSON}, ensure_ascii=False)}",
    ]
    if choice == "auto":
        # What begins like a call is a call: no text can pretend to be one.
        rules.append("text: /[^{<\\s](.|\\n)*/")
    return "\n".join(rules)


def parse_call(text: str, call_id: str) -> ToolCall | None:
    """The call that `text` is, or None where it is an answer in words."""
    try:
        plain = json.loads(_TAGS.sub("", text))
    except ValueError:
        return None
    if not isinstance(plain, dict) or not isinstance(plain.get("name"), str):
        return None
    arguments = plain.get("arguments", {})
    return ToolCall(call_id, plain["name"], arguments) if isinstance(arguments, dict) else None


def call_as_text(call: ToolCall) -> str:
    """The call as the model writes it."""
    return json.dumps({"name": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False)


def in_plain_words(messages: Sequence[Message], tools: Sequence[JsonSchema]) -> list[Message]:
    """The same chat for a model that knows nothing of tools: descriptions, calls and results as text."""
    told = [_plain(message) for message in messages]
    if not tools:
        return told
    described = "\n".join(json.dumps(tool_function(tool), ensure_ascii=False) for tool in tools)
    text = INSTRUCTION.format(tools=described)
    if told and told[0].role == "system":
        return [replace(told[0], content=f"{told[0].content}\n\n{text}"), *told[1:]]
    return [Message("system", text), *told]


def _plain(message: Message) -> Message:
    if message.role == "tool":
        name = f" of {message.name}" if message.name else ""
        return Message("user", f"Result{name}: {message.content}")
    if message.tool_calls:
        calls = "\n".join(call_as_text(call) for call in message.tool_calls)
        return Message(message.role, "\n".join(filter(None, [message.content, calls])))
    return message


def _one_call(function: Mapping[str, Any]) -> dict[str, Any]:
    parameters = dict(function.get("parameters") or {"type": "object", "properties": {}})
    # An argument that no schema names is an invention.
    parameters.setdefault("additionalProperties", False)
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
