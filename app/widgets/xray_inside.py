"""X-ray, what happens inside: attention of any layer and head, change and lens layer by layer."""

import numpy as np
import streamlit as st

from app.widgets import xray_charts as charts
from app.widgets.xray_state import Subject
from interpretability.logit_lens import HiddenStates, Lens, lens
from interpretability.model_file import Floats

_LENS_TOKENS = 12


def hidden(subject: Subject) -> tuple[HiddenStates, Floats]:
    """Hidden states of the rows shown and the last logits, computed once a prompt."""
    return subject.kept("hidden", lambda: subject.xray.hidden(subject.ids, subject.first))


def note_window(subject: Subject) -> None:
    """Say so where only the end of a long prompt is shown."""
    if subject.first:
        shown = len(subject.ids) - subject.first
        st.caption(subject.say("window", n=shown, total=len(subject.ids)))


def draw_attention(subject: Subject) -> None:
    """One layer and head as a map over tokens."""
    if not subject.xray.abilities.attention:
        st.info(subject.say("only_output"))
        return
    note_window(subject)
    model = subject.xray.model
    left, right = st.columns(2)
    layer = left.slider(subject.say("layer"), 0, int(model.setting("block_count")) - 1, 8, key="attention_layer")
    seen = subject.kept("attention", lambda: subject.xray.attention(subject.ids, layer, subject.first), layer)
    if seen is None:
        st.info(subject.say("no_attention"))
        return
    heads: list[int | None] = [None, *range(len(seen.weights))]
    mean = subject.say("mean_of_heads")
    head = right.selectbox(subject.say("head"), heads, format_func=lambda h: mean if h is None else str(h))
    # The columns before the window are far away and thin: they are summed out of the picture, not out of the model.
    weights = np.where(seen.allowed(), seen.head(head), np.nan)[:, subject.first :].astype(np.float32)
    labels = subject.labels[subject.first :]
    titles = (subject.say("from_token"), subject.say("to_token"), subject.say("weight"))
    charts.heatmap(weights, labels, labels, titles, (0.0, 1.0))
    st.caption(subject.say("causal"))
    st.markdown(subject.say("sink"))
    names = [str(number) for number in range(len(seen.weights))]
    charts.bars(names, list(seen.first_token_share), (subject.say("head"), subject.say("share")))


def draw_layers(subject: Subject) -> None:
    """How much each layer changes each token, and the lens grid."""
    if not subject.xray.abilities.hidden:
        st.info(subject.say("only_output"))
        return
    note_window(subject)
    states, _ = hidden(subject)
    st.markdown(f"**{subject.say('lens')}**")
    count = min(_LENS_TOKENS, states.states.shape[1])
    shown = st.slider(subject.say("last_tokens"), 1, count, min(6, count)) if count > 1 else 1
    tail = HiddenStates(states.states[:, -shown:], subject.first)
    reading = subject.kept("lens", lambda: lens(subject.xray.model, tail, top=1), shown)
    _grid(subject, reading, subject.labels[-shown:])
    st.caption(subject.say("settled", layer=int(reading.first_layer_right()[-1])))
    st.markdown(f"**{subject.say('change')}**")
    change = states.relative_change()[:, -shown:]
    titles = (subject.say("layer"), subject.say("relative_change"), subject.say("token"))
    charts.lines(change, subject.labels[-shown:], titles, first=1, logarithmic=True)


def _grid(subject: Subject, reading: Lens, columns: list[str]) -> None:
    layers, rows, _ = reading.token_ids.shape
    names = subject.names([int(token) for token in reading.token_ids[:, :, 0].ravel()])
    # The last layer stands on top: reading goes upwards, as the computation does.
    words = [names[layer * rows : (layer + 1) * rows] for layer in reversed(range(layers))]
    titles = (subject.say("layer"), subject.say("token"), subject.say("probability"))
    numbers = [str(layer) for layer in reversed(range(layers))]
    charts.lens_grid(words, reading.probabilities[::-1, :, 0], numbers, columns, titles)
