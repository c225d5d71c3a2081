"""What stands between a file and a training run: duplicates, contradictions, lengths, languages, and the split.

Rows for the exam are set aside before anything is learned. Rows that ask nearly the same thing stay on one side, or the
exam would only measure memory.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.errors import TrainingError
from core.language import Bilingual, language_of
from training.dataset import LoadedData
from training.examples import Example

EXAM_SHARE = 0.2
MOST_EXAM_ROWS = 200
LEAST_EXAMPLES = 8
FEW_EXAMPLES = 50
_NOISE = re.compile(r"[\W\d_]+")


@dataclass(frozen=True)
class DataReport:
    """What the checks found. Lengths in tokens of the base model; `notices` are sentences for the user."""

    rows: int
    duplicates: int = 0
    contradictions: int = 0
    too_long: int = 0
    median_tokens: int = 0
    longest_tokens: int = 0
    languages: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[Bilingual, ...] = ()


@dataclass(frozen=True)
class PreparedData:
    """Examples in three disjoint parts: learned from, checked against while learning, asked in the exam."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    exam: tuple[Example, ...]
    report: DataReport


def prepare(
    data: LoadedData, count_tokens: Callable[[Example], int], max_tokens: int, held_out_share: float, seed: int
) -> PreparedData:
    """Check and split. Raises TrainingError where nothing could be learned: too few rows, one label, all too long."""
    unique, duplicates, contradictions = _without_duplicates(data.examples)
    lengths = [count_tokens(example) for example in unique]
    fitting = [example for example, tokens in zip(unique, lengths, strict=True) if tokens <= max_tokens]
    too_long = [(example, tokens) for example, tokens in zip(unique, lengths, strict=True) if tokens > max_tokens]
    _refuse_hopeless(data, unique, fitting, max_tokens)
    ordered = sorted(lengths)
    report = DataReport(
        rows=len(data.examples) + len(data.problems),
        duplicates=duplicates,
        contradictions=contradictions,
        too_long=len(too_long),
        median_tokens=ordered[len(ordered) // 2],
        longest_tokens=ordered[-1],
        languages=Counter(language_of(example.question) for example in unique),
        labels=Counter(example.label for example in fitting if example.label),
        notices=(),
    )
    train, held_out, exam = split(fitting, held_out_share, seed)
    notices = (*_notices(report, data), *(_too_long(example, tokens, max_tokens) for example, tokens in too_long[:5]))
    return PreparedData(tuple(train), tuple(held_out), tuple(exam), replace(report, notices=notices))


def split(
    examples: Sequence[Example], held_out_share: float, seed: int
) -> tuple[list[Example], list[Example], list[Example]]:
    """Training, held-out and exam rows; nearly equal questions on one side, each label in every part where possible."""
    families: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        families[near_key(example)].append(example)
    by_label: dict[str, list[list[Example]]] = defaultdict(list)
    for family in families.values():
        by_label[family[0].label].append(family)
    draw = random.Random(seed)  # noqa: S311 - a reproducible shuffle, no secret
    exam_share = min(EXAM_SHARE, MOST_EXAM_ROWS / max(1, len(examples)))
    parts: tuple[list[Example], list[Example], list[Example]] = ([], [], [])
    for label in sorted(by_label):
        groups = by_label[label]
        draw.shuffle(groups)
        exam_end = round(len(groups) * exam_share)
        held_end = exam_end + round(len(groups) * held_out_share)
        for part, chosen in zip(parts, (groups[held_end:], groups[exam_end:held_end], groups[:exam_end]), strict=True):
            part.extend(example for family in chosen for example in family)
    for part in parts:
        draw.shuffle(part)
    return parts


def near_key(example: Example) -> str:
    """The question with everything but its letters gone: forms of one template share it."""
    return _NOISE.sub(" ", example.question.lower()).strip() or example.key


def _without_duplicates(examples: Sequence[Example]) -> tuple[list[Example], int, int]:
    """The first of each question; how many repeated it, and how many of those with another answer."""
    first: dict[str, Example] = {}
    duplicates = contradictions = 0
    for example in examples:
        known = first.setdefault(example.key, example)
        if known is not example:
            duplicates += 1
            contradictions += known.answer.strip() != example.answer.strip()
    return list(first.values()), duplicates, contradictions


def _refuse_hopeless(data: LoadedData, unique: Sequence[Example], fitting: Sequence[Example], max_tokens: int) -> None:
    if unique and not fitting:
        raise TrainingError(
            Bilingual(
                en=f"Every example of {data.path} is longer than {max_tokens} tokens. "
                "Shorten them or raise --max-tokens.",
                zh=f"{data.path} 中的样例都超过 {max_tokens} 个词元。请缩短样例，或调大 --max-tokens。",
            )
        )
    if len(fitting) < LEAST_EXAMPLES:
        raise TrainingError(
            Bilingual(
                en=f"{data.path} has {len(fitting)} different usable examples; training needs {LEAST_EXAMPLES} at the "
                "very least, and is worth it from about 50.",
                zh=f"{data.path} 只有 {len(fitting)} 条不同的可用样例；训练至少需要 {LEAST_EXAMPLES} 条，"
                "约 50 条以上才有意义。",
            )
        )
    labels = {example.label for example in fitting}
    if len(labels) == 1 and labels != {""}:
        only = next(iter(labels))
        raise TrainingError(
            Bilingual(
                en=f"Every example of {data.path} has the label {only!r}; a model would learn to say just that. "
                "Add examples of other labels.",
                zh=f"{data.path} 中所有样例的标签都是 {only!r}，模型只会学到这一个答案。请加入其他标签的样例。",
            )
        )


def _notices(report: DataReport, data: LoadedData) -> list[Bilingual]:
    usable = report.rows - report.duplicates - report.too_long - len(data.problems)
    notices = list(data.problems[:5])
    if report.duplicates:
        notices.append(
            Bilingual(
                en=f"{report.duplicates} rows repeat a question and are left out ({report.contradictions} of them with "
                "another answer: look at these).",
                zh=f"{report.duplicates} 行的问题重复，已略去（其中 {report.contradictions} 行答案不同，请检查）。",
            )
        )
    if usable < FEW_EXAMPLES:
        notices.append(
            Bilingual(
                en=f"{usable} examples are few: a prompt with some of them as models may do as well. Look at the exam.",
                zh=f"只有 {usable} 条样例，偏少：把其中几条写进提示词可能效果相当。请看考试结果。",
            )
        )
    counts = report.labels.values()
    if counts and max(counts) > 10 * min(counts):
        notices.append(
            Bilingual(
                en=f"The labels are uneven: {_listed(report.labels)}.", zh=f"各标签数量不均：{_listed(report.labels)}。"
            )
        )
    return notices


def _listed(labels: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {count}" for label, count in sorted(labels.items(), key=lambda item: -item[1])[:8])


def _too_long(example: Example, tokens: int, max_tokens: int) -> Bilingual:
    return Bilingual(
        en=f"Line {example.line}: {tokens:,} tokens, more than {max_tokens:,}; left out. "
        "Shorten it or raise --max-tokens.",
        zh=f"第 {example.line} 行：{tokens:,} 个词元，超过 {max_tokens:,}，已略去。请缩短，或调大 --max-tokens。",
    )
