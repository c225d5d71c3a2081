"""The user's labelled data: which of the known forms a file has, and its rows as examples.

Known: chat JSON lines (`messages`, with `tools`), sharegpt (`conversations`), alpaca (`instruction`, `output`), pairs
(`prompt`/`completion`, `question`/`answer`), and texts with labels, as JSON lines, a JSON list, CSV or TSV.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.errors import TrainingError
from core.language import Bilingual, language_of
from core.types import Message
from training.examples import Example, from_json, message_from_json, pair

DataFormat = Literal["chat", "sharegpt", "alpaca", "pair", "label"]
Row = Mapping[str, Any]

TEXT_NAMES = ("text", "sentence", "review", "message", "content", "文本", "内容", "评论")
LABEL_NAMES = ("label", "category", "class", "target", "intent", "标签", "类别")
QUESTION_NAMES = ("prompt", "question", "input", "query", "问题")
ANSWER_NAMES = ("completion", "answer", "response", "output", "回答", "答案")
SHAREGPT_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system",
    "function_call": "assistant", "observation": "tool", "tool": "tool",
}  # fmt: skip
# More labels than this are not written out in every prompt.
MOST_LABELS_SHOWN = 20
MAX_BYTES = 200_000_000


@dataclass(frozen=True)
class LoadedData:
    """The examples of a file in its order, the form it had, and a sentence for each row that was left out."""

    path: Path
    format: DataFormat
    examples: tuple[Example, ...]
    problems: tuple[Bilingual, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a labelling task, sorted; empty for any other."""
        return tuple(sorted({example.label for example in self.examples if example.label}))


