"""Prompt templates: an instruction with variables, examples as earlier turns, a pattern around the question.

They lie in one JSON file of the data folder; the one in use shapes every question that is asked in the prompt mode.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from core.errors import SettingError
from core.language import Bilingual
from core.types import Message, Question

FILE = "prompts.json"
QUESTION = "question"
LONGEST_NAME = 60
_VARIABLE = re.compile(r"\{([^\W\d]\w{0,39})\}")


@dataclass(frozen=True)
class PromptTemplate:
    """How a question is put. `{name}` in the texts is a variable: `values` fill it, the question fills `{question}`.

    `turns` are pairs of question and answer that stand before, as if they had been said.
    """

    name: str
    instruction: str = ""
    pattern: str = "{question}"
    turns: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of both texts, in order, without the question's own."""
        found = _VARIABLE.findall(f"{self.instruction}\n{self.pattern}")
        return tuple(name for name in dict.fromkeys(found) if name != QUESTION)

    def apply(self, question: Question) -> Question:
        """The question as it is put. A pattern without `{question}` has it appended."""
        pattern = self.pattern if "{question}" in self.pattern else f"{self.pattern}\n\n{{question}}".strip()
        turns = tuple(
            message for asked, said in self.turns for message in (Message("user", asked), Message("assistant", said))
        )
        return replace(
            question,
            text=_filled(pattern, {**self.values, QUESTION: question.text}),
            history=(*turns, *question.history),
            options=replace(question.options, system=_filled(self.instruction, self.values)),
        )


@dataclass(frozen=True)
class PromptShelf:
    """The templates by name, and which one is in use ("": none)."""

    templates: tuple[PromptTemplate, ...] = ()
    in_use: str = ""

    def get(self, name: str) -> PromptTemplate | None:
        """The template of that name, or None."""
        return next((template for template in self.templates if template.name == name), None)

    @property
    def current(self) -> PromptTemplate | None:
        """The template in use, or None."""
        return self.get(self.in_use)


def load(home: Path) -> PromptShelf:
    """The templates of a data folder. Raises SettingError naming the file where it is damaged."""
    path = home / FILE
    if not path.is_file():
        return PromptShelf()
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        templates = tuple(template_from_json(one) for one in row["templates"])
        return PromptShelf(templates, str(row["in_use"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SettingError(
            Bilingual(
                en=f"{path} is not a list of prompt templates ({error!r}). Mend or delete it.",
                zh=f"{path} 不是有效的提示词模板列表（{error!r}）。请改正或删除该文件。",
            )
        ) from error


def keep(home: Path, template: PromptTemplate, use: bool = False) -> PromptShelf:
    """Add a template, in place of one of the same name. Raises SettingError where it has no name."""
    name = " ".join(template.name.split())[:LONGEST_NAME]
    if not name:
        raise SettingError(Bilingual("The template needs a name.", "请给模板起个名字。"))
    shelf = load(home)
    others = tuple(one for one in shelf.templates if one.name != name)
    return _save(home, PromptShelf((*others, replace(template, name=name)), name if use else shelf.in_use))


def use(home: Path, name: str) -> PromptShelf:
    """Put a template to use; "" : none. Raises SettingError where there is none of that name."""
    shelf = load(home)
    if name and shelf.get(name) is None:
        names = ", ".join(one.name for one in shelf.templates) or "-"
        raise SettingError(
            Bilingual(f"There is no template {name!r}; there are: {names}.", f"没有模板 {name!r}；现有：{names}。")
        )
    return _save(home, replace(shelf, in_use=name))


def remove(home: Path, name: str) -> PromptShelf:
    """Delete a template; one that was in use is no longer."""
    shelf = load(home)
    rest = tuple(one for one in shelf.templates if one.name != name)
    return _save(home, PromptShelf(rest, "" if shelf.in_use == name else shelf.in_use))


def shaped(home: Path, question: Question) -> Question:
    """The question by the template in use, where it is asked in the prompt mode; else as it is."""
    if question.mode != "prompt" or question.options.system:
        return question
    template = load(home).current
    return template.apply(question) if template is not None else question


def _filled(text: str, values: Mapping[str, str]) -> str:
    # In one pass: braces inside a value or a question are text, not variables.
    return _VARIABLE.sub(lambda match: values.get(match[1], match[0]), text)


def template_from_json(row: Mapping[str, object]) -> PromptTemplate:
    """The inverse of `asdict`. Raises KeyError or TypeError where it is none."""
    turns = row["turns"]
    values = row["values"]
    if not isinstance(turns, Sequence) or not isinstance(values, Mapping):
        raise TypeError("turns or values")
    return PromptTemplate(
        str(row["name"]),
        str(row["instruction"]),
        str(row["pattern"]),
        tuple((str(asked), str(said)) for asked, said in turns),
        {str(name): str(value) for name, value in values.items()},
    )


def _save(home: Path, shelf: PromptShelf) -> PromptShelf:
    home.mkdir(parents=True, exist_ok=True)
    beside = home / f"{FILE}.new"
    beside.write_text(json.dumps(asdict(shelf), ensure_ascii=False, indent=1), encoding="utf-8")
    beside.replace(home / FILE)
    return shelf
