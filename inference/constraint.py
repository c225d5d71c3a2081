"""Output that obeys a JSON Schema or a grammar: before each draw, what may not come next gets probability zero.

llguidance computes the set of allowed tokens (about 0.05 ms for 50,000 tokens); applying it costs about 0.1 ms.
"""

import ctypes
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from core.language import Bilingual
from inference.engine import GenerationCancelledError, LoadedModel
from inference.function_calling import COMPACT_JSON
from inference.protocol import GenerationRequest

# So near the limit of tokens, strings and lists are closed as soon as the schema lets them: valid rather than complete.
CLOSING_TOKENS = 64
# A model that was never taught calls begins one with a log-probability near -5 where a function fits and near -11 where
# none does (the default model, six questions): enough to tell, but never the most likely token.
ENCOURAGEMENT = 9.0
# The first rule of `function_calling.call_grammar` where words are allowed, and a thought as such models write it.
FREE_START = "start: call | text"
THOUGHT = r"thought: /<think>([^<]|<[^\/])*<\/think>\s*/" + "\n"
_OPENS = re.compile(rb"[{<]")
_CLOSES = re.compile(rb'["}\],]+')


class Constraint:
    """The state of one constrained generation.

    `opening` marks the tokens with which JSON or a call begins, `closing` those that can only bring it nearer to its
    end: bool (n_vocab,); `closing` is empty where the output is not JSON. `encouragement` is added to the logits of the
    opening tokens at the first step, where words are allowed too.
    """

    def __init__(
        self, matcher: Any, opening: NDArray[np.bool_], closing: NDArray[np.bool_], encouragement: float = 0.0
    ) -> None:
        self._encouragement = encouragement
        self._matcher = matcher
        self._n_vocab = len(opening)
        self._opening, self._closing = opening, closing
        self._begun = False
        self._mask = np.zeros((self._n_vocab + 31) // 32, dtype=np.int32)

    def apply(self, logits: NDArray[np.float32], remaining: int) -> None:
        """Set the logits of forbidden tokens to minus infinity, in place; `remaining` tokens may still be written."""
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        allowed = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._n_vocab].view(np.bool_)
        if remaining <= CLOSING_TOKENS and self._closing.size and (allowed & self._closing).any():
            allowed = allowed & self._closing
        logits[~allowed] = -np.inf
        if self._encouragement and not self._begun:
            logits[self._opening] += self._encouragement

    def accept(self, token: int) -> bool:
        """Take the drawn token; true where the output is complete and nothing may follow."""
        if not self._begun and not self._opening[token]:
            # An answer in words, where words were allowed beside JSON: nothing is to be closed.
            self._closing = np.zeros(0, dtype=np.bool_)
        self._begun = True
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())


def with_thoughts(request: GenerationRequest) -> GenerationRequest:
    """The request with room for a thought before an answer that may be a call or words; any other as it is."""
    if FREE_START not in request.grammar:
        return request
    grammar = request.grammar.replace(FREE_START, f"start: thought? ({FREE_START.removeprefix('start: ')})")
    return replace(request, grammar=f"{grammar}\n{THOUGHT}")


class ConstraintFactory:
    """Makes constraints for one vocabulary; the table of tokens is built at the first use."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._tokenizer: Any = None
        self._opening = self._closing = np.zeros(0, dtype=np.bool_)

    def make(self, request: GenerationRequest, knows_tools: bool = True, thinks: bool = False) -> Constraint | None:
        """The constraint that the request asks for, or None. Raises ModelError where schema or grammar is invalid.

        A model that does not know tools is encouraged to call them. One that thinks aloud first may do so wherever
        words are allowed too.
        """
        if request.json_schema is None and not request.grammar:
            return None
        from llguidance import LLMatcher

        grammar = self._grammar(with_thoughts(request) if thinks else request)
        matcher = LLMatcher(self._vocabulary(), grammar)
        if matcher.is_error():
            raise ModelError(
                Bilingual(
                    en=f"The schema or grammar of the answer is not usable: {matcher.get_error()}.",
                    zh=f"答案的模式或语法不可用：{matcher.get_error()}。",
                )
            )
        if request.json_schema is not None:
            return Constraint(matcher, np.ones(self._model.n_vocab, dtype=np.bool_), self._closing)
        may_be_json = "%json" in request.grammar
        closing = self._closing if may_be_json else np.zeros(0, dtype=np.bool_)
        shy = bool(request.tools) and not knows_tools
        return Constraint(matcher, self._opening, closing, ENCOURAGEMENT if shy else 0.0)

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
            tokens = [self._token(token) for token in range(self._model.n_vocab)]
            self._opening = np.array([_OPENS.match(token) is not None for token in tokens])
            self._closing = np.array([_CLOSES.fullmatch(token) is not None for token in tokens])
            ends = [token for token in range(self._model.n_vocab) if self._model.is_end(token)]
            self._tokenizer = vocabulary.from_llamacpp(
                tokens=tokens,
                vocab_ptr=ctypes.cast(self._model.vocab, ctypes.c_void_p).value,
                tokenize_fptr=self._model.tokenize_address,
                eos_token=ends,
            )
        return self._tokenizer

    def _token(self, token: int) -> bytes:
        # The whole table takes a large part of a second: it is left off where nobody waits for it any more.
        if self._model.cancelled:
            raise GenerationCancelledError
        return (b"\xff" if self._model.is_control(token) else b"") + self._model.piece(token, special=True)
