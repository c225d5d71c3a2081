"""Whatever a model writes, a call that is proposed is valid: real schemas, a model that writes at random."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jsonschema
import pytest

from core.config import load_settings
from core.types import Timings, Usage
from evaluation.call_cases import Case, read_cases
from inference.call_schema import function_of
from inference.fakes import FakeEngine
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
