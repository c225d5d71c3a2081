"""Output that obeys a JSON Schema or a grammar: before each draw, what may not come next gets probability zero.

llguidance computes the set of allowed tokens (about 0.05 ms for 50,000 tokens); applying it costs about 0.1 ms.
"""

import ctypes
import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from core.language import Bilingual
from inference.engine import LoadedModel
from inference.function_calling import COMPACT_JSON
from inference.protocol import GenerationRequest

# So near the limit of tokens, strings and lists are closed as soon as the schema lets them: valid rather than complete.
CLOSING_TOKENS = 96
_CLOSES = re.compile(rb'["}\],]+')


class Constraint:
    """The state of one constrained generation.

    `closing` marks the tokens that can only bring JSON nearer to its end; empty where the output is not JSON.
    """

    def __init__(self, matcher: Any, n_vocab: int, closing: NDArray[np.bool_]) -> None:
        self._matcher = matcher
        self._n_vocab = n_vocab
        self._closing = closing
        self._mask = np.zeros((n_vocab + 31) // 32, dtype=np.int32)

    def apply(self, logits: NDArray[np.float32], remaining: int) -> None:
        """Set the logits of forbidden tokens to minus infinity, in place; `remaining` tokens may still be written."""
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        allowed = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._n_vocab].view(np.bool_)
        if remaining <= CLOSING_TOKENS and self._closing.size and (allowed & self._closing).any():
            allowed = allowed & self._closing
        logits[~allowed] = -np.inf

    def accept(self, token: int) -> bool:
        """Take the drawn token; true where the output is complete and nothing may follow."""
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())


class ConstraintFactory:
    """Makes constraints for one vocabulary; the table of tokens is built at the first use."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._tokenizer: Any = None
        self._closing = np.zeros(0, dtype=np.bool_)

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
        closing = self._closing if request.json_schema is not None else np.zeros(0, dtype=np.bool_)
        return Constraint(matcher, self._model.n_vocab, closing)

    def _grammar(self, request: GenerationRequest) -> str:
        from llguidance import LLMatcher

        if request.json_schema is None:
            return str(LLMatcher.grammar_from_lark(request.grammar))
        schema = {**request.json_schema, "x-guidance": COMPACT_JSON}
        return str(LLMatcher.grammar_from_json_schema(json.dumps(schema)))

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
            self._closing = np.array([_CLOSES.fullmatch(token) is not None for token in tokens])
            ends = [token for token in range(self._model.n_vocab) if self._model.is_end(token)]
            self._tokenizer = vocabulary.from_llamacpp(
                tokens=tokens,
                vocab_ptr=ctypes.cast(self._model.vocab, ctypes.c_void_p).value,
                tokenize_fptr=self._model.tokenize_address,
                eos_token=ends,
            )
        return self._tokenizer
