"""A long prompt stays within a gigabyte: the prompt before the answer is computed with the observer asleep."""

from pathlib import Path

import pytest

from inference.extensions import ExtensibleEngine
from interpretability.xray import Xray

GIGABYTE = 1 << 30
PASSAGE = (
    "The harbour of Veldt was rebuilt after the flood, and its {n} warehouses were painted in the colours of the city. "
)


def memory(pid: int, name: str) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_four_thousand_tokens_within_a_gigabyte(engine: ExtensibleEngine, xray: Xray):
    passages = [f"[{n}] " + PASSAGE.format(n=n) * 16 + "\n\n" for n in range(1, 11)]
    prompt = "".join(passages) + "Question: how many warehouses stand in passage seven?\n"
    answer = "There are 7 warehouses. They are painted in the colours of the city."
    ends = [sum(map(len, passages[: n + 1])) for n in range(len(passages))]
    spans = [(end - len(passage), end) for passage, end in zip(passages, ends, strict=True)]
    ids = [token.id for token in xray.tokens(prompt)]
    assert len(ids) >= 3800
    pid = engine.worker_pid  # type: ignore[attr-defined]
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # peak resident memory starts anew
    before = memory(pid, "VmRSS")
    seen = xray.passage_attention(prompt, spans, answer)
    hidden, _ = xray.hidden(ids, first=len(ids) - 48)
    extra = memory(pid, "VmHWM") - before
    assert extra < GIGABYTE
    assert seen.mean.shape == (2, 10)
    assert 0 < seen.mean.sum() <= 2
    assert hidden.states.shape == (31, 48, 576)
