"""Output that obeys a JSON Schema or a grammar: before each draw, what may not come next gets probability zero.

llguidance computes the set of allowed tokens (about 0.05 ms for 50,000 tokens); applying it costs about 0.1 ms.
"""

import ctypes
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from core.language import Bilingual
from inference.engine import LoadedModel
from inference.protocol import GenerationRequest


class Constraint:
    """The state of one constrained generation."""

    def __init__(self, matcher: Any, n_vocab: int) -> None:
        self._matcher = matcher
        self._n_vocab = n_vocab
        self._mask = np.zeros((n_vocab + 31) // 32, dtype=np.int32)

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Set the logits of forbidden tokens to minus infinity, in place."""
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        allowed = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._n_vocab]
        logits[allowed == 0] = -np.inf

    def accept(self, token: int) -> bool:
        """Take the drawn token; true where the output is complete and nothing may follow."""
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())


class ConstraintFactory:
    """Makes constraints for one vocabulary; the table of tokens is built at the first use."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._tokenizer: Any = None

    def make(self, request: GenerationRequest) -> Constraint | None:
        """The constraint that the request asks for, or None. Raises ModelError where schema or grammar is invalid."""
        if request.json_schema is None and not request.grammar:
            return None
        from llguidance import LLMatcher

        grammar = self._grammar(request)
        matcher = LLMatcher(self._vocabulary(), grammar)
        if matcher.is_error():
            raise ModelError(
                Bilingual(
                    en=f"The schema or grammar of the answer is not usable: {matcher.get_error()}.",
                    zh=f"答案的模式或语法不可用：{matcher.get_error()}。",
                )
            )
        return Constraint(matcher, self._model.n_vocab)

    def _grammar(self, request: GenerationRequest) -> str:
        from llguidance import LLMatcher

        if request.json_schema is None:
            return str(LLMatcher.grammar_from_lark(request.grammar))
        # Without bounds on white space a small model may write line breaks for ever.
        defaults: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        return str(LLMatcher.grammar_from_json_schema(json.dumps(dict(request.json_schema)), defaults=defaults))

    def _vocabulary(self) -> Any:
        if self._tokenizer is None:
            from llguidance import LLTokenizer

            # The stub of the package does not know this constructor.
            vocabulary: Any = LLTokenizer
            # 0xff marks a token that no text can contain, by llguidance's own convention.
            tokens = [
                (b"\xff" if self._model.is_control(token) else b"") + self._model.piece(token, special=True)
                for token in range(self._model.n_vocab)
            ]
            ends = [token for token in range(self._model.n_vocab) if self._model.is_end(token)]
            self._tokenizer = vocabulary.from_llamacpp(
                tokens=tokens,
                vocab_ptr=ctypes.cast(self._model.vocab, ctypes.c_void_p).value,
                tokenize_fptr=self._model.tokenize_address,
                eos_token=ends,
            )
        return self._tokenizer