def load_data(path: Path) -> LoadedData:
    """Read a file of labelled data. Raises TrainingError where it is absent, empty, or of no known form."""
    rows = [row for row in _rows(path) if not isinstance(row[1], dict) or any(row[1].values())]
    if not rows:
        raise TrainingError(
            Bilingual(
                en=f"{path} holds no rows. Give a file with at least a few dozen labelled examples.",
                zh=f"{path} 中没有数据。请提供至少几十条带标注的样例。",
            )
        )
    form = detect_format(next((row for _line, row in rows if isinstance(row, dict)), {}), path)
    read = _label_reader(rows) if form == "label" else _READERS[form]
    examples: list[Example] = []
    problems: list[Bilingual] = []
    for line, row in rows:
        try:
            examples.append(_complete(read(row, line)))
        except (KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:
            problems.append(_problem(line, error))
    if not examples:
        raise TrainingError(
            Bilingual(
                en=f"No row of {path} can be used. {problems[0].en}",
                zh=f"{path} 中没有可用的数据。{problems[0].zh}",
            )
        )
    return LoadedData(path, form, tuple(examples), tuple(problems))


def detect_format(row: Row, path: Path) -> DataFormat:
    """The form of a file by the names in one of its rows. Raises TrainingError where none fits."""
    if "messages" in row:
        return "chat"
    if "conversations" in row:
        return "sharegpt"
    if "instruction" in row and "output" in row:
        return "alpaca"
    if _first(row, TEXT_NAMES) is not None and _first(row, LABEL_NAMES) is not None:
        return "label"
    if _first(row, QUESTION_NAMES) is not None and _first(row, ANSWER_NAMES) is not None:
        return "pair"
    names = ", ".join(map(str, row)) or "-"
    raise TrainingError(
        Bilingual(
            en=f"{path} has the fields {names}; none of the known forms fits: messages | conversations | "
            "instruction+output | prompt+completion | question+answer | text+label.",
            zh=f"{path} 的字段是 {names}，不符合任何已知格式：messages | conversations | instruction+output | "
            "prompt+completion | question+answer | text+label。",
        )
    )


def label_prompt(text: str, labels: Sequence[str], language: str) -> str:
    """The question of a labelling task; the same words in training, in the exam and in use."""
    shown = ", ".join(labels) if len(labels) <= MOST_LABELS_SHOWN else ""
    if language == "zh":
        head = f"给文本选一个类别：{shown}。" if shown else "给文本选一个类别。"
        return f"{head}\n\n文本：{text}\n类别："
    head = f"Choose the label of the text: {shown}." if shown else "Choose the label of the text."
    return f"{head}\n\nText: {text}\nLabel:"


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Rows with their line numbers, from 1. A line that is not JSON comes as its text, and is reported later."""
    if not path.is_file():
        raise TrainingError(Bilingual(en=f"There is no file at {path}.", zh=f"{path} 处没有文件。"))
    if path.stat().st_size > MAX_BYTES:
        raise TrainingError(
            Bilingual(
                en=f"{path} is larger than 200 MB. A few thousand good examples teach more: take a sample.",
                zh=f"{path} 超过 200 MB。几千条好样例的效果更好：请先抽样。",
            )
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrainingError(
            Bilingual(
                en=f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8.",
                zh=f"{path} 不是 UTF-8 文本（第 {error.start} 字节处有误）。请另存为 UTF-8。",
            )
        ) from error
    if path.suffix.lower() in (".csv", ".tsv"):
        yield from _csv_rows(text, "\t" if path.suffix.lower() == ".tsv" else ",")
    elif text.lstrip().startswith("["):
        yield from enumerate(_json_list(path, text), 1)
    else:
        yield from ((number, _json_or_text(line)) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    for row in reader:
        yield reader.line_num, {(name or "").strip().lower(): value for name, value in row.items()}


def _json_list(path: Path, text: str) -> list[Any]:
    try:
        rows: list[Any] = json.loads(text)
        return rows
    except (ValueError, RecursionError) as error:
        raise TrainingError(
            Bilingual(en=f"{path} is not valid JSON: {error}.", zh=f"{path} 不是有效的 JSON：{error}。")
        ) from error


def _json_or_text(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def _first(row: Row, names: Sequence[str]) -> str | None:
    return next((name for name in names if row.get(name) not in (None, "")), None)


def _chat(row: Row, line: int) -> Example:
    return from_json(row, line)


def _sharegpt(row: Row, line: int) -> Example:
    messages = [_sharegpt_turn(turn) for turn in row["conversations"]]
    if row.get("system"):
        messages.insert(0, Message("system", str(row["system"])))
    tools = row.get("tools") or ()
    parsed = json.loads(tools) if isinstance(tools, str) else tools
    return Example(tuple(messages), tuple(parsed), line=line)


def _sharegpt_turn(turn: Row) -> Message:
    role = SHAREGPT_ROLES[str(turn.get("from", turn.get("role")))]
    return message_from_json({"role": role, "content": turn.get("value", turn.get("content"))})


def _alpaca(row: Row, line: int) -> Example:
    question = "\n\n".join(str(row[name]) for name in ("instruction", "input") if row.get(name))
    return pair(question, str(row["output"]), str(row.get("system") or ""), line=line)


def _pair(row: Row, line: int) -> Example:
    return pair(str(row[_named(row, QUESTION_NAMES)]), str(row[_named(row, ANSWER_NAMES)]), line=line)


def _label_reader(rows: Sequence[tuple[int, Any]]) -> Callable[[Row, int], Example]:
    """A reader of labelled texts that knows all labels of the file, for they stand in every prompt."""
    dicts = [row for _line, row in rows if isinstance(row, dict)]
    labels = sorted({str(row[name]).strip() for row in dicts if (name := _first(row, LABEL_NAMES)) is not None})
    texts = " ".join(str(row.get(_first(row, TEXT_NAMES) or "", ""))[:200] for row in dicts[:200])
    language = language_of(texts)

    def read(row: Row, line: int) -> Example:
        label = str(row[_named(row, LABEL_NAMES)]).strip()
        text = str(row[_named(row, TEXT_NAMES)]).strip()
        return pair(label_prompt(text, labels, language), label, label=label, line=line)

    return read


def _named(row: Row, names: Sequence[str]) -> str:
    found = _first(row, names)
    if found is None:
        raise KeyError(names[0])
    return found


def _complete(example: Example) -> Example:
    """The example, where it ends in an answer worth learning."""
    last = example.messages[-1]
    if last.role != "assistant" or not (last.content.strip() or last.tool_calls):
        raise ValueError("the last turn is not an answer of the assistant")
    if not any(message.role == "user" and message.content.strip() for message in example.messages):
        raise ValueError("there is no question of the user")
    return example


def _problem(line: int, error: Exception) -> Bilingual:
    detail = f"missing {error}" if isinstance(error, KeyError) else str(error)
    return Bilingual(en=f"Line {line}: {detail}.", zh=f"第 {line} 行无法使用：{detail}。")


_READERS: dict[DataFormat, Callable[[Row, int], Example]] = {
    "chat": _chat,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "pair": _pair,
}
