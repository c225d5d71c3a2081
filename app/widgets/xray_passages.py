"""X-ray, which passage an answer used: leaving out as the verdict, attention beside it as a picture."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from app import session
from app.widgets import xray_charts as charts
from app.widgets.xray_state import Subject
from core.grounded_prompt import NumberedPassage, grounded_messages, grounded_parts
from core.language import language_of
from inference.protocol import ChatEngine
from interpretability.attention import PassageAttention
from interpretability.attribution import Attribution, passage_spans
from interpretability.plain import forget_xrays, keep_xray, kept_xray, to_plain
from interpretability.tour import attention_is_not_use
from orchestrator.events import ContextAssembled


@dataclass(frozen=True)
class Given:
    """An answer, its prompt, and where the passages stand in it: numbers and character offsets."""

    prompt: str
    answer: str
    numbers: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    answer_id: str = ""


def given_by(context: ContextAssembled, answer: str, answer_id: str) -> Given | None:
    """A past answer; None where no passage stood in its prompt."""
    places: dict[int, tuple[int, int]] = {}
    for span in context.spans:
        if span.source is not None:
            start, end = places.get(span.source, (span.start, span.end))
            places[span.source] = (min(start, span.start), max(end, span.end))
    ordered = sorted(places.items(), key=lambda item: item[1])
    if not ordered or not answer.strip():
        return None
    numbers, spans = zip(*ordered, strict=True)
    return Given(context.prompt, answer.strip(), tuple(numbers), tuple(spans), answer_id)


def draw_passages(subject: Subject, engine: ChatEngine, given: Given | None) -> None:
    """The weights of a past answer's passages, or of passages typed here; as they were stored, where they were."""
    chosen = given or _typed(subject, engine)
    if chosen is None:
        return
    kept = _stored(chosen)
    if kept is not None:
        st.caption(subject.say("reopened"))
        if st.button(subject.say("forget"), icon=":material/delete:"):
            forget_xrays(_folder(), lambda answer_id: answer_id != chosen.answer_id)
            st.rerun()
        _draw_found(subject, chosen, *kept)
        return
    if st.session_state.get("xray_find") != _key(chosen):
        if not st.button(subject.say("find_out"), type="primary", icon=":material/search_insights:"):
            return
        st.session_state["xray_find"] = _key(chosen)
    place = (chosen.prompt, chosen.answer)
    found = subject.kept("loo", lambda: subject.xray.attribute(chosen.prompt, chosen.spans, chosen.answer), *place)
    _draw_found(
        subject, chosen, found, passage_attention(subject, chosen) if subject.xray.abilities.attention else None
    )


def passage_attention(subject: Subject, given: Given) -> PassageAttention:
    """Attention from the sentences of the answer to its passages, computed once."""

    def look() -> PassageAttention:
        return subject.xray.passage_attention(given.prompt, given.spans, given.answer)

    return subject.kept("seen", look, given.prompt, given.answer)


def passage_map(subject: Subject, given: Given, seen: PassageAttention, pick: str = "") -> tuple[int, int] | None:
    """Sentences by passages as a picture; with a key in `pick` the (sentence, passage) that was clicked, from 0."""
    ways = ("mean", "strongest")
    way = st.segmented_control(
        subject.say("which_attention"), ways, default="mean", required=True, format_func=subject.say, key=f"way_{pick}"
    )
    sentences = [f"{place + 1} {' '.join(text.split())[:40]}" for place, text in enumerate(seen.sentences)]
    names = _names(given)
    values = seen.mean if way == "mean" else seen.strongest
    titles = (subject.say("sentence"), subject.say("passage"), subject.say("weight"))
    clicked = charts.heatmap(values, sentences, names, titles, (0.0, max(0.01, float(values.max()))), pick)
    return (sentences.index(clicked[0]), names.index(clicked[1])) if clicked and clicked[0] in sentences else None


def _names(given: Given) -> list[str]:
    return [f"[{number}]" for number in given.numbers]


def _key(given: Given) -> str:
    return f"{given.answer_id}|{given.prompt}|{given.answer}"


