"""X-ray: one prompt, and what the model does with it, in the order in which a model works."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from app import session
from app.answer_view import AnswerView, view_of_message
from app.widgets import jobs, xray_input, xray_inside, xray_loop, xray_models, xray_output, xray_passages
from app.widgets.answer_text import plain_label
from app.widgets.xray_passages import Given
from app.widgets.xray_state import Subject
from app.widgets.xray_text import WORDS
from core.errors import FourfoldError
from inference.protocol import ChatEngine
from interpretability.tour import TOUR
from interpretability.xray import Variant, Xray
from orchestrator.context import assemble, draft
from orchestrator.events import ContextAssembled

TITLE = WORDS["title"]
# In the address: the answer whose prompt is X-rayed.
ANSWER_PARAMETER = "answer"
EXAMPLE = "The capital of France is"
_NO_BUDGET = 10**9  # what is typed here is cut by nobody: the X-ray says itself where a text is too long


def draw() -> None:
    """Draw the page."""
    language = session.language()
    st.title(TITLE.in_(language))
    st.write(WORDS["lead"].in_(language))
    if not session.container().is_built:
        jobs.wait_for_parts(session.words()("model.loading"))
        return
    try:
        _draw_for(session.container().parts().engine)
    except FourfoldError as error:
        st.error(plain_label(error.message.in_(language), 600), icon=":material/error:")


def _draw_for(engine: ChatEngine) -> None:
    language = session.language()
    call = getattr(engine, "call", None)
    if call is None or not Path(engine.info.path).is_file():
        st.info(WORDS["not_local"].in_(language))
        return
    view, answer_id = _past_answer()
    xray = _xray(call, engine.info.path, _adapter_of(view))
    context = view.context if view is not None else _typed_context(engine)
    if context is None or not context.prompt.strip():
        return
    subject = Subject(xray, context.prompt, xray.tokens(context.prompt), language)
    if xray.abilities.notice is not None:
        st.warning(plain_label(xray.abilities.notice.in_(language), 400), icon=":material/visibility_off:")
    given = xray_passages.given_by(context, view.text, answer_id) if view is not None else None
    _tabs(subject, engine, context, given)
    st.caption(WORDS["pictures"].in_(language))


def _xray(call: Callable[..., object], path: str, adapter: str) -> Xray:
    """One X-ray a tab: it remembers the self-check."""
    kept = st.session_state.get("xray")
    if not isinstance(kept, Xray) or (str(kept.path), kept.variant.adapter) != (path, adapter):
        kept = st.session_state["xray"] = Xray(call, Path(path), Variant(adapter=adapter))  # type: ignore[arg-type]
    return kept


def _adapter_of(view: AnswerView | None) -> str:
    """The file of the adapter that gave the answer: the bare model would explain another answer."""
    from training.adapters import AdapterLibrary

    name = view.completed.adapter if view is not None and view.completed is not None else ""
    if not name:
        return ""
    try:
        path = str(AdapterLibrary(session.container().settings).get(name).path)
    except FourfoldError:
        st.warning(WORDS["adapter_gone"].in_(session.language()).format(name=plain_label(name, 60)))
        return ""
    st.caption(WORDS["with_its_adapter"].in_(session.language()).format(name=plain_label(name, 60)))
    return path


def _past_answer() -> tuple[AnswerView | None, str]:
    """The answer that was opened from the chat, and its id."""
    chosen = st.query_params.get(ANSWER_PARAMETER, "")
    if not chosen:
        return None, ""
    try:
        view = view_of_message(session.container().history.message(chosen))
    except KeyError:
        view = AnswerView()
    if view.context is None:
        return None, ""
    words = WORDS["of_answer"].in_(session.language())
    st.info(words, icon=":material/forum:")
    if view.completed is not None and view.completed.kind == "extractive":
        st.caption(WORDS["extracted"].in_(session.language()))
    st.button(WORDS["leave_answer"].in_(session.language()), on_click=_leave)
    return view, chosen


def _leave() -> None:
    st.query_params.pop(ANSWER_PARAMETER, None)


def _typed_context(engine: ChatEngine) -> ContextAssembled:
    """The text of the form: bare, or as a turn of a chat with the template around it."""
    language = session.language()
    with st.form("xray_form", border=False):
        text = st.text_area(WORDS["prompt"].in_(language), EXAMPLE, max_chars=60_000, height=90)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.form_submit_button(WORDS["run"].in_(language), type="primary", icon=":material/visibility:")
            as_chat = st.toggle(WORDS["as_chat"].in_(language), help=WORDS["as_chat_help"].in_(language))
    if as_chat and text.strip():
        return assemble(engine, [draft("user", text, "question")], _NO_BUDGET)
    return ContextAssembled(text, (), {}, _NO_BUDGET)


def _tabs(subject: Subject, engine: ChatEngine, context: ContextAssembled, given: Given | None) -> None:
    parts: dict[str, Callable[[], None]] = {
        "tokens": partial(xray_input.draw_tokens, subject, context),
        "embeddings": partial(xray_input.draw_embeddings, subject),
        "positions": partial(xray_input.draw_positions, subject),
        "attention": partial(xray_inside.draw_attention, subject, given),
        "layers": partial(xray_inside.draw_layers, subject),
        "sampling": partial(xray_output.draw_sampling, subject),
        "loop": partial(xray_loop.draw_loop, subject),
        "passages": partial(xray_passages.draw_passages, subject, engine, given),
        "compare": partial(xray_models.draw_compare, subject),
        "dog": partial(xray_models.draw_dog, subject),
        "parameters": partial(xray_models.draw_parameters, subject),
    }
    titles = [subject.say(f"tab_{name}") for name in parts]
    opened = subject.say("tab_passages") if given is not None else titles[0]
    key = f"xray_tabs_{subject.language}_{given.answer_id if given is not None else ''}"
    tabs = st.tabs(titles, default=opened, key=key, on_change="rerun")
    for tab, (name, draw_part) in zip(tabs, parts.items(), strict=True):
        if tab.open:
            with tab:
                _guide(subject, name)
                draw_part()
                _onward(subject, list(parts), name, key)


def _onward(subject: Subject, names: list[str], name: str, key: str) -> None:
    """The tour's next stop, one click away."""
    place = names.index(name) + 1
    if place == len(names):
        return
    title = subject.say(f"tab_{names[place]}")
    label = subject.say("onward", n=place + 1, total=len(names), title=title)

    def go() -> None:
        st.session_state[key] = title

    st.button(label, key=f"onward_{name}", type="tertiary", icon=":material/arrow_forward:", on_click=go)


def _guide(subject: Subject, name: str) -> None:
    """The sentence of the guided tour for this part, and what the picture is evidence of."""
    stop = next(stop for stop in TOUR if stop.key == name)
    st.markdown(stop.sentence.in_(subject.language))
    st.caption(subject.say("evidence", text=stop.caution.in_(subject.language)))
