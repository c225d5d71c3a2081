"""A small model is shown the sentences that matter."""

from dataclasses import replace
from pathlib import Path

from inference.fakes import FAKE_INFO
from orchestrator.events import ContextAssembled, Source, SourcesFound
from orchestrator.focus import focused
from orchestrator.prompts import texts
from tests.orchestrator.parts import TOWER, ask, assistant, end, only, scored

BEFORE = "The city lies on a wide river with many islands and old quays. " * 4
AFTER = "Visitors like the gardens near the museum in the warm months. " * 4
LONG = f"{BEFORE}The harbour grew. The tower opened in 1889. It was a success. {AFTER}".strip()
QUESTION = "When did the tower open?"


def source(number: int, text: str, start: int = 0) -> Source:
    return Source(number, scored(number, text, start), True, texts.USED)


def test_a_long_passage_is_cut_to_the_best_sentence_and_its_neighbours():
    [part] = focused(QUESTION, [source(1, LONG, start=100)])
    chunk = part.chunk.chunk
    assert chunk.text == "The harbour grew. The tower opened in 1889. It was a success."
    assert LONG[chunk.start - 100 : chunk.end - 100] == chunk.text
    assert part.reason == texts.USED_PART


def test_short_passages_and_several_stay_as_they_are():
    for sources in ([source(1, TOWER)], [source(1, LONG), source(2, LONG)], []):
        assert focused(QUESTION, sources) == tuple(sources)


def test_what_is_not_used_does_not_count():
    rest = replace(source(2, TOWER), used=False)
    part, other = focused(QUESTION, [source(1, LONG), rest])
    assert (part.reason, other) == (texts.USED_PART, rest)


def test_a_small_model_reads_the_part_and_a_large_one_the_whole(tmp_path: Path):
    for parameters, whole in ((135_000_000, False), (7_000_000_000, True)):
        who, engine, _ = assistant(tmp_path, [LONG], "The tower opened in 1889 [1].")
        engine.info = replace(FAKE_INFO, n_parameters=parameters)
        events = ask(who, QUESTION)
        assert (BEFORE.strip() in only(events, ContextAssembled).prompt) is whole
        assert end(events).citations[0].supported
        [shown] = [one for one in only(events, SourcesFound).sources if one.used]
        assert (shown.reason == texts.USED_PART) is not whole
