"""The citations `[n]` of an answer: which exist, what they support, and which sentences nothing supports."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.language import Bilingual, sentence_spans
from orchestrator.events import Citation, Source, UnsupportedSentence
from orchestrator.support import Verdict, best_sentence, check

_GROUP = re.compile(r"[\[【](\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)[\]】]")
_MARK = re.compile(r"\s*\[\d{1,3}\]")
_ONLY_CITATIONS = re.compile(r"^(?:\s*\[\d{1,3}\]\s*)+[.。]?$")
UNCITED = Bilingual(en="no source is cited and none supports it", zh="没有引用来源，也没有来源支持此句")
ATTRIBUTION_COVERAGE = 0.75


@dataclass(frozen=True)
class CheckedAnswer:
    """An answer after the check.

    `dropped` are numbers that were cited and do not exist; `placed` counts the citations that the check wrote: in
    sentences that cited nothing, or one source that does not hold them, while another holds most of them.
    """

    text: str
    citations: tuple[Citation, ...]
    unsupported: tuple[UnsupportedSentence, ...]
    dropped: tuple[int, ...] = ()
    placed: int = 0

    @property
    def has_support(self) -> bool:
        """Whether at least one sentence stands on a source."""
        return any(citation.supported for citation in self.citations)


def check_answer(text: str, sources: Sequence[Source], question: str = "") -> CheckedAnswer:
    """Resolve and judge every citation of `text`; only `sources` that were in the context can be cited."""
    shown = {source.number: source for source in sources if source.used}
    text, dropped = _only_known(text, shown)
    text, placed = _placed(text, shown, question)
    citations: list[Citation] = []
    unsupported: list[UnsupportedSentence] = []
    for start, end in _cited_sentences(text):
        found, reason = _judge(text, (start, end), shown, question)
        citations += found
        if reason is not None:
            unsupported.append(UnsupportedSentence(start, end, reason))
    return CheckedAnswer(text, tuple(citations), tuple(unsupported), dropped, placed)


def numbers_cited(text: str) -> list[int]:
    """The numbers in brackets of `text`, in order."""
    return [int(number) for group in _GROUP.finditer(text) for number in re.findall(r"\d+", group.group(1))]


def _only_known(text: str, shown: Mapping[int, Source]) -> tuple[str, tuple[int, ...]]:
    """Write `[1, 2]` as `[1][2]` and take out what names no source."""
    dropped: list[int] = []

    def rewritten(match: re.Match[str]) -> str:
        cited = [int(number) for number in re.findall(r"\d+", match.group(1))]
        dropped.extend(number for number in cited if number not in shown)
        return "".join(f"[{number}]" for number in cited if number in shown)

    text = _GROUP.sub(rewritten, text)
    return re.sub(r"\s+([.。])", r"\1", text) if dropped else text, tuple(dropped)


def _cited_sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences; a `[n]` behind the full stop belongs to the sentence before it."""
    spans: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        lead = re.match(r"(?:\[\d{1,3}\]\s*)+[.。]?\s*", text[start:end])
        if lead and spans:
            spans[-1] = (spans[-1][0], start + len(lead.group().rstrip()))
            start += lead.end()
        if start < end and not _ONLY_CITATIONS.match(text[start:end]):
            spans.append((start, end))
    return spans


def _placed(text: str, shown: Mapping[int, Source], question: str) -> tuple[str, int]:
    """Let a sentence that cites nothing, or one wrong source, cite the one that holds most of it, if any does."""
    placed = 0
    for start, end in reversed(_cited_sentences(text)):
        sentence = text[start:end]
        cited = numbers_cited(sentence)
        if len(cited) > 1 or (cited and check(sentence, [_passage(shown[cited[0]])], question).supported):
            continue
        number = _best_source(sentence, shown, question)
        if number is not None:
            sentence = _MARK.sub("", sentence)
            body = sentence.rstrip(".。!！?？")
            text = text[:start] + f"{body} [{number}]{sentence[len(body) :]}" + text[end:]
            placed += 1
    return text, placed


def _best_source(sentence: str, shown: Mapping[int, Source], question: str) -> int | None:
    verdicts = {number: check(sentence, [source.chunk.chunk.text], question) for number, source in shown.items()}
    good = [
        (verdict.coverage, -number)
        for number, verdict in verdicts.items()
        if verdict.supported and verdict.coverage >= ATTRIBUTION_COVERAGE
    ]
    return -max(good)[1] if good else None


def _judge(
    text: str, span: tuple[int, int], shown: Mapping[int, Source], question: str
) -> tuple[list[Citation], Bilingual | None]:
    sentence = text[slice(*span)]
    marks = list(re.finditer(r"\[(\d{1,3})\]", sentence))
    if not marks:
        return [], UNCITED
    passages = [_passage(shown[int(mark.group(1))]) for mark in marks]
    whole = check(sentence, passages, question)
    citations = [_citation(mark, span, sentence, shown, whole, question) for mark in marks]
    return citations, None if whole.supported else whole.reason


def _citation(
    mark: re.Match[str],
    span: tuple[int, int],
    sentence: str,
    shown: Mapping[int, Source],
    whole: Verdict,
    question: str,
) -> Citation:
    source = shown[int(mark.group(1))]
    alone = check(sentence, [_passage(source)], question)
    # Of several sources each must carry a good part of the sentence that they support together.
    supported = alone.supported or (whole.supported and alone.coverage >= whole.coverage / 2)
    start, end = best_sentence(sentence, source.chunk.chunk.text)
    return Citation(
        number=source.number,
        start=span[0] + mark.start(),
        end=span[0] + mark.end(),
        sentence_start=span[0],
        sentence_end=span[1],
        supported=supported,
        passage_start=start,
        passage_end=end,
    )


def _passage(source: Source) -> str:
    """Title and headings count as part of what a passage says: they name its subject."""
    return source.chunk.chunk.embedded_text