def _typed(subject: Subject, engine: ChatEngine) -> Given | None:
    st.caption(subject.say("choose_answer"))
    sample = (
        "The lighthouse of Karvo is painted bright green. It stands on a rock near the harbour.\n\n"
        "The library of Ellerton was founded in 1874. Its reading room is open to everybody."
    )
    texts = [text.strip() for text in st.text_area(subject.say("your_passages"), sample).split("\n\n") if text.strip()]
    question = st.text_input(subject.say("your_question"), "What colour is the lighthouse of Karvo?")
    answer = st.text_input(subject.say("your_answer"), "The lighthouse of Karvo is painted bright green.").strip()
    if not (texts and question.strip() and answer):
        return None
    passages = [NumberedPassage(number, "", text) for number, text in enumerate(texts, 1)]
    language = language_of(question)
    prompt = engine.render(grounded_messages(question, passages, language))
    parts = grounded_parts(question, passages, language)[: len(passages)]
    spans = passage_spans(prompt, [part.text for part in parts])
    return Given(prompt, answer, tuple(range(1, len(texts) + 1)), spans)


def _draw_found(subject: Subject, given: Given, found: Attribution, seen: PassageAttention | None) -> None:
    names = _names(given)
    if found.used is None:
        st.info(subject.say("used_none"))
    else:
        st.success(subject.say("used_passage", n=given.numbers[found.used]))
    charts.bars(names, found.weights.tolist(), (subject.say("passage"), subject.say("nats")))
    st.caption(subject.say("grounding" if found.grounding >= 0 else "grounding_below", nats=abs(found.grounding)))
    _by_token(subject, given, found, names)
    if seen is not None:
        st.markdown(f"**{subject.say('attention_by_passage')}**")
        passage_map(subject, given, seen)
        used = None if found.used is None else given.numbers[found.used]
        subject.myth(attention_is_not_use(used, given.numbers[int(seen.mean.sum(axis=0).argmax())]))
    _keep(subject, given, found, seen)


def _by_token(subject: Subject, given: Given, found: Attribution, names: list[str]) -> None:
    tokens = subject.kept("answer", lambda: subject.xray.tokens(given.answer), given.answer)
    labels = [charts.visible(token.text, place) for place, token in enumerate(tokens)][:60]
    limit = max(0.1, float(np.abs(found.per_token).max()))
    titles = (subject.say("passage"), subject.say("answer_token"), subject.say("nats"))
    charts.heatmap(found.per_token[:, :60], names, labels, titles, (-limit, limit))


def _keep(subject: Subject, given: Given, found: Attribution, seen: PassageAttention | None) -> None:
    record = {"passages": given.numbers, "answer": given.answer, "attribution": found, "attention": seen}
    with st.container(horizontal=True, gap="small"):
        text = json.dumps(to_plain(record), ensure_ascii=False)
        st.download_button(subject.say("save"), text, "xray.json", "application/json", icon=":material/download:")
        if given.answer_id and st.button(subject.say("keep"), icon=":material/bookmark:"):
            keep_xray(_folder(), given.answer_id, record)
            st.toast(subject.say("kept"))


def _stored(given: Given) -> tuple[Attribution, PassageAttention | None] | None:
    """What was stored with this very answer and these passages; None where nothing was or it cannot be read."""
    if not given.answer_id:
        return None
    forget_xrays(_folder(), _is_known)
    record = kept_xray(_folder(), given.answer_id)
    try:
        if record["answer"] != given.answer or tuple(record["passages"]) != given.numbers:
            return None
        seen = record["attention"]
        return Attribution.from_plain(record["attribution"]), seen and PassageAttention.from_plain(seen)
    except (TypeError, KeyError, ValueError):
        return None


def _is_known(answer_id: str) -> bool:
    """Whether this answer still stands in a conversation."""
    try:
        session.container().history.message(answer_id)
    except KeyError:
        return False
    return True


def _folder() -> Path:
    return session.container().settings.paths.home / "xrays"
