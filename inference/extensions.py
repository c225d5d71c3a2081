"""The door through which other packages look into the loaded model, in the worker process and in the same queue.

An extension is a module that names its operations:

    OPERATIONS: Mapping[str, Operation] = {"attention": attention}

    def attention(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
        tokens = llama.tokenize(params["text"])
        ...
        return OperationResult(values={"tokens": tokens}, arrays={"weights": weights})

The caller opens the engine with the modules that it allows, `open_engine(settings, extensions=("package.module",))`,
and asks `engine.call("package.module:attention", {"text": ...})`, which gives `(values, arrays)`. Values are JSON,
arrays are NumPy arrays of plain numbers. While an operation runs nobody else uses the model, so it may take all of it:

- `llama.model` and `llama.vocab` are llama.cpp's own pointers. A second context shares the weights:
  `context = llama_cpp.llama_init_from_model(llama.model, params)`; free it with `llama_cpp.llama_free(context)`.
  Keep it in `llama.kept` (a dict for the life of the model, keyed by your module's name) if making it anew is slow,
  and register what frees it with `llama.on_close(function)`.
- `llama.context` is the chat's own context. Do not decode in it: its KV cache belongs to the conversations.
- `llama.cancelled` turns true when the caller is gone; `llama.abort_callback` and `llama.abort_data` give the same to a
  context of your own (`params.abort_callback`, `params.abort_callback_data`).

An exception of `core.errors` reaches the caller as it is; any other becomes a ModelError with its text.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from core.errors import ModelError
from core.language import Bilingual
from inference.protocol import ChatEngine

if TYPE_CHECKING:
    from inference.engine import LoadedModel


@dataclass(frozen=True)
class OperationResult:
    """What an operation gives back: `values` must be JSON, `arrays` plain numbers."""

    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


Operation = Callable[["LoadedModel", Mapping[str, Any]], OperationResult]


class ExtensibleEngine(ChatEngine, Protocol):
    """A chat engine that also runs operations of allowed modules next to the model."""

    def call(
        self,
        operation: str,
        params: Mapping[str, Any],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Run `module:name` in the worker, in its turn. Raises ModelError and its children."""
        ...


class Operations:
    """Finds operations by `module:name`, in the modules that were allowed at the start and no others."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def find(self, operation: str) -> Operation:
        """The function under that name. Raises ModelError where the module is not allowed or has no such operation."""
        module_name, _, name = operation.partition(":")
        if module_name not in self._allowed:
            raise ModelError(
                Bilingual(
                    en=f"The module of operation {operation} was not allowed when the engine was opened.",
                    zh=f"打开引擎时未允许操作 {operation} 所在的模块。",
                )
            )
        known: Mapping[str, Operation] = importlib.import_module(module_name).OPERATIONS
        if name not in known:
            raise ModelError(
                Bilingual(
                    en=f"{module_name} has no operation {name}; it has {', '.join(sorted(known))}.",
                    zh=f"{module_name} 没有操作 {name}；现有：{'、'.join(sorted(known))}。",
                )
            )
        return known[name]
