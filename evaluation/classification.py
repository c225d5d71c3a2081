"""`python -m evaluation classification`: a labelling task by every way there is, on the same rows.

The bare model, a prompt with examples, the most similar examples, embeddings with logistic regression, and, where one
is named, an adapter; all know the same labelled rows and answer the same other ones.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.config import Settings
from core.language import language_of
from evaluation.datasets import read_jsonl
from training.dataset import label_prompt
from training.examples import Example, pair, write_examples

SEED = 42
LONGEST_TEXT = 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation classification`."""
    parser.add_argument("--data", type=Path, required=True, help="JSONL with `text` and `label`")
    parser.add_argument("--labels", type=int, default=300, help="labelled rows that everybody may use")
    parser.add_argument("--limit", type=int, default=200, help="rows to answer")
    parser.add_argument("--adapter", default="", help="an adapter trained on the rows that --write gives")
    parser.add_argument("--write", type=Path, help="only write the labelled rows to this file, to train on")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Answer and measure; returns the JSON object that is printed."""
    known, asked = split_rows(options.data, options.labels, options.limit)
    if options.write:
        return {"written": str(options.write), "rows": len(known), "sha256": write_examples(options.write, known)}
    from inference.runtime import open_engine
    from training.exam import hold_exam
    from training.runner import exam_contestants

    engine = open_engine(settings)
    try:
        contestants = exam_contestants(engine, settings, known, asked, options.adapter)
        report = hold_exam(contestants, asked, sorted({row.label for row in known}))
    finally:
        engine.close()
    scores = {
        one.name: {"mean": one.score.mean, "low": one.score.low, "high": one.score.high} for one in report.results
    }
    return {"data": options.data.name, "labels": len(known), "questions": len(asked)} | scores


def split_rows(path: Path, labels: int, limit: int) -> tuple[list[Example], list[Example]]:
    """Rows to learn from and rows to answer: disjoint, drawn by a fixed seed, each text once."""
    rows = list({str(row["text"])[:LONGEST_TEXT]: str(row["label"]) for row in read_jsonl(path)}.items())
    random.Random(SEED).shuffle(rows)  # noqa: S311 - a reproducible draw, no secret
    names = sorted({label for _text, label in rows})
    language = language_of(" ".join(text for text, _label in rows[:100]))
    return (
        _examples(rows[:labels], names, language),
        _examples(rows[labels : labels + limit], names, language),
    )


def _examples(rows: Sequence[tuple[str, str]], names: Sequence[str], language: str) -> list[Example]:
    return [pair(label_prompt(text, names, language), label, label=label) for text, label in rows]
