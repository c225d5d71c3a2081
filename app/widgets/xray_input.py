"""X-ray, what goes in: tokens and their bill, embeddings, the input matrix and positions."""

import numpy as np
import streamlit as st

from app.widgets import xray_charts as charts
from app.widgets.answer_text import plain_label
from app.widgets.xray_state import Subject
from interpretability import embeddings
from interpretability.model_file import Floats
from interpretability.positions import Rotation, rotate, rotation_frequencies
from interpretability.tokens import PARALLEL, Density, bill, density, replay_merges
from interpretability.tour import sums_name_their_own_words, tokens_are_not_words
from orchestrator.events import ContextAssembled

_COLOURS = ("rgb(29 140 108 / 22%)", "rgb(240 190 60 / 30%)", "rgb(120 110 220 / 22%)", "rgb(220 120 50 / 22%)")
_SHOWN_DIMENSIONS = 24
_MOST_TOKENS = 40
ROW_PIXELS = 35  # of a table, as Streamlit draws it
_TURNED = 12  # points of the rotation's picture: more would hide each other


def draw_tokens(subject: Subject, context: ContextAssembled) -> None:
    """Pieces in colour, the table of ids and bytes, merges, density, the bill."""
    _pieces(subject)
    dense = density(subject.prompt, lambda _: len(subject.tokens))
    left, right = st.columns(2)
    left.metric(subject.say("tokens"), len(subject.tokens))
    right.metric(subject.say("characters_per_token"), f"{dense.characters_per_token:.2f}")
    table = {
        subject.say("position"): list(range(len(subject.tokens))),
        subject.say("token"): [charts.visible(token.text) for token in subject.tokens],
        subject.say("id"): subject.ids,
        subject.say("bytes"): [token.data.hex(" ") for token in subject.tokens],
    }
    st.dataframe(table, hide_index=True, height=min(240, ROW_PIXELS * (len(subject.tokens) + 1) + 3))
    _merges(subject)
    _languages(subject)
    _bill(subject, context)
    known = subject.kept("english", lambda: len(subject.xray.tokens(PARALLEL[0])))
    subject.myth(tokens_are_not_words(_words_and_tokens(subject), (len(PARALLEL[0].split()), known)))


def _words_and_tokens(subject: Subject) -> tuple[int, int]:
    return len(subject.prompt.split()), len(subject.tokens)


def _pieces(subject: Subject) -> None:
    import html

    spans = "".join(
        f'<span style="background:{_COLOURS[place % 4]};border-radius:.25em" title="{token.id}">'
        f"{html.escape(token.text)}</span>"
        for place, token in enumerate(subject.tokens)
    )
    st.html(f'<div class="ff-prompt" style="max-height:14rem;overflow-y:auto">{spans}</div>')
    st.caption(subject.say("colours"))


def _merges(subject: Subject) -> None:
    with st.expander(subject.say("merges")):
        replayed = {token.text: replay_merges(subject.xray.model, token) for token in subject.tokens[:_MOST_TOKENS]}
        lines = {charts.visible(text): [" · ".join(step.parts) for step in steps] for text, steps in replayed.items()}
        rows = [(token, " → ".join(steps)) for token, steps in lines.items() if steps]
        if not rows:
            st.caption(subject.say("no_merges"))
            return
        st.dataframe(
            {subject.say("token"): [row[0] for row in rows], subject.say("merge_steps"): [row[1] for row in rows]},
            hide_index=True,
        )


def _languages(subject: Subject) -> None:
    """English beside Chinese: what the same content takes in tokens of this model."""
    st.markdown(f"**{subject.say('parallel')}**")
    names = (subject.say("english"), subject.say("chinese"))
    fields = zip(st.columns(2), names, PARALLEL, strict=True)
    texts = [column.text_input(name, text) for column, name, text in fields]
    found = subject.kept("parallel", lambda: [_density(subject, text) for text in texts], *texts)
    left, right = st.columns(2)
    with left:
        charts.bars(names, [one.tokens for one in found], (subject.say("sentence"), subject.say("tokens")))
    with right:
        titles = (subject.say("sentence"), subject.say("characters_per_token"))
        charts.bars(names, [one.characters_per_token for one in found], titles)


def _density(subject: Subject, text: str) -> Density:
    return density(text, lambda text: len(subject.xray.tokens(text)))


def _bill(subject: Subject, context: ContextAssembled) -> None:
    st.markdown(f"**{subject.say('bill')}**")
    first, second, third = st.columns(3)
    rate_in = first.number_input(subject.say("rate_in"), 0.0, 1000.0, 1.0)
    rate_out = second.number_input(subject.say("rate_out"), 0.0, 1000.0, 3.0)
    answer = third.number_input(subject.say("answer_length"), 0, 100_000, 200)
    parts: list[tuple[str, int]] = [("question", len(subject.tokens))]  # a bare text, without a template
    if context.spans:
        parts = [(span.origin, span.tokens) for span in context.spans]
    cost = bill(parts, int(answer), rate_in, rate_out)
    names = [subject.say(f"origin_{origin}") for origin in cost.tokens_by_origin]
    charts.bars(names, list(cost.tokens_by_origin.values()), (subject.say("origin"), subject.say("tokens")))
    st.metric(subject.say("price"), f"{cost.price:.6f}")
    st.caption(subject.say("local_price"))


