"""The exact prompt: pieces with an origin, rendered by the model's own template, within a budget of its own tokens."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from core.errors import PromptTooLongError
from core.language import Bilingual
from core.types import Message, Role, ToolCall
from inference.protocol import ChatEngine, JsonSchema
from orchestrator.events import ContextAssembled, Origin, PromptSpan

SHARE_OF_ANSWER = 0.25


@dataclass(frozen=True)
class Piece:
    """A part of a message with its origin; `source` is the number of the source it shows."""

    text: str
    origin: Origin
    source: int | None = None


@dataclass(frozen=True)
class Draft:
    """A message as pieces; joined they are its content. The rest is what a message of a tool's call or result has."""

    role: Role
    pieces: tuple[Piece, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def message(self) -> Message:
        """The message that the template renders."""
        text = "".join(piece.text for piece in self.pieces)
        return Message(self.role, text, self.tool_calls, self.tool_call_id, self.name)


def draft(role: Role, text: str, origin: Origin) -> Draft:
    """A message of one piece."""
    return Draft(role, (Piece(text, origin),))


def budget(engine: ChatEngine, max_tokens: int) -> int:
    """Tokens that a prompt may have: the window less the answer, for which at most a quarter is kept free."""
    info = engine.info
    window = min(info.n_ctx, info.n_ctx_train) if info.n_ctx_train else info.n_ctx
    return window - min(max_tokens, int(window * SHARE_OF_ANSWER))


def assemble(
    engine: ChatEngine,
    drafts: Sequence[Draft],
    budget_tokens: int,
    left_out: Sequence[Bilingual] = (),
    tools: Sequence[JsonSchema] = (),
) -> ContextAssembled:
    """Render `drafts` and tell who wrote which part: the spans tile the prompt, their tokens add up to its length.

    Raises PromptTooLongError where the prompt exceeds the budget: callers drop history and passages before.
    """
    messages = tuple(item.message for item in drafts)
    prompt = engine.render(messages, tools)
    spans = _counted(engine, prompt, _origins(engine, prompt, drafts, tools))
    total = sum(span.tokens for span in spans)
    if total > budget_tokens:
        raise PromptTooLongError(too_long(total, budget_tokens))
    counts: Counter[str] = Counter()
    for span in spans:
        counts[span.origin] += span.tokens
    return ContextAssembled(prompt, tuple(spans), dict(counts), budget_tokens, tuple(left_out), messages)


def prompt_tokens(engine: ChatEngine, drafts: Sequence[Draft], tools: Sequence[JsonSchema] = ()) -> int:
    """Exact length of the rendered prompt in tokens."""
    return engine.count_tokens(engine.render([item.message for item in drafts], tools))


def too_long(tokens: int, budget_tokens: int) -> Bilingual:
    """What to tell where even the question alone does not fit."""
    return Bilingual(
        en=f"The prompt has {tokens} tokens and only {budget_tokens} fit. Shorten the question or raise n_ctx.",
        zh=f"提示共 {tokens} 个词元，而上限为 {budget_tokens}。请缩短问题，或调大 n_ctx。",
    )


def history_drafts(history: Sequence[Message]) -> list[Draft]:
    """The earlier turns as drafts, oldest first; turns of tools are not shown again."""
    return [draft(turn.role, turn.content, "history") for turn in history if turn.role in ("user", "assistant")]


def fit_history(
    engine: ChatEngine,
    before: Sequence[Draft],
    history: Sequence[Draft],
    last: Draft,
    budget_tokens: int,
    tools: Sequence[JsonSchema] = (),
) -> tuple[list[Draft], tuple[Bilingual, ...]]:
    """Return the drafts with as many of the latest whole exchanges as fit, and what was left out."""
    kept = list(history)
    while kept and prompt_tokens(engine, [*before, *kept, last], tools) > budget_tokens:
        # A question goes together with its answer, so that the chat still alternates.
        del kept[: 2 if len(kept) > 1 and kept[0].role == "user" else 1]
    dropped = len(history) - len(kept)
    return [*before, *kept, last], (_dropped_history(dropped, budget_tokens),) if dropped else ()


def _dropped_history(count: int, budget_tokens: int) -> Bilingual:
    return Bilingual(
        en=f"the oldest {count} messages of the conversation: they exceed the budget of {budget_tokens} tokens",
        zh=f"对话中最早的 {count} 条消息：超出 {budget_tokens} 个词元的预算",
    )


def _origins(
    engine: ChatEngine, prompt: str, drafts: Sequence[Draft], tools: Sequence[JsonSchema]
) -> list[tuple[str, Origin, int | None]]:
    """(text, origin, source) in order; the texts joined are the prompt."""
    # The template is rendered once more around marks, which tells its own text from ours, whatever ours says.
    marks = [f"QZ{index}MARK{index}ZQ" for index in range(len(drafts))]
    frame = engine.render(
        [replace(item.message, content=mark) for item, mark in zip(drafts, marks, strict=True)], tools
    )
    parts: list[tuple[str, Origin, int | None]] = []
    for item, mark in zip(drafts, marks, strict=True):
        literal, found, frame = frame.partition(mark)
        if not found:
            break
        parts.append((literal, "template", None))
        parts.extend((piece.text, piece.origin, piece.source) for piece in item.pieces)
    parts.append((frame, "template", None))
    if "".join(text for text, _, _ in parts) == prompt:
        return [part for part in parts if part[0]]
    return _found_in_order(prompt, drafts)


def _found_in_order(prompt: str, drafts: Sequence[Draft]) -> list[tuple[str, Origin, int | None]]:
    """The same for a template that trims or moves text: each piece is looked for behind the one before it."""
    parts: list[tuple[str, Origin, int | None]] = []
    cursor = 0
    for piece in (piece for item in drafts for piece in item.pieces):
        text = piece.text.strip()
        at = prompt.find(text, cursor)
        if not text or at < 0:
            continue
        parts += [(prompt[cursor:at], "template", None), (text, piece.origin, piece.source)]
        cursor = at + len(text)
    parts.append((prompt[cursor:], "template", None))
    return [part for part in parts if part[0]]


def _counted(engine: ChatEngine, prompt: str, parts: Sequence[tuple[str, Origin, int | None]]) -> list[PromptSpan]:
    # A token may straddle two pieces; counting prefixes gives it to the piece that completes it, and sums exactly.
    ends = list(accumulate(len(text) for text, _, _ in parts))
    counts = [engine.count_tokens(prompt[:end]) for end in ends]
    for index in range(len(counts) - 2, -1, -1):
        counts[index] = min(counts[index], counts[index + 1])
    return [
        PromptSpan(end - len(text), end, origin, tokens - before, source)
        for (text, origin, source), end, tokens, before in zip(parts, ends, counts, [0, *counts], strict=False)
    ]
