"""The bill of an answer: tokens by origin, speed, and what the same call would cost at prices a person can edit."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import SettingError
from core.language import Bilingual, Language
from core.types import Timings, Usage
from inference.protocol import ChatEngine
from orchestrator.events import AnswerCompleted, AnswerEvent, ContextAssembled, ThinkingDelta

PRICES_FILE = "prices.json"
PER = 1_000_000


@dataclass(frozen=True)
class Price:
    """Prices of a service per million tokens, in `currency`."""

    name: str
    prompt: float
    completion: float
    currency: str = "USD"

    def name_in(self, language: Language) -> str:
        """The name in a language; one that has a single name is called by it in both."""
        return self.name.split(" / ")[-1 if language == "zh" else 0]


# Examples in the range of what services ask, for comparison only: every user sets their own.
EXAMPLE_PRICES = (
    Price("small hosted model / 小型云端模型", 0.15, 0.60),
    Price("large hosted model / 大型云端模型", 3.00, 15.00),
)


@dataclass(frozen=True)
class Bill:
    """What one answer took. `thinking_tokens` are part of `completion_tokens`; `costs` are by name of the price.

    `thinking_seconds` and `thinking_costs` are the share of the thoughts: what thinking step by step cost.
    """

    prompt_by_origin: Mapping[str, int]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    thinking_tokens: int
    seconds: float
    tokens_per_second: float
    costs: Mapping[str, float]
    thinking_seconds: float = 0.0
    thinking_costs: Mapping[str, float] = field(default_factory=dict)


def bill_of(events: Sequence[AnswerEvent], engine: ChatEngine, prices: Sequence[Price] = EXAMPLE_PRICES) -> Bill:
    """Return the bill of a finished answer from its events. An answer without a model costs nothing."""
    contexts = [event for event in events if isinstance(event, ContextAssembled)]
    thoughts = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    end = next((event for event in reversed(events) if isinstance(event, AnswerCompleted)), None)
    usage = end.usage if end is not None else Usage()
    timings = end.timings if end is not None else Timings()
    origins = contexts[-1].tokens_by_origin if contexts else {}
    thinking = engine.count_tokens(thoughts) if thoughts else 0
    speed = usage.completion_tokens / timings.generate if timings.generate else 0.0
    return Bill(
        prompt_by_origin=dict(origins),
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        thinking_tokens=thinking,
        seconds=timings.total,
        tokens_per_second=round(speed, 1),
        costs={price.name: cost(usage, price) for price in prices},
        thinking_seconds=round(thinking / speed, 3) if speed else 0.0,
        thinking_costs={price.name: cost(Usage(completion_tokens=thinking), price) for price in prices},
    )


def cost(usage: Usage, price: Price) -> float:
    """What the tokens of `usage` cost, in the currency of the price."""
    return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / PER


def same_in_both_languages(engine: ChatEngine, text: Bilingual) -> dict[str, dict[str, float]]:
    """Tokens and characters per token of the same text in English and in Chinese: what a language costs on a model."""
    counts = {"en": (text.en, engine.count_tokens(text.en)), "zh": (text.zh, engine.count_tokens(text.zh))}
    return {
        language: {
            "tokens": tokens,
            "characters": len(said),
            "characters_per_token": round(len(said) / max(tokens, 1), 3),
        }
        for language, (said, tokens) in counts.items()
    }


def load_prices(home: Path) -> tuple[Price, ...]:
    """The user's prices, or the examples. Raises SettingError naming the file where it is damaged."""
    path = home / PRICES_FILE
    if not path.is_file():
        return EXAMPLE_PRICES
    try:
        return prices_of(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, SettingError) as error:
        raise SettingError(
            Bilingual(
                en=f"{path} is not a list of prices ({error!r}). Mend or delete it.",
                zh=f"{path} 不是有效的价格列表（{error!r}）。请改正或删除该文件。",
            )
        ) from error


def prices_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Price, ...]:
    """The prices of a table with the fields of `Price`. Raises SettingError where a row is none, or below nought."""
    try:
        prices = tuple(
            Price(str(row["name"]), float(row["prompt"]), float(row["completion"]), str(row.get("currency") or "USD"))
            for row in rows
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingError(
            Bilingual(
                en=f"A price needs a name and two numbers, for prompt and completion ({error!r}).",
                zh=f"价格需要名称以及提示、回答两个数字（{error!r}）。",
            )
        ) from error
    if any(not (0 <= number < math.inf) for price in prices for number in (price.prompt, price.completion)):
        raise SettingError(Bilingual(en="A price is a number from nought up.", zh="价格必须是不小于零的数。"))
    return prices


def save_prices(home: Path, prices: Sequence[Price]) -> None:
    """Keep the user's prices."""
    home.mkdir(parents=True, exist_ok=True)
    rows = [asdict(price) for price in prices]
    (home / PRICES_FILE).write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
