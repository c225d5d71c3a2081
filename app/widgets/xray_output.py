"""X-ray, what comes out: the distribution under the sliders of sampling, and the loop with its branches."""

import numpy as np
import streamlit as st

from app.widgets import xray_charts as charts
from app.widgets.answer_text import plain_label
from app.widgets.xray_state import Subject
from core.types import SamplingSettings
from interpretability.loop import Branch, Step
from interpretability.model_file import Floats
from interpretability.sampling_steps import Draw, Sampler, softmax
from interpretability.tour import top_k_is_not_temperature

_SHOWN = 15
_BRANCH = "xray_branch"


def draw_sampling(subject: Subject) -> None:
    """The distribution, the stages, the token drawn: all on stored logits."""
    logits = subject.kept("logits", lambda: subject.xray.logits(subject.ids))
    settings = _sliders(subject)
    draw = Sampler(settings).draw(logits, subject.ids if settings.repeat_penalty != 1.0 else ())
    _distribution(subject, draw)
    token = subject.names([draw.token_id])[0]
    st.success(subject.say("drawn", seed=settings.seed, token=plain_label(token, 40)))
    _stages(subject, draw)
    myth = top_k_is_not_temperature(logits)
    st.caption(subject.say("myth", claim=myth.claim.in_(subject.language), answer=myth.answer.in_(subject.language)))


def _sliders(subject: Subject) -> SamplingSettings:
    left, middle, right = st.columns(3)
    return SamplingSettings(
        temperature=left.slider(subject.say("temperature"), 0.0, 3.0, 0.8, 0.05),
        top_k=middle.slider(subject.say("stage_top_k"), 0, 100, 40),
        top_p=right.slider(subject.say("stage_top_p"), 0.05, 1.0, 0.95, 0.01),
        min_p=left.slider(subject.say("stage_min_p"), 0.0, 0.5, 0.05, 0.01),
        repeat_penalty=middle.slider(subject.say("penalty"), 1.0, 2.0, 1.0, 0.05),
        seed=int(right.number_input(subject.say("seed"), 0, 2**32 - 1, 42)),
    )


def _distribution(subject: Subject, draw: Draw) -> None:
    """The likeliest tokens before and after the stages, side by side."""
    raw = draw.stages[0].probabilities
    best = np.argsort(-raw, kind="stable")[:_SHOWN]
    last = draw.stages[-1]
    after = dict(zip(last.ids.tolist(), last.probabilities.tolist(), strict=True))
    names = [f"{rank + 1} {name}" for rank, name in enumerate(subject.names([int(token) for token in best]))]
    values = [value for token in best for value in (float(raw[token]), after.get(int(token), 0.0))]
    series = [subject.say("before"), subject.say("after")] * len(names)
    titles = (subject.say("token"), subject.say("probability"))
    charts.bars([name for name in names for _ in range(2)], values, titles, (subject.say("before_after"), series))


def _stages(subject: Subject, draw: Draw) -> None:
    st.dataframe(
        {
            subject.say("stage"): [subject.say(f"stage_{stage.name}") for stage in draw.stages],
            subject.say("left"): [len(stage.ids) for stage in draw.stages],
            subject.say("removed_mass"): [round(stage.removed_mass, 4) for stage in draw.stages],
            subject.say("entropy"): [round(stage.entropy, 3) for stage in draw.stages],
        },
        hide_index=True,
    )
    st.metric(subject.say("ending"), f"{_ending(subject, draw.stages[0].probabilities):.2%}")


def _ending(subject: Subject, probabilities: Floats) -> float:
    names = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    ends = {int(subject.xray.model.metadata[name]) for name in names if name in subject.xray.model.metadata}
    return float(probabilities[list(ends)].sum())


def draw_loop(subject: Subject) -> None:
    """One token a click; another candidate is another branch; back is free."""
    branch = _branch(subject)
    temperature = st.slider(subject.say("temperature"), 0.0, 2.0, 0.0, 0.1, key="loop_temperature")
    settings = SamplingSettings(temperature=temperature, seed=42 + len(branch.steps))
    with st.container(horizontal=True, gap="small"):
        go_on = st.button(subject.say("step"), icon=":material/play_arrow:", type="primary")
        play = st.button(subject.say("play"), icon=":material/fast_forward:")
        back = st.button(subject.say("rewind"), icon=":material/undo:", disabled=not branch.steps)
        restart = st.button(subject.say("restart"), icon=":material/first_page:", disabled=not branch.steps)
    if go_on or play:
        with st.spinner(subject.say("working")):
            branch = branch.extended(subject.xray.steps(branch.ids, 10 if play else 1, settings))
    elif back or restart:
        branch = branch.rewound(len(branch.steps) - 1 if back else 0)
    st.session_state[_BRANCH] = branch
    _written(subject, branch)


def _branch(subject: Subject) -> Branch:
    kept = st.session_state.get(_BRANCH)
    if isinstance(kept, Branch) and kept.prompt_ids == tuple(subject.ids):
        return kept
    return Branch(tuple(subject.ids))


def _written(subject: Subject, branch: Branch) -> None:
    if not branch.steps:
        st.caption(subject.say("nothing_yet"))
        return
    taken = subject.xray.tokens_of([step.token_id for step in branch.steps])
    st.markdown(f"**{subject.say('written')}**")
    text = b"".join(token.data for token in taken).decode("utf-8", "replace")
    st.code(text, language=None, wrap_lines=True)
    step = branch.steps[-1]
    names = [f"{rank + 1} {name}" for rank, name in enumerate(subject.names(list(step.candidates)))]
    st.markdown(subject.say("last_step"))
    charts.bars(names, step.probabilities, (subject.say("token"), subject.say("probability")))
    _branching(subject, branch, step, names)


def _branching(subject: Subject, branch: Branch, step: Step, names: list[str]) -> None:
    st.caption(f"{subject.say('ending')}: {step.end_probability:.2%}")
    chosen = st.selectbox(subject.say("candidates"), range(len(names)), format_func=lambda at: names[at])
    if st.button(subject.say("branch"), icon=":material/alt_route:"):
        st.session_state[_BRANCH] = branch.choosing(len(branch.steps) - 1, step.candidates[chosen])
        st.rerun()


def output_bars(subject: Subject, runs: list[tuple[str, Floats]]) -> None:
    """The likeliest next tokens of several runs in one chart."""
    chances = [(name, softmax(logits)) for name, logits in runs]
    best = list(dict.fromkeys(int(token) for _, row in chances for token in np.argsort(-row, kind="stable")[:8]))
    names = subject.names(best)
    labels = [name for name in names for _ in chances]
    values = [float(row[token]) for token in best for _, row in chances]
    titles = (subject.say("token"), subject.say("probability"))
    charts.bars(labels, values, titles, (subject.say("variant"), [name for name, _ in chances] * len(best)))
