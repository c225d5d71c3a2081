"""Texts that teach `orchestrator.tool_words`: what people typed to an assistant, and what else they ask.

Only texts with an even hash are taken, which is the half that the router is tuned on.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evaluation.datasets import read_jsonl
from evaluation.routing_outsiders import TOOL_INTENTS
from orchestrator.tool_words import fit_tool_words

# Bank messages are many and alike: a part of them is enough.
EVERY_BANK_MESSAGE = 4


def taught_texts(data: Path, is_kept: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """Requests for the tools that are active here, and other texts; none that `is_kept`."""
    rows = list(read_jsonl(data / "classify" / "clinc150_oos.dev.jsonl"))
    requests = [row["text"] for row in rows if row["label"] in TOOL_INTENTS]
    others = [row["text"] for row in rows if row["label"] not in TOOL_INTENTS]
    others += list(_other_questions(data))
    return [text for text in requests if not is_kept(text)], [text for text in others if not is_kept(text)]


def held_out_sounds(requests: Sequence[str], others: Sequence[str]) -> Callable[[str], float]:
    """A measure of how a text sounds to a model that was not taught it: the router must not trust rote.

    Of two models each is taught one half of the texts.
    """
    models = [
        fit_tool_words(
            [text for text in requests if _side(text) != side], [text for text in others if _side(text) != side]
        )
        for side in range(2)
    ]
    return lambda text: models[_side(text)].sounds(text)


def _side(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % 2


def _other_questions(data: Path) -> Iterator[str]:
    for name in ("xquad_en", "nq_open_nocontext"):
        yield from (row["question"] for row in read_jsonl(data / "qa" / f"{name}.dev.jsonl"))
    bank = list(read_jsonl(data / "classify" / "banking77.dev.jsonl"))
    yield from (row["text"] for row in bank[::EVERY_BANK_MESSAGE])
