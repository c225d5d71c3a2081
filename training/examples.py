"""One labelled example, and the JSON lines in which examples are kept."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.types import Message, ToolCall

# Token ids that a teacher held likely at a place, with their natural-log probabilities.
Likely = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Example:
    """A chat whose assistant turns are to be learned; the last message is the assistant's.

    `label` is set where the task is to name one of a few labels; `line` is the place in the user's file, from 1.
    `pieces` is set where what the model reads is no chat but a text of its own: (text, whether it is learned) each.
    `teacher` holds, for each token of the last answer, the one that a teacher wrote and those that it held likely.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    label: str = ""
    line: int = 0
    pieces: tuple[tuple[str, bool], ...] = ()
    teacher: tuple[tuple[int, Likely], ...] = ()

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the last answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The last answer."""
        return self.messages[-1].content

    @property
    def question(self) -> str:
        """The last user turn before the answer, empty where there is none."""
        return next((message.content for message in reversed(self.prompt) if message.role == "user"), "")

    @property
    def key(self) -> str:
        """A hash of the prompt: two examples with the same one ask the same."""
        text = "\x1f".join(f"{message.role}:{' '.join(message.content.split()).lower()}" for message in self.prompt)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def pair(question: str, answer: str, system: str = "", label: str = "", line: int = 0) -> Example:
    """An example of one question and one answer."""
    head = (Message("system", system),) if system else ()
    return Example((*head, Message("user", question), Message("assistant", answer)), label=label, line=line)


def written_out(pieces: Sequence[tuple[str, bool]]) -> Example:
    """An example of a text that is no chat; its first piece is what the model is given, the others follow."""
    rest = "".join(text for text, _ in pieces[1:])
    return Example((Message("user", pieces[0][0]), Message("assistant", rest)), pieces=tuple(pieces))


def write_examples(path: Path, examples: Iterable[Example]) -> str:
    """Write examples as JSON lines; return the SHA-256 of what was written."""
    text = "".join(json.dumps(_to_json(example), ensure_ascii=False) + "\n" for example in examples)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_examples(path: Path) -> list[Example]:
    """Read what `write_examples` wrote."""
    with path.open(encoding="utf-8") as file:
        return [from_json(json.loads(line), number) for number, line in enumerate(file, 1)]


def from_json(row: Mapping[str, Any], line: int) -> Example:
    """An example from a row with `messages` (role, content, tool_calls) and perhaps `tools` and `label`."""
    messages = tuple(message_from_json(turn) for turn in row["messages"])
    pieces = tuple((str(text), bool(trained)) for text, trained in row.get("pieces") or ())
    teacher = tuple((int(token), tuple((int(a), float(b)) for a, b in top)) for token, top in row.get("teacher") or ())
    return Example(messages, tuple(row.get("tools") or ()), str(row.get("label") or ""), line, pieces, teacher)


def message_from_json(turn: Mapping[str, Any]) -> Message:
    """A message in OpenAI's form. Raises KeyError or ValueError where it is in another."""
    if turn["role"] not in ("system", "user", "assistant", "tool"):
        raise ValueError(f"role {turn['role']!r}")
    return Message(
        role=turn["role"],
        content=str(turn.get("content") or ""),
        tool_calls=_calls(turn.get("tool_calls") or ()),
        tool_call_id=str(turn.get("tool_call_id") or ""),
        name=str(turn.get("name") or ""),
    )


def _calls(calls: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    found = []
    for number, call in enumerate(calls):
        function = call.get("function", call)
        arguments = function.get("arguments") or {}
        parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
        found.append(ToolCall(str(call.get("id") or f"call_{number}"), str(function["name"]), parsed))
    return tuple(found)


def _to_json(example: Example) -> dict[str, Any]:
    row: dict[str, Any] = {"messages": [_turn(message) for message in example.messages]}
    if example.tools:
        row["tools"] = list(example.tools)
    if example.label:
        row["label"] = example.label
    if example.teacher:
        row["teacher"] = example.teacher
    if example.pieces:
        row["pieces"] = [list(piece) for piece in example.pieces]
    return row


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.tool_calls
        ]
    return turn