def draw_embeddings(subject: Subject) -> None:
    """Angles, nearest words, arithmetic, the map."""
    ids = list(dict.fromkeys(subject.ids))[-_MOST_TOKENS:]
    labels = [charts.visible(token.text, token.id) for token in dict.fromkeys(subject.tokens)][-_MOST_TOKENS:]
    if len(set(subject.ids)) > _MOST_TOKENS:
        st.caption(subject.say("window", n=_MOST_TOKENS, total=len(set(subject.ids))))
    rows = subject.kept("rows", lambda: subject.xray.model.embedding.rows(ids))
    st.markdown(f"**{subject.say('angles')}**")
    titles = (subject.say("token_id"), subject.say("token_id"), subject.say("angle"))
    charts.heatmap(embeddings.angles(rows), labels, labels, titles, (0.0, 120.0))
    chosen = st.selectbox(
        subject.say("nearest"), range(len(ids)), index=len(ids) - 1, format_func=lambda at: labels[at]
    )
    _neighbours(subject, [ids[chosen]], [])
    _arithmetic(subject)
    flat = embeddings.plane(rows)
    st.markdown(f"**{subject.say('plane', share=flat.explained)}**")
    axes = (subject.say("direction", n=1), subject.say("direction", n=2), subject.say("token_id"))
    charts.scatter(flat.points, labels, axes)


def _arithmetic(subject: Subject) -> None:
    st.markdown(f"**{subject.say('arithmetic')}**")
    left, right = st.columns(2)
    plus = _words(subject, left.text_input(subject.say("plus"), "Paris England"))
    minus = _words(subject, right.text_input(subject.say("minus"), "France"))
    if plus:
        _neighbours(subject, plus, minus)
    if plus and minus:
        vector = embeddings.combine(subject.xray.model, plus, minus)
        table = subject.xray.model.embedding
        best = subject.kept("sum", lambda: embeddings.nearest(table, vector, 1)[0].token_id, *plus, -1, *minus)
        subject.myth(sums_name_their_own_words(plain_label(subject.names([best])[0], 40), best in (*plus, *minus)))


def _words(subject: Subject, text: str) -> list[int]:
    """The tokens of words as they stand inside a sentence, with a blank before."""
    spaced = "".join(f" {word}" for word in text.split())
    return [token.id for token in subject.kept("words", lambda: subject.xray.tokens(spaced), spaced)] if spaced else []


def _neighbours(subject: Subject, plus: list[int], minus: list[int]) -> None:
    def find() -> tuple[embeddings.Neighbour, ...]:
        vector = embeddings.combine(subject.xray.model, plus, minus)
        return embeddings.nearest(subject.xray.model.embedding, vector, 10, [*plus, *minus])

    found = subject.kept("nearest", find, tuple(plus), tuple(minus))
    names = subject.names([item.token_id for item in found])
    charts.bars(names, [item.cosine for item in found], (subject.say("token"), subject.say("cosine")))


def draw_positions(subject: Subject) -> None:
    """The input matrix, and what RoPE does to queries and keys."""
    ids, labels = subject.ids[subject.first :], subject.labels[subject.first :]
    rows = subject.kept("matrix", lambda: subject.xray.model.embedding.rows(ids))
    shown = rows[:, :_SHOWN_DIMENSIONS]
    st.markdown(subject.say("matrix", n=len(subject.ids), m=rows.shape[1], shown=shown.shape[1]))
    limit = float(np.abs(shown).max())
    titles = (subject.say("token"), subject.say("dimension"), subject.say("value"))
    charts.heatmap(shown, labels, [str(n) for n in range(shown.shape[1])], titles, (-limit, limit))
    st.markdown(f"**{subject.say('rope')}**")
    layer = _layer(subject, "rope_layer")
    pair = subject.kept("rope", lambda: subject.xray.rotations(subject.ids, layer), layer)
    if pair is None:
        st.info(subject.say("no_rope"))
        return
    turned = np.stack([rotation.turned_by().mean(axis=1) for rotation in pair], axis=1)
    names = (subject.say("query"), subject.say("key"))
    charts.lines(turned, names, (subject.say("position"), subject.say("degrees"), subject.say("vector")))
    frequencies = rotation_frequencies(subject.xray.model)
    _turning(subject, pair[0], frequencies)
    st.markdown(f"**{subject.say('rope_dot')}**")
    _distance(subject, pair[0], frequencies)


def _turning(subject: Subject, queries: Rotation, frequencies: Floats) -> None:
    """One pair of numbers of each query, before and after: points on circles, turned by position."""
    st.markdown(f"**{subject.say('rope_pair')}**")
    number = int(st.slider(subject.say("pair"), 0, len(frequencies) - 1, 0, help=subject.say("pair_help")))
    before, after = (points[-_TURNED:] for points in queries.pair(number, frequencies))
    labels = subject.labels[-_TURNED:]
    kinds = [subject.say("before_rope")] * len(before) + [subject.say("after_rope")] * len(after)
    axes = (subject.say("first_number"), subject.say("second_number"), subject.say("query"))
    charts.scatter(np.concatenate([before, after]), [*labels, *labels], axes, kinds)


def _distance(subject: Subject, queries: Rotation, frequencies: Floats) -> None:
    """The product of the last query with itself, turned to growing distances: nearness is built in."""
    steps = np.arange(64, dtype=np.float32)
    query = queries.before[-1:, :1]
    way = queries.pairs_are_neighbours(frequencies)
    turned = rotate(np.repeat(query, len(steps), axis=0), steps, frequencies, way)
    products = (turned * query).sum(-1) / (query * query).sum(-1)
    titles = (subject.say("distance"), subject.say("product"), subject.say("vector"))
    charts.lines(products.astype(np.float32), [subject.say("query")], titles)


def _layer(subject: Subject, key: str) -> int:
    count = int(subject.xray.model.setting("block_count", 1))
    return int(st.slider(subject.say("layer"), 0, count - 1, 0, key=key))
