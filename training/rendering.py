"""From a chat to tokens, with the model's own template, and with a mark on every token that is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.types import Message
from training.examples import Example
from training.packing import TokenRow


@dataclass(frozen=True)
class Piece:
    """A stretch of the rendered chat; `trained` where the model is taught to write it."""

    text: str
    trained: bool


class ChatFormat:
    """The template and the tokenizer of one base model (a transformers tokenizer)."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._end: str = tokenizer.eos_token or ""

    def pieces(self, example: Example) -> tuple[Piece, ...]:
        """The rendered chat, cut where training begins and ends: every assistant turn with its end marker is trained.

        Where a template writes earlier turns otherwise than it wrote them last, only the last turn is trained.
        An example that is no chat says itself what is trained.
        """
        if example.pieces:
            return tuple(Piece(text, trained) for text, trained in example.pieces)
        turns = [place for place, message in enumerate(example.messages) if message.role == "assistant"]
        pieces = self._walk(example, turns)
        return tuple(pieces if pieces is not None else self._walk(example, turns[-1:]) or self._plain(example))

    def row(self, example: Example) -> TokenRow:
        """The example in tokens. Pieces are tokenised one by one, as they are when the model answers.

        What a teacher held likely is used only where its tokens are the very ones of this row.
        """
        ids: list[int] = []
        trained: list[bool] = []
        start = 0
        for piece in self.pieces(example):
            new = self.tokenize(piece.text)
            start = len(ids) if piece.trained else start
            ids += new
            trained += [piece.trained] * len(new)
        written = [token for token, _likely in example.teacher]
        agree = written == ids[start : start + len(written)]
        likely = {start + place: top for place, (_token, top) in enumerate(example.teacher) if agree and top}
        return TokenRow(tuple(ids), tuple(trained), likely)

    def render(self, messages: Sequence[Message], tools: Sequence[Any] = (), opened: bool = True) -> str:
        """The chat as text; `opened` ends it where the assistant's answer begins."""
        text: str = self._tokenizer.apply_chat_template(
            [_as_dict(message) for message in messages],
            tools=list(tools) or None,
            add_generation_prompt=opened,
            tokenize=False,
        )
        return text

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens are recognised, none is added."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def _walk(self, example: Example, turns: Sequence[int]) -> list[Piece] | None:
        pieces: list[Piece] = []
        done = ""
        for turn in turns:
            prompt = self.render(example.messages[:turn], example.tools)
            full = self.render(example.messages[: turn + 1], example.tools, opened=False)
            if not (prompt.startswith(done) and full.startswith(prompt)):
                return None
            answer = self._without_tail(full[len(prompt) :])
            pieces += [Piece(prompt[len(done) :], False), Piece(answer, True)]
            done = prompt + answer
        return pieces

    def _plain(self, example: Example) -> Iterator[Piece]:
        yield Piece(self.render(example.messages[:-1], example.tools), False)
        yield Piece(example.messages[-1].content + self._end, True)

    def _without_tail(self, answer: str) -> str:
        """Drop what the template writes after the end marker: the model never gets to write it."""
        end = answer.rfind(self._end) if self._end else -1
        return answer[: end + len(self._end)] if end >= 0 else answer


def _as_dict(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.tool_calls
        ]
    return turn
