"""Follow-ups both ways, over a scripted search."""

from core.types import Chunk, Evidence, Retrieval, Scope, ScoredChunk
from evaluation.datasets import ExamQuestion
from evaluation.mtrag import history_of, later_turns, search_both, summary


class Search:
    """Finds the river where it is named."""

    def retrieve(self, query: str, scope: Scope, top_k: int) -> Retrieval:
        uris = ["river", "tower"] if "Yangtze" in query else ["tower", "river"]
        chunks = tuple(
            ScoredChunk(Chunk(uri, uri, uri, 0, 0, 5, uri=uri), 1.0 / rank) for rank, uri in enumerate(uris, 1)
        )
        return Retrieval(query, chunks, Evidence("strong", 1.0), 2)


def conversation(*texts: str, gold: tuple[str, ...] = ("river",)) -> ExamQuestion:
    turns = [{"speaker": "agent" if at % 2 else "user", "text": text} for at, text in enumerate(texts)]
    return ExamQuestion("x", texts[-1], gold, fields={"turns": turns})


FOLLOW_UP = conversation("How long is the Yangtze river?", "6300 km.", "And where does it begin?")
ALONE = conversation("Hello there, my friend!", "Hi.", "Who designed the Seewolf valve in 1987?", gold=("tower",))


def test_only_turns_with_a_past_and_a_passage_count():
    first = conversation("How long is the Yangtze river?")
    assert later_turns([first, FOLLOW_UP, conversation("a", "b", "c", gold=())]) == [FOLLOW_UP]
    assert [turn.role for turn in history_of(FOLLOW_UP)] == ["user", "assistant"]


def test_the_rewrite_is_compared_with_the_last_turn_alone():
    searched = [search_both(Search(), item, "any") for item in (FOLLOW_UP, ALONE)]
    assert searched[0].rewritten == "How long is the Yangtze river? And where does it begin?"
    assert searched[1].rewritten == ALONE.text
    found = summary(searched)
    assert found["all"]["hit@1"]["last_turn_alone"]["mean"] == 0.5
    assert found["all"]["hit@1"]["with_rewrite"]["mean"] == 1.0
    assert found["rewritten"]["hit@1"]["difference"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 1}
    assert found["all"]["ndcg@10"]["difference"]["mean"] == round((1 - 1 / 1.584962500721156) / 2, 4)
