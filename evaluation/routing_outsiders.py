"""Routing cases that nobody wrote for the router: real questions of public sets, labelled by how they are put.

A question of a reading set is asked over the very contexts that answer it (`rag`) or, Chinese, over those of others
(`prompt`, as is general knowledge). What people ask an assistant of the tools that are active here is `tools`, their
small talk and wishes are `prompt`. A text handed in for a label, in the product's own words or in a plain request,
is `finetuned`. Each is asked over a collection, so that there is always something to be tempted by.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from core.errors import SettingError
from core.language import Bilingual
from core.types import ConcreteMode
from evaluation.datasets import read_jsonl
from orchestrator.routing_signals import AdapterDomain
from training.dataset import label_prompt

Item = TypeVar("Item")

TOOL_INTENTS = ("calculator", "measurement_conversion", "timezone", "time", "date")
CHAT_INTENTS = (
    "fun_fact",
    "definition",
    "recipe",
    "translate",
    "travel_suggestion",
    "tell_joke",
    "greeting",
    "meaning_of_life",
    "meal_suggestion",
    "thank_you",
)
ADAPTERS = (
    AdapterDomain("bank-intents", "Choose the label of a bank customer's text"),
    AdapterDomain("news-topics", "给新闻标题文本选一个类别"),
)
_REQUESTS = (
    "What category does this belong to: {text}",
    "{text}\n\nWhich label fits this?",
    "Please sort this one into the right class - {text}",
    "{text} (category?)",
)
_REQUESTS_ZH = (
    "这条标题属于什么类别：{text}",
    "{text}\n\n应该打什么标签？",
    "请把这一条归入合适的类别：{text}",
    "{text}（类别？）",
)
_LABELS = ("card_arrival", "exchange_rate", "lost_or_stolen_card", "transfer_timing")
_LABELS_ZH = ("财经", "房产", "体育", "科技")


@dataclass(frozen=True)
class Outsider:
    """A question, the contexts' file (its stem) it is asked over, and the mode that its kind calls for."""

    question: str
    contexts: str
    expected: ConcreteMode
    kind: str


def outsiders(data: Path) -> list[Outsider]:
    """The cases, the same every time. Raises SettingError where the evaluation data is not there."""
    if not (data / "qa").is_dir():
        raise SettingError(
            Bilingual(
                en=f"There is no evaluation data at {data}; set FOURFOLD_EVAL_DATA to its folder.",
                zh=f"{data} 处没有评测数据；请把 FOURFOLD_EVAL_DATA 设为其所在文件夹。",
            )
        )
    return [*_answered(data), *_tool_requests(data), *_chat(data), *_labelled(data)]


def further_requests(data: Path) -> list[Outsider]:
    """Many more requests and as much talk, to tune by: the patterns were made looking at the few."""
    requests = [text for intent in TOOL_INTENTS for text in _texts(data, "clinc150_oos", intent)]
    talk = [text for intent in CHAT_INTENTS for text in _texts(data, "clinc150_oos", intent)]
    return [
        *(Outsider(text, "xquad_en", "tools", "further") for text in requests),
        *(Outsider(text, "xquad_en", "prompt", "further") for text in _spread(talk, len(requests))),
    ]


def _answered(data: Path) -> Iterator[Outsider]:
    for name in ("xquad_en", "xquad_zh"):
        rows = _spread(list(read_jsonl(data / "qa" / f"{name}.dev.jsonl")), 60)
        yield from (Outsider(row["question"], name, "rag", name) for row in rows)


def _tool_requests(data: Path) -> Iterator[Outsider]:
    for intent in TOOL_INTENTS:
        for text in _spread(_texts(data, "clinc150_oos", intent), 15):
            yield Outsider(text, "xquad_en", "tools", f"clinc {intent}")


def _chat(data: Path) -> Iterator[Outsider]:
    for intent in CHAT_INTENTS:
        for text in _spread(_texts(data, "clinc150_oos", intent), 6):
            yield Outsider(text, "xquad_en", "prompt", f"clinc {intent}")
    general = _spread(list(read_jsonl(data / "qa" / "nq_open_nocontext.dev.jsonl")), 20)
    yield from (Outsider(row["question"], "xquad_en", "prompt", "nq_open") for row in general)
    strange = _spread(list(read_jsonl(data / "qa" / "drcd_zh_hant.dev.jsonl")), 40)
    yield from (Outsider(row["question"], "xquad_zh", "prompt", "drcd elsewhere") for row in strange)


def _labelled(data: Path) -> Iterator[Outsider]:
    english = _spread(_texts(data, "banking77"), 40)
    chinese = _spread(_texts(data, "thucnews_titles_zh"), 40)
    for place, text in enumerate(english):
        asked = label_prompt(text, _LABELS, "en") if place % 2 else _REQUESTS[place // 2 % 4].format(text=text)
        yield Outsider(asked, "xquad_en", "finetuned", "banking77")
    for place, text in enumerate(chinese):
        asked = label_prompt(text, _LABELS_ZH, "zh") if place % 2 else _REQUESTS_ZH[place // 2 % 4].format(text=text)
        yield Outsider(asked, "xquad_zh", "finetuned", "thucnews")


def _texts(data: Path, name: str, label: str = "") -> list[str]:
    rows = read_jsonl(data / "classify" / f"{name}.dev.jsonl")
    return [row["text"] for row in rows if label in ("", row["label"])]


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    return [items[place * len(items) // count] for place in range(min(count, len(items)))]
