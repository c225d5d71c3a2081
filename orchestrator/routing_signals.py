"""What a router looks at: patterns of the question, and what a cheap probe found; each a number from 0 to 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.language import Bilingual
from core.types import Question, Retrieval
from orchestrator.query_rewriter import depends_on_history
from orchestrator.routing_patterns import PATTERNS, TOOL_TASKS
from orchestrator.tool_words import load_tool_words
from orchestrator.words import terms
from tools.shortcuts import direct_call

# A question of so few content words lies near some passage by chance.
LITTLE = 2


@dataclass(frozen=True)
class AdapterDomain:
    """What an adapter was trained for: its task in words and a few of its inputs."""

    name: str
    task: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """What is there to answer with: what a search found, the active tools, the adapters that fit the model."""

    retrieval: Retrieval | None = None
    tools: tuple[str, ...] = ()
    adapters: tuple[AdapterDomain, ...] = ()


def signals_of(question: Question, probe: Probe) -> dict[str, float]:
    """Return every signal of `question`; a follow-up that says little borrows half from the question before it."""
    found = _pattern_signals(question.text)
    before = _question_before(question)
    leaning = depends_on_history(question)
    if leaning:
        for name, value in _pattern_signals(before).items():
            found[name] = max(found[name], value / 2)
    found["tool_task"] = max(found[name] for name in TOOL_TASKS)
    sounds = load_tool_words().sounds
    found["tool_words"] = max(sounds(question.text), sounds(before) / 2 if leaning else 0.0)
    found.update(_evidence_signals(question.text, probe.retrieval))
    found["says_little"] = float(len(set(terms(question.text))) <= LITTLE)
    found["direct_call"] = float(direct_call(question.text, probe.tools) is not None)
    found["adapter_match"] = max((_resemblance(question.text, domain) for domain in probe.adapters), default=0.0)
    if leaning:
        earlier = max((_resemblance(before, domain) for domain in probe.adapters), default=0.0)
        found["adapter_match"] = max(found["adapter_match"], earlier / 2)
    return found


def _pattern_signals(text: str) -> dict[str, float]:
    return {name: float(any(pattern.search(text) for pattern in patterns)) for name, (patterns, _) in PATTERNS.items()}


def _question_before(question: Question) -> str:
    return next((turn.content for turn in reversed(question.history) if turn.role == "user"), "")


def _evidence_signals(text: str, found: Retrieval | None) -> dict[str, float]:
    """What the collection holds: its own verdict, and the share of the question's terms in the best passages."""
    if found is None or not found.chunks:
        return {"evidence_strong": 0.0, "evidence_value": 0.0, "term_coverage": 0.0}
    wanted = set(terms(text))
    # One shared word of a question of one word is chance, hence at least three.
    shares = [len(wanted & set(terms(item.chunk.embedded_text))) / max(len(wanted), 3) for item in found.chunks[:3]]
    return {
        "evidence_strong": {"strong": 1.0, "weak": 0.5, "none": 0.0}[found.evidence.level],
        "evidence_value": found.evidence.value,
        "term_coverage": max(shares),
    }


def _resemblance(text: str, domain: AdapterDomain) -> float:
    """Share of the question's first terms that the task and the examples of an adapter hold, 0 to 1."""
    wanted = terms(text)[:8]
    known = set(terms(" ".join((domain.task, *domain.examples))))
    return sum(term in known for term in wanted) / max(len(wanted), 1) if len(wanted) > 1 else 0.0


def describe(name: str) -> Bilingual:
    """The sentence of a signal for the receipt."""
    if name in PATTERNS:
        return PATTERNS[name][1]
    return _PROBE_TEXTS.get(name, Bilingual(en=name, zh=name))


_PROBE_TEXTS: Mapping[str, Bilingual] = {
    "tool_task": Bilingual(en="a tool does this exactly", zh="有工具可以精确完成"),
    "tool_words": Bilingual(
        en="its words are those of requests for a sum, a conversion or the time",
        zh="用词与计算、换算、问时间的请求相似",
    ),
    "evidence_strong": Bilingual(en="your documents hold good evidence", zh="您的文档中有充分证据"),
    "evidence_value": Bilingual(en="a passage comes close to the question", zh="有段落与问题很接近"),
    "term_coverage": Bilingual(en="the words of the question stand in a passage", zh="问题中的词出现在某个段落中"),
    "says_little": Bilingual(en="too few words to know a passage by", zh="用词太少，难以据此认定段落"),
    "direct_call": Bilingual(en="its words name a call of a tool", zh="问题的措辞直接对应某个工具"),
    "adapter_match": Bilingual(en="it resembles what an adapter was trained for", zh="与某个适配器的训练任务相似"),
}

PROBE_SIGNALS = ("evidence_strong", "evidence_value", "term_coverage", "direct_call", "adapter_match")
SIGNAL_NAMES: Sequence[str] = (*PATTERNS, "tool_task", "tool_words", "says_little", *PROBE_SIGNALS)
