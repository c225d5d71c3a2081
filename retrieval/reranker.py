"""Looking again at the best passages, as an option: a cross-encoder, or a chat model's probability of the question.

Neither is on by default; what each won or lost by measurement stands in evaluation/DECISIONS.md.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from core.config import Settings
from core.errors import ModelLoadError, ModelNotFoundError
from core.language import Bilingual
from core.types import ScoredChunk
from retrieval.protocol import Reranker

# Passages that are looked at again: each costs a pass of a model.
_DEPTH = 8
# A passage longer than this is cut: encoders read 512 tokens at most.
_LONGEST = 512


class Likelihood(Protocol):
    """What is asked of a chat model; every engine of `inference` can do it."""

    def log_probabilities(self, prompt: str, continuation: str) -> list[float]:
        """Natural-log probability of each token of `continuation` after `prompt`."""
        ...


class LikelihoodReranker:
    """How probable the question is after the passage (query likelihood; Ponte & Croft 1998, Sachan et al. 2022)."""

    def __init__(self, model: Likelihood, weight: float = 0.3) -> None:
        self._model = model
        self.weight = weight

    def scores(self, query: str, passages: Sequence[str]) -> list[float]:
        """Mean natural-log probability of the question's tokens, for each passage."""
        found = [self._model.log_probabilities(f"{passage}\n\nQuestion: ", query) for passage in passages]
        return [math.fsum(values) / max(1, len(values)) for values in found]


class CrossEncoderReranker:
    """A cross-encoder in a folder (a sequence classifier of Hugging Face), loaded at the first question."""

    def __init__(self, folder: Path, weight: float = 1.0) -> None:
        """Look at the folder only. Raises ModelNotFoundError where there is no such model."""
        if not (folder / "config.json").is_file():
            raise ModelNotFoundError(_describe_missing(str(folder)))
        self._folder = folder
        self._model: Any = None
        self._tokenizer: Any = None
        self.weight = weight

    def scores(self, query: str, passages: Sequence[str]) -> list[float]:
        """The classifier's logit for "relevant", for each passage."""
        import torch

        self._load()
        texts = [[query] * len(passages), list(passages)]
        tokens = self._tokenizer(
            *texts, padding=True, truncation="only_second", max_length=_LONGEST, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self._model(**tokens).logits
        # One number is the relevance itself; of two classes the second is "relevant".
        return [float(row[-1]) for row in logits]

    def _load(self) -> None:
        if self._model is None:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer

            try:
                self._tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
                # Never weights in Python's own format, whose reading can run whatever is written in them.
                self._model = AutoModelForSequenceClassification.from_pretrained(
                    self._folder, local_files_only=True, use_safetensors=True
                ).eval()
            # The libraries raise whatever they meet in a file.
            except Exception as error:
                raise ModelLoadError(_describe_unloadable(self._folder, error)) from error


def open_reranker(settings: Settings) -> Reranker | None:
    """The cross-encoder that the settings name, a folder or a name in the data folder's `models`; None where none is.

    Raises ModelNotFoundError, with the command that brings one, where it is not there.
    """
    if not settings.reranker:
        return None
    places = (Path(settings.reranker).expanduser(), settings.paths.models / settings.reranker.replace("/", "--"))
    for folder in places:
        if (folder / "config.json").is_file():
            return CrossEncoderReranker(folder.absolute())
    raise ModelNotFoundError(_describe_missing(settings.reranker))


def reranked(reranker: Reranker, query: str, found: Sequence[ScoredChunk]) -> list[ScoredChunk]:
    """The first passages in the order of both scores, each put between 0 and 1; those behind stay behind."""
    first, behind = list(found[:_DEPTH]), list(found[_DEPTH:])
    if len(first) < 2:
        return [*first, *behind]
    again = _normalised(reranker.scores(query, [hit.chunk.embedded_text for hit in first]))
    before = _normalised([hit.score for hit in first])
    top = first[0].score
    mixed = [(1 - reranker.weight) * old + reranker.weight * new for old, new in zip(before, again, strict=True)]
    order = sorted(range(len(first)), key=lambda place: -mixed[place])
    return [replace(first[place], score=top * mixed[place]) for place in order] + behind


def _normalised(scores: Sequence[float]) -> list[float]:
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def _describe_unloadable(folder: Path, error: Exception) -> Bilingual:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return Bilingual(
        en=f"The cross-encoder in {folder} cannot be loaded: {reason} It has to be a sequence classifier of Hugging "
        "Face with its weights in model.safetensors. Download it again, or leave the setting reranker "
        "(FOURFOLD_RERANKER) empty.",
        zh=f"无法加载 {folder} 中的交叉编码器：{reason} 它须为 Hugging Face 序列分类模型，权重存于 model.safetensors。"
        "请重新下载，或将设置项 reranker（FOURFOLD_RERANKER）留空。",
    )


def _describe_missing(what: str) -> Bilingual:
    command = "hf download cross-encoder/ms-marco-MiniLM-L6-v2 --local-dir models/ms-marco-MiniLM-L6-v2"
    return Bilingual(
        en=f"There is no cross-encoder at {what!r}. Download one into the data folder, for instance: {command} — "
        "or leave the setting reranker (FOURFOLD_RERANKER) empty.",
        zh=f"在“{what}”处没有交叉编码器。请将其下载到数据文件夹，例如：{command}；"
        "或将设置项 reranker（FOURFOLD_RERANKER）留空。",
    )
