"""An extension as another package would write it; the worker imports it by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.errors import ModelError
from core.language import Bilingual
from inference.engine import LoadedModel
from inference.extensions import Operation, OperationResult


def token_lengths(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
    tokens = llama.tokenize(params["text"])
    lengths = np.array([len(llama.piece(token)) for token in tokens], dtype=np.int32)
    return OperationResult(values={"tokens": tokens}, arrays={"lengths": lengths})


def wait_for_cancel(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
    while not llama.cancelled:
        pass
    return OperationResult(values={"saw_cancel": True})


def refuse(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
    raise ModelError(Bilingual(en="refused", zh="拒绝"))


def fail(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
    return OperationResult(values={"quotient": 1 / 0})


OPERATIONS: Mapping[str, Operation] = {
    "token_lengths": token_lengths,
    "wait_for_cancel": wait_for_cancel,
    "refuse": refuse,
    "fail": fail,
}
