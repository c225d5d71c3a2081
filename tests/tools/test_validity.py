"""Whatever a model writes, a call that is proposed is valid: real schemas, a model that writes at random."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer

from core.config import load_settings
from core.types import Timings, Usage
from evaluation.call_cases import Case, read_cases
from inference.call_schema import accepts, function_of
from inference.fakes import FakeEngine
from inference.form_filling import FormFiller
from inference.protocol import GeneratedText, GenerationEvent, GenerationFinished, GenerationRequest
from tools.proposer import CallProposer

WRITTEN = (
    " 3\n",
    ' "a"\n',
    " true\n",
    " null\n",
    " [1, 2]\n",
    ' ["a"]\n',
    ' {"a": 1}\n',
    " -\n",
    ' "broken',
    "",
    " 1.5\n",
)
SETS = ("bfcl_v4_single_turn", "acebench_en", "acebench_zh")


class RandomEngine(FakeEngine):
    """Writes something of every kind, heeding no grammar."""

    def __init__(self) -> None:
        super().__init__([])
        self.draw = random.Random(3)

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[GenerationEvent]:
        yield GeneratedText(self.draw.choice(WRITTEN))
        yield GenerationFinished("stop", Usage(), Timings())


class HeedingEngine(FakeEngine):
    """Writes at random too, but only what the grammar allows: what comes of it is the grammar's doing alone."""

    def __init__(self) -> None:
        super().__init__([])
        self.draw = random.Random(5)
        self.tokenizer = LLTokenizer("byte")
        self.mask = np.zeros((self.tokenizer.vocab_size + 31) // 32, dtype=np.int32)

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[GenerationEvent]:
        matcher = LLMatcher(self.tokenizer, LLMatcher.grammar_from_lark(request.grammar))
        assert not matcher.is_error(), matcher.get_error()
        written = bytearray()
        while not matcher.is_stopped():
            matcher.unsafe_compute_mask_ptr(self.mask.ctypes.data, self.mask.nbytes)
            allowed = np.flatnonzero(np.unpackbits(self.mask.view(np.uint8), bitorder="little")[:256])
            if not len(allowed):
                break
            written.append(self.draw.choice(allowed.tolist()))
            matcher.consume_token(written[-1])
        yield GeneratedText(written.decode("utf-8"))
        yield GenerationFinished("stop", Usage(), Timings())


@pytest.fixture(scope="module", params=SETS)
def cases(request: pytest.FixtureRequest) -> Sequence[Case]:
    folder = (Path(__file__).parents[2] / load_settings().eval_data / "tools").resolve()
    file = folder / f"{request.param}.dev.jsonl"
    if not file.is_file():
        pytest.skip("the evaluation files are not here (FOURFOLD_EVAL_DATA)")
    return list(read_cases(file))[::12]


def test_no_invalid_call_is_ever_proposed(cases: Sequence[Case]) -> None:
    proposer = CallProposer(RandomEngine())
    made = 0
    for case in cases:
        for function in case.functions[:3]:
            for call in proposer.propose(case.question, [function]):
                schema = {**function_of(function)["parameters"], "additionalProperties": False}
                jsonschema.validate(dict(call.arguments), schema, jsonschema.Draft202012Validator)
                assert call.name == function["name"]
                made += 1
    assert made > len(cases) / 20


def test_every_form_that_is_filled_in_under_the_grammar_is_valid(cases: Sequence[Case]) -> None:
    filler = FormFiller(HeedingEngine())
    for case in cases[::5]:
        for function in map(function_of, case.functions):
            arguments, _ = filler.fill(case.question, function)
            assert accepts(function["parameters"], arguments), (case.id, function["name"], arguments)
