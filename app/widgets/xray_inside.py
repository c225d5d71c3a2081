"""X-ray, what happens inside: attention of any layer and head, change and lens layer by layer."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.widgets import xray_charts as charts
from app.widgets.xray_passages import Given, passage_attention, passage_map
from app.widgets.xray_state import Subject
from interpretability.logit_lens import HiddenStates, Lens, lens
from interpretability.model_file import Floats

_LENS_TOKENS = 12
_CELL_COLUMNS = 40  # tokens of a passage that fit beside one another


def hidden(subject: Subject) -> tuple[HiddenStates, Floats]:
    """Hidden states of the rows shown and the last logits, computed once a prompt."""
    return subject.kept("hidden", lambda: subject.xray.hidden(subject.ids, subject.first))


def note_window(subject: Subject) -> None:
    """Say so where only the end of a long prompt is shown."""
    if subject.first:
        shown = len(subject.ids) - subject.first
        st.caption(subject.say("window", n=shown, total=len(subject.ids)))


def draw_attention(subject: Subject, given: Given | None = None) -> None:
    """Of an answer from the chat, passages and sentences first, tokens on a click; of a text, a map over its tokens."""
    if not subject.xray.abilities.attention:
        st.info(subject.say("only_output"))
    elif given is None:
        _tokens(subject)
    else:
        _answer(subject, given)


def _answer(subject: Subject, given: Given) -> None:
    st.markdown(f"**{subject.say('attention_by_passage')}**")
    seen = passage_attention(subject, given)
    cell = passage_map(subject, given, seen, "attention_cell")
    if cell is None:
        st.caption(subject.say("pick_cell"))
        return
    layer, head_spot = _choose_layer(subject)
    found = subject.kept(
        "cell",
        lambda: subject.xray.cell_attention(given.prompt, given.spans, given.answer, cell, layer),
        given.answer,
        cell,
        layer,
    )
    if found is None:
        st.info(subject.say("no_attention"))
        return
    head = _choose_head(subject, head_spot, len(found.weights))
    columns = found.strongest_columns(_CELL_COLUMNS)
    if len(columns) < len(found.columns):
        st.caption(subject.say("strongest_tokens", n=len(columns), total=len(found.columns)))
    rows = [charts.visible(text, place) for place, text in enumerate(found.rows)]
    names = [charts.visible(found.columns[column], column) for column in columns]
    weights = found.head(head)[:, columns]
    titles = (
        subject.say("answer_token"),
        subject.say("passage_token", n=given.numbers[cell[1]]),
        subject.say("weight"),
    )
    charts.heatmap(weights, rows, names, titles, (0.0, max(0.01, float(weights.max()))))


def _choose_layer(subject: Subject) -> tuple[int, DeltaGenerator]:
    """The layer, and the place where its head is chosen."""
    left, right = st.columns(2)
    last = int(subject.xray.model.setting("block_count")) - 1
    return int(left.slider(subject.say("layer"), 0, last, min(8, last), key="attention_layer")), right


def _choose_head(subject: Subject, spot: DeltaGenerator, count: int) -> int | None:
    heads: list[int | None] = [None, *range(count)]
    mean = subject.say("mean_of_heads")
    return spot.selectbox(subject.say("head"), heads, format_func=lambda h: mean if h is None else str(h))


def _tokens(subject: Subject) -> None:
    """One layer and head as a map over tokens."""
    note_window(subject)
    layer, head_spot = _choose_layer(subject)
    seen = subject.kept("attention", lambda: subject.xray.attention(subject.ids, layer, subject.first), layer)
    if seen is None:
        st.info(subject.say("no_attention"))
        return
    head = _choose_head(subject, head_spot, len(seen.weights))
    # The columns before the window are far away and thin: they are summed out of the picture, not out of the model.
    weights = np.where(seen.allowed(), seen.head(head), np.nan)[:, subject.first :].astype(np.float32)
    labels = subject.labels[subject.first :]
    limit = 1.0
    if subject.first == 0 and len(labels) > 1 and st.toggle(subject.say("without_first")):
        weights[:, 0] = np.nan
        limit = max(0.01, float(np.nanmax(weights[1:])))
    titles = (subject.say("from_token"), subject.say("to_token"), subject.say("weight"))
    charts.heatmap(weights, labels, labels, titles, (0.0, limit))
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
    states, logits = hidden(subject)
    st.markdown(f"**{subject.say('lens')}**")
    count = min(_LENS_TOKENS, states.states.shape[1])
    shown = st.slider(subject.say("last_tokens"), 1, count, min(6, count)) if count > 1 else 1
    tail = HiddenStates(states.states[:, -shown:], subject.first)
    reading = subject.kept("lens", lambda: lens(subject.xray.model, tail, top=1), shown)
    if not reading.agrees_with(logits):
        st.warning(subject.say("lens_off"))
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
