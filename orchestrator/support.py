"""Does a passage support a sentence? Numbers, names, quoted words and the share of content words, in both languages.

This is a check of form, not of logic: it finds invented numbers, names and quotations and sentences about something
else; it does not find a wrong relation between right words.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.language import Bilingual, sentence_spans
from orchestrator.words import names, numbers, quotations, squeezed, terms

LEAST_COVERAGE = 0.5
_CITATION = re.compile(r"\s*[\[【]\d{1,3}(?:\s*[,，、]\s*\d{1,3})*[\]】]")


@dataclass(frozen=True)
class Verdict:
    """Whether the sentence is supported, the share of its terms that the passage holds, and the reason if it is not."""

    supported: bool
    coverage: float
    reason: Bilingual


def check(sentence: str, passages: Sequence[str], question: str = "") -> Verdict:
    """Judge `sentence` against the passages it cites, taken together. `question` may lend it names and numbers."""
    claim = _CITATION.sub("", sentence)
    basis = "\n".join(passages)
    reason = _missing(claim, basis, question)
    coverage = _coverage(claim, basis)
    if reason is None and coverage < LEAST_COVERAGE:
        reason = Bilingual(en="its words are not in the source", zh="其内容不见于所引来源")
    return Verdict(reason is None, coverage, reason or Bilingual("", ""))


def best_sentence(sentence: str, passage: str) -> tuple[int, int]:
    """Return the span of the sentence of `passage` that shares most terms with `sentence`, the first of equals."""
    wanted = set(terms(_CITATION.sub("", sentence))) | numbers(sentence)
    spans = sentence_spans(passage) or [(0, len(passage))]

    def shared(span: tuple[int, int]) -> float:
        here = set(terms(passage[slice(*span)])) | numbers(passage[slice(*span)])
        return len(wanted & here) / math.sqrt(len(here) + 8)

    return max(spans, key=shared)


def _missing(claim: str, basis: str, question: str) -> Bilingual | None:
    absent_numbers = sorted(numbers(claim) - numbers(basis) - numbers(question))
    if absent_numbers:
        listed = ", ".join(absent_numbers[:3])
        return Bilingual(en=f"the number {listed} is not in the source", zh=f"来源中没有数字 {listed}")
    held = squeezed(basis)
    absent_quotes = [quoted for quoted in quotations(claim) if squeezed(quoted) not in held]
    if absent_quotes:
        return Bilingual(en=f"“{absent_quotes[0]}” is not in the source", zh=f"来源中没有“{absent_quotes[0]}”")
    known = held + squeezed(question)
    absent_names = sorted(name for name in names(claim) if squeezed(name) not in known)
    if absent_names:
        listed = ", ".join(absent_names[:3])
        return Bilingual(en=f"the name {listed} is not in the source", zh=f"来源中没有名称 {listed}")
    return None


def _coverage(claim: str, basis: str) -> float:
    wanted = terms(claim)
    if not wanted:
        return 1.0 if squeezed(claim) and squeezed(claim) in squeezed(basis) else 0.0
    held, held_numbers = set(terms(basis)), numbers(basis)
    return sum(term in held or bool(numbers(term) & held_numbers) for term in wanted) / len(wanted)
