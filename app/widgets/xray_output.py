"""X-ray, what comes out: the distribution under the sliders of sampling."""

import numpy as np
import streamlit as st

from app.widgets import xray_charts as charts
from app.widgets.answer_text import plain_label
from app.widgets.xray_state import Subject, percent
from core.types import SamplingSettings
from interpretability.model_file import Floats
from interpretability.sampling_steps import Draw, Sampler, softmax
from interpretability.tour import top_k_is_not_temperature

_SHOWN = 15


def draw_sampling(subject: Subject) -> None:
    """The distribution, the stages, the token drawn: all on stored logits."""
    logits = subject.kept("logits", lambda: subject.xray.logits(subject.ids))
    settings = _sliders(subject)
    draw = Sampler(settings).draw(logits, subject.ids if settings.repeat_penalty != 1.0 else ())
    _distribution(subject, draw)
    token = subject.names([draw.token_id])[0]
    st.success(subject.say("drawn", seed=settings.seed, token=plain_label(token, 40)))
    if settings.repeat_penalty != 1.0:
        st.caption(subject.say("penalised"))
    _stages(subject, draw)
    subject.myth(top_k_is_not_temperature(logits))


def _sliders(subject: Subject) -> SamplingSettings:
    # Two rows of columns: on a phone, where columns are stacked, the order stays that of the stages.
    cells = [*st.columns(3), *st.columns(3)]
    return SamplingSettings(
        temperature=cells[0].slider(subject.say("temperature"), 0.0, 3.0, 0.8, 0.05),
        top_k=cells[1].slider(subject.say("stage_top_k"), 0, 100, 40),
        top_p=cells[2].slider(subject.say("stage_top_p"), 0.05, 1.0, 0.95, 0.01),
        min_p=cells[3].slider(subject.say("stage_min_p"), 0.0, 0.5, 0.05, 0.01),
        repeat_penalty=cells[4].slider(subject.say("penalty"), 1.0, 2.0, 1.0, 0.05),
        seed=int(cells[5].number_input(subject.say("seed"), 0, 2**32 - 1, 42)),
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
    st.metric(subject.say("ending"), percent(_ending(subject, draw.stages[0].probabilities)))


def _ending(subject: Subject, probabilities: Floats) -> float:
    names = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    ends = {int(subject.xray.model.metadata[name]) for name in names if name in subject.xray.model.metadata}
    return float(probabilities[list(ends)].sum())


def output_bars(subject: Subject, runs: list[tuple[str, Floats]]) -> None:
    """The likeliest next tokens of several runs in one chart."""
    chances = [(name, softmax(logits)) for name, logits in runs]
    best = list(dict.fromkeys(int(token) for _, row in chances for token in np.argsort(-row, kind="stable")[:8]))
    names = subject.names(best)
    labels = [name for name in names for _ in chances]
    values = [float(row[token]) for token in best for _, row in chances]
    titles = (subject.say("token"), subject.say("probability"))
    charts.bars(labels, values, titles, (subject.say("variant"), [name for name, _ in chances] * len(best)))
