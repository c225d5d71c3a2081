"""What was read in the turn before stays at the beginning of the prompt, and the best passage is always shown."""

from core.types import Chunk, ScoredChunk
from orchestrator.events import Source
from orchestrator.kept_passages import KeptPassages, arranged
from orchestrator.passages import numbered_sources, passages_of


def found(names: str, top_k: int = 3) -> tuple[Source, ...]:
    """Sources of one-letter chunks, best first."""
    chunks = [Chunk(name, f"doc-{name}", f"Text of {name}.", 0, 0, 10) for name in names]
    return numbered_sources([ScoredChunk(chunk, 1.0 - place / 100) for place, chunk in enumerate(chunks)], top_k)


def prompt(sources: tuple[Source, ...]) -> list[tuple[int, str]]:
    """(number, chunk) in the order of the prompt."""
    return [(passage.number, passage.text[8]) for passage in passages_of(sources)]


def test_without_an_earlier_turn_the_best_stands_last():
    kept = KeptPassages()
    assert prompt(kept.arranged("c", found("ABCDE"))) == [(3, "C"), (2, "B"), (1, "A")]


def test_the_same_passages_in_another_rank_make_the_same_prompt():
    first = found("ABCDE")
    again = arranged(first, found("CABDE"))
    assert prompt(again) == prompt(first)
    assert [source.number for source in again if not source.used] == [4, 5]


def test_a_new_best_passage_comes_last_behind_what_is_kept():
    first = found("ABCDE")
    again = arranged(first, found("DEABC"))
    assert prompt(again) == [(3, "C"), (2, "B"), (1, "D")]
    third = arranged(again, found("FCBDA"))
    assert prompt(third) == [(3, "C"), (2, "B"), (1, "F")]


def test_only_an_unbroken_beginning_is_kept():
    first = found("ABCDE")
    # B is gone, so of C, B, A only C can stay where it was.
    assert prompt(arranged(first, found("ACDEF"))) == [(3, "C"), (2, "D"), (1, "A")]
    # C is gone: nothing stays.
    assert prompt(arranged(first, found("ABDEF"))) == prompt(found("ABDEF"))


def test_numbers_are_unique_and_every_source_is_told():
    again = arranged(found("ABCDE"), found("DEABC"))
    assert sorted(source.number for source in again) == [1, 2, 3, 4, 5]
    assert {source.chunk.chunk.id for source in again} == set("ABCDE")
    assert all(source.reason.en for source in again)


def test_a_changed_text_under_the_same_id_is_another_passage():
    first = found("ABC")
    changed = tuple(
        Source(it.number, ScoredChunk(Chunk(it.chunk.chunk.id, "d", "Text of X.", 0, 0, 10), 1.0), True) for it in first
    )
    assert prompt(arranged(changed, first)) == prompt(first)


def test_conversations_do_not_meet_and_old_ones_are_forgotten():
    kept = KeptPassages(conversations=2)
    kept.remember("a", found("ABC"))
    kept.remember("b", found("DEF"))
    assert prompt(kept.arranged("b", found("CBAGHI"))) == prompt(found("CBAGHI"))
    assert prompt(kept.arranged("a", found("CBADEF"))) == [(3, "C"), (2, "B"), (1, "A")]
    kept.remember("c", found("GHI"))
    assert prompt(kept.arranged("a", found("CBADEF"))) == prompt(found("CBADEF"))
    kept.remember("", found("ABC"))
    assert prompt(kept.arranged("", found("CBA"))) == prompt(found("CBA"))
