"""X-ray, the loop: one token a click, played, branched at any step, and rewound."""

import time

import streamlit as st

from app.widgets import xray_charts as charts
from app.widgets.answer_text import plain_label
from app.widgets.xray_state import Subject, percent
from core.types import SamplingSettings
from interpretability.loop import Branch, Step
from interpretability.tokens import Token

_BRANCH = "xray_branch"
_OTHERS = "xray_branches"
_MOST_OTHERS = 8
_TOKENS_PLAYED = 10
_SECONDS_BETWEEN = 0.12


def draw_loop(subject: Subject) -> None:
    """One token a click; another candidate is another branch, and the one left stays in the list; back is free."""
    branch, others = _branches(subject)
    temperature = st.slider(subject.say("temperature"), 0.0, 2.0, 0.0, 0.1, key="loop_temperature")
    settings = SamplingSettings(temperature=temperature, seed=42 + len(branch.steps))
    with st.container(horizontal=True, gap="small"):
        go_on = st.button(subject.say("step"), icon=":material/play_arrow:", type="primary")
        play = st.button(subject.say("play"), icon=":material/fast_forward:")
        back = st.button(subject.say("rewind"), icon=":material/undo:", disabled=not branch.steps)
        restart = st.button(subject.say("restart"), icon=":material/first_page:", disabled=not branch.steps)
    already = len(branch.steps)
    if go_on or play:
        with st.spinner(subject.say("working")):
            branch = branch.extended(subject.xray.steps(branch.ids, _TOKENS_PLAYED if play else 1, settings))
    elif back or restart:
        branch = branch.rewound(already - 1 if back else 0)
    st.session_state[_BRANCH] = branch
    if not branch.steps:
        st.caption(subject.say("nothing_yet"))
    else:
        tokens = _tokens(subject, branch)
        _written(subject, tokens, already if play else len(tokens))
        _step(subject, branch, tokens)
    _others(subject, others)


def _branches(subject: Subject) -> tuple[Branch, list[Branch]]:
    """The branch at hand and those that were left, all of this prompt."""
    kept = st.session_state.get(_BRANCH)
    if isinstance(kept, Branch) and kept.prompt_ids == tuple(subject.ids):
        return kept, st.session_state.setdefault(_OTHERS, [])
    st.session_state[_OTHERS] = []
    return Branch(tuple(subject.ids)), []


def _tokens(subject: Subject, branch: Branch) -> tuple[Token, ...]:
    """The tokens taken so far."""
    taken = tuple(step.token_id for step in branch.steps)
    return subject.kept("written", lambda: subject.xray.tokens_of(taken), taken)


def _text(tokens: tuple[Token, ...]) -> str:
    return b"".join(token.data for token in tokens).decode("utf-8", "replace")


def _written(subject: Subject, tokens: tuple[Token, ...], already: int) -> None:
    """The text so far; what was just played appears token by token."""
    st.markdown(f"**{subject.say('written')}**")
    spot = st.empty()
    for count in range(already + 1, len(tokens) + 1):
        spot.code(_text(tokens[:count]), language=None, wrap_lines=True)
        time.sleep(_SECONDS_BETWEEN)
    spot.code(_text(tokens), language=None, wrap_lines=True)


def _step(subject: Subject, branch: Branch, tokens: tuple[Token, ...]) -> None:
    """The candidates of one step, the last unless another is clicked; any of them may be taken instead."""
    last = len(tokens) - 1
    labels = [charts.visible(token.text, place + 1) for place, token in enumerate(tokens)]
    chosen = st.pills(
        subject.say("which_step"), range(len(tokens)), default=last, format_func=lambda at: labels[at], key=f"at_{last}"
    )
    at = last if chosen is None else int(chosen)
    step = branch.steps[at]
    names = [f"{rank + 1} {name}" for rank, name in enumerate(subject.names(list(step.candidates)))]
    st.markdown(subject.say("step_candidates", n=at + 1))
    charts.bars(names, step.probabilities, (subject.say("token"), subject.say("probability")))
    st.caption(f"{subject.say('ending')}: {percent(step.end_probability)}")
    _branching(subject, branch, at, step, names)


def _branching(subject: Subject, branch: Branch, at: int, step: Step, names: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picked = st.selectbox(subject.say("candidates"), range(len(names)), format_func=lambda place: names[place])
        if st.button(subject.say("branch"), icon=":material/alt_route:"):
            others = [other for other in st.session_state[_OTHERS] if other != branch]
            st.session_state[_OTHERS] = [branch, *others][:_MOST_OTHERS]
            st.session_state[_BRANCH] = branch.choosing(at, step.candidates[picked])
            st.rerun()


def _others(subject: Subject, others: list[Branch]) -> None:
    if not others:
        return
    st.markdown(f"**{subject.say('other_branches')}**")
    for place, other in enumerate(others):
        label = plain_label(_text(_tokens(subject, other)), 90)
        if st.button(label or "∅", key=f"other_branch_{place}", type="tertiary", icon=":material/alt_route:"):
            here = st.session_state[_BRANCH]
            left = [branch for branch in others if branch != other and branch != here]
            st.session_state[_OTHERS] = [here, *left][:_MOST_OTHERS]
            st.session_state[_BRANCH] = other
            st.rerun()
