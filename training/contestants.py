"""Who sits the exam: the base, the base with examples in its prompt, the adapter, and two that need no training.

A contestant is a function from an exam row to an answer. The cheap ones are there so that a user sees when fine-tuning
is not worth its trouble. Where the task is to name a label, the models choose among the labels by their probability: a
base that knows the answer must not lose because it writes a sentence around it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.language import Bilingual
from core.types import Message, SamplingSettings
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest
from retrieval.protocol import Embedder
from training.examples import Example

Answerer = Callable[[Example], str]
SHOTS = 6
NEIGHBOURS = 5
# A shot longer than this would crowd out the others.
LONGEST_SHOT = 1200


@dataclass(frozen=True)
class Contestant:
    """A way to answer. `trained` is true for the adapter alone."""

    name: str
    title: Bilingual
    answer: Answerer
    trained: bool = False


def ask(engine: ChatEngine, messages: Sequence[Message], max_tokens: int, adapter: str = "") -> str:
    """The model's greedy answer to a chat."""
    request = GenerationRequest(
        messages=tuple(messages), sampling=SamplingSettings(max_tokens=max_tokens), adapter=adapter
    )
    return "".join(event.text for event in engine.generate(request) if isinstance(event, GeneratedText)).strip()


def choose(engine: ChatEngine, messages: Sequence[Message], labels: Sequence[str], adapter: str = "") -> str:
    """The label that the model holds most probable as its answer."""
    prompt = engine.render(messages)
    return max(labels, key=lambda label: sum(engine.log_probabilities(prompt, label, adapter)))


@dataclass(frozen=True)
class Reply:
    """How a model answers: by choosing one of `labels`, or where there are none by writing up to `max_tokens`."""

    engine: ChatEngine
    max_tokens: int
    labels: Sequence[str] = ()

    def __call__(self, messages: Sequence[Message], adapter: str = "") -> str:
        """The answer to a chat, by the base or by an adapter on it."""
        if self.labels:
            return choose(self.engine, messages, self.labels, adapter)
        return ask(self.engine, messages, self.max_tokens, adapter)


def base_model(reply: Reply) -> Contestant:
    """The model as it came, with the task's own prompt."""
    return Contestant("base", Bilingual("base model", "基座模型"), lambda example: reply(example.prompt))


def few_shot(reply: Reply, train: Sequence[Example]) -> Contestant:
    """The model as it came, with some training examples before the question, the same ones every time."""
    shots = spread_over_labels([example for example in train if _length(example) <= LONGEST_SHOT], SHOTS)
    return Contestant(
        "few_shot",
        Bilingual(f"prompt with {len(shots)} examples", f"提示词加 {len(shots)} 个样例"),
        lambda example: reply(with_shots(example, shots)),
    )


def adapted(reply: Reply, adapter: str) -> Contestant:
    """The base with the adapter."""
    return Contestant(
        "adapter",
        Bilingual("fine-tuned adapter", "微调适配器"),
        lambda example: reply(example.prompt, adapter),
        trained=True,
    )


def nearest(embedder: Embedder, train: Sequence[Example]) -> Contestant:
    """No model: the answer of the most similar training examples (by vote where there are labels)."""
    vectors = embedder.embed_documents([example.question for example in train])

    def answer(example: Example) -> str:
        scores = vectors @ embedder.embed_query(example.question)
        best = [train[place] for place in np.argsort(-scores)[: NEIGHBOURS if example.label else 1]]
        answers = [one.answer for one in best]
        return str(max(answers, key=lambda one: (answers.count(one), -answers.index(one))))

    return Contestant("nearest", Bilingual("most similar examples", "最相似的样例"), answer)


def logistic_regression(embedder: Embedder, train: Sequence[Example]) -> Contestant:
    """No model: a linear classifier on sentence vectors. For tasks with labels."""
    from sklearn.linear_model import LogisticRegression

    # The model's balance of classes follows the data's; C=10 suits unit vectors of a few hundred dimensions.
    classifier = LogisticRegression(C=10.0, max_iter=2000)
    classifier.fit(embedder.embed_documents([one.question for one in train]), [one.label for one in train])

    def answer(example: Example) -> str:
        return str(classifier.predict(embedder.embed_query(example.question)[None])[0])

    return Contestant("regression", Bilingual("embeddings + logistic regression", "向量 + 逻辑回归"), answer)


def spread_over_labels(examples: Sequence[Example], count: int) -> list[Example]:
    """The first `count` examples, taking the labels in turn, so that no label stands alone in a prompt."""
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        by_label.setdefault(example.label, []).append(example)
    queues = [by_label[label] for label in sorted(by_label)]
    chosen: list[Example] = []
    depth = 0
    while len(chosen) < count and any(depth < len(queue) for queue in queues):
        chosen += [queue[depth] for queue in queues if depth < len(queue)]
        depth += 1
    return chosen[:count]


def with_shots(example: Example, shots: Sequence[Example]) -> tuple[Message, ...]:
    """The prompt of `example` with whole earlier turns before its question."""
    system = tuple(message for message in example.prompt if message.role == "system")
    rest = tuple(message for message in example.prompt if message.role != "system")
    turns = (message for shot in shots for message in shot.messages if message.role != "system")
    return (*system, *turns, *rest)


def _length(example: Example) -> int:
    return sum(len(message.content) for message in example.messages)
