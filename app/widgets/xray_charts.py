"""The charts of the X-ray: every one has axes, units and a legend; no numbers are computed here."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import streamlit as st

from interpretability.model_file import Floats

ROW_HEIGHT = 22
DENSE_ROW_HEIGHT = 13
GREEN = "#1d8c6c"
# Little is nearly transparent: what is 0 recedes into the page, on white and on black alike.
_RANGE: Final = ["rgba(29, 140, 108, 0.06)", "rgba(29, 140, 108, 1)"]
_SERIES: Final = [GREEN, "#c98a2b", "#6a5acd", "#5b8def"]
_DIVERGING: Final = ["rgba(123, 79, 163, 1)", "rgba(128, 128, 128, 0.06)", "rgba(29, 140, 108, 1)"]
_MAX_CELLS = 20_000
_FLAT_CHARACTERS = 36  # of all column labels together: they fit side by side on a phone
_ALL_LABELS = 30
# Long labels and legends must leave room for the picture on a phone.
_ROW_AXIS: Final = alt.Axis(labelLimit=120, labelFlush=False)
_GRADIENT: Final = alt.Legend(orient="top", gradientLength=160)


def visible(text: str, position: int | None = None) -> str:
    """A token as a label: blanks and line ends shown, its position before it so that equal tokens stay apart."""
    shown = text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")[:16] or "∅"
    return shown if position is None else f"{position} {shown}"


def _table(columns: Mapping[str, Sequence[object]]) -> alt.InlineData:
    """Columns of equal length as rows that the chart carries within itself."""
    return alt.InlineData(values=[dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


def _column_axis(columns: Sequence[str]) -> alt.Axis:
    """Labels lie flat where they are short and few, and none is dropped while there is room for all."""
    longest = max((len(column) for column in columns), default=0)
    flat = longest * len(columns) <= _FLAT_CHARACTERS
    dropped = len(columns) > _ALL_LABELS
    return alt.Axis(labelAngle=0 if flat else -60, labelLimit=90, labelFlush=False, labelOverlap=dropped)


def heatmap(
    matrix: Floats,
    rows: Sequence[str],
    columns: Sequence[str],
    titles: tuple[str, str, str],
    domain: tuple[float, float] | None = None,
    pick: str = "",
) -> tuple[str, str] | None:
    """A matrix (rows, columns) as colours. `titles`: of the rows, of the columns, of the value with its unit.

    With `pick`, a key for the chart, cells answer to clicks: the (row, column) of the one clicked last is returned.
    """
    # What has no value, such as attention to the future, stays empty.
    if matrix.size > _MAX_CELLS:
        matrix, rows, columns = matrix[-100:, -200:], rows[-100:], columns[-200:]
    places = [(int(row), int(column)) for row, column in np.argwhere(np.isfinite(matrix))]
    cells = _table(
        {
            "row": [rows[row] for row, _ in places],
            "column": [columns[column] for _, column in places],
            "value": [float(matrix[place]) for place in places],
        }
    )
    diverging = domain is not None and domain[0] < 0
    limits = list(domain) if domain else alt.Undefined
    if diverging:
        scale = alt.Scale(range=_DIVERGING, domain=limits, domainMid=0)
    else:
        scale = alt.Scale(range=_RANGE, domain=limits)
    chart = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("column:N", sort=list(columns), title=titles[1], axis=_column_axis(columns)),
            y=alt.Y("row:N", sort=list(rows), title=titles[0], axis=_ROW_AXIS),
            color=alt.Color("value:Q", title=titles[2], scale=scale, legend=_GRADIENT),
            tooltip=[
                alt.Tooltip("row:N", title=titles[0]),
                alt.Tooltip("column:N", title=titles[1]),
                alt.Tooltip("value:Q", title=titles[2], format=".4f"),
            ],
        )
        .properties(height=alt.Step(ROW_HEIGHT if len(rows) <= 30 else DENSE_ROW_HEIGHT))
    )
    if not pick:
        st.altair_chart(chart, width="stretch")
        return None
    cell = alt.selection_point(name="cell", fields=["row", "column"])
    state: Any = st.altair_chart(chart.add_params(cell), width="stretch", key=pick, on_select="rerun")
    chosen = state["selection"].get("cell", [])
    return (str(chosen[0]["row"]), str(chosen[0]["column"])) if chosen else None


def _value_axis(values: Sequence[float]) -> alt.Axis:
    """Few ticks; whole numbers where only whole numbers are drawn."""
    counted = all(float(value).is_integer() for value in values)
    return alt.Axis(tickCount=6, tickMinStep=1 if counted else alt.Undefined)


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    titles: tuple[str, str],
    series: tuple[str, Sequence[str]] | None = None,
) -> None:
    """Bars in the order given. `titles`: of the labels, of the value with its unit; `series`: (title, names)."""
    unique = list(dict.fromkeys(labels))
    table = _table(
        {
            "label": list(labels),
            "value": [float(value) for value in values],
            "series": list(series[1]) if series else [titles[1]] * len(labels),
        }
    )
    encoding: dict[str, object] = {
        "y": alt.Y("label:N", sort=unique, title=titles[0], axis=_ROW_AXIS),
        "x": alt.X("value:Q", title=titles[1], axis=_value_axis(values)),
        "color": alt.Color(
            "series:N",
            sort=list(dict.fromkeys(series[1])) if series else None,
            title=series[0] if series else None,
            scale=alt.Scale(range=_SERIES),
            legend=alt.Legend(orient="top"),
        ),
        "tooltip": [
            alt.Tooltip("label:N", title=titles[0]),
            alt.Tooltip("series:N", title=series[0] if series else titles[1]),
            alt.Tooltip("value:Q", title=titles[1], format=".4f"),
        ],
    }
    if series:
        encoding["yOffset"] = alt.YOffset("series:N", sort=list(dict.fromkeys(series[1])))
    height = alt.Step(ROW_HEIGHT * (1.4 if series else 1), **{"for": "position"})
    st.altair_chart(alt.Chart(table).mark_bar().encode(**encoding).properties(height=height), width="stretch")


def lines(
    values: Floats, names: Sequence[str], titles: tuple[str, str, str], first: int = 0, logarithmic: bool = False
) -> None:
    """One line per column of `values` (points, series). `titles`: of the x axis, of the value (unit), of the series."""
    table = _table(
        {
            "x": [first + point for point in range(len(values)) for _ in names],
            "series": [name for _ in range(len(values)) for name in names],
            "value": values.astype(float).ravel().tolist(),
        }
    )
    chart = (
        alt.Chart(table)
        .mark_line(point=len(values) < 60)
        .encode(
            x=alt.X("x:Q", title=titles[0], axis=alt.Axis(tickMinStep=1)),
            y=alt.Y(
                "value:Q",
                title=titles[1],
                scale=alt.Scale(type="log" if logarithmic else "linear"),
                axis=alt.Axis(tickCount=6),
            ),
            color=alt.Color(
                "series:N",
                sort=list(names),
                title=titles[2],
                scale=alt.Scale(range=_SERIES) if len(names) <= len(_SERIES) else alt.Undefined,
                legend=alt.Legend(orient="top", columns=3),
            ),
            tooltip=[
                alt.Tooltip("series:N", title=titles[2]),
                alt.Tooltip("x:Q", title=titles[0]),
                alt.Tooltip("value:Q", title=titles[1], format=".4f"),
            ],
        )
        .properties(height=320)
    )
    st.altair_chart(chart, width="stretch")


def scatter(
    points: Floats, labels: Sequence[str], titles: tuple[str, str, str], kinds: Sequence[str] | None = None
) -> None:
    """Labelled points (n, 2). `titles`: of both axes, of the legend; `kinds` colour the points, one name each."""
    x, y = points.astype(float).T.tolist()
    named = list(kinds) if kinds else [titles[2]] * len(labels)
    table = _table({"x": x, "y": y, "label": list(labels), "kind": named})
    base = alt.Chart(table).encode(x=alt.X("x:Q", title=titles[0]), y=alt.Y("y:Q", title=titles[1]))
    dots = base.mark_circle(size=60).encode(
        color=alt.Color(
            "kind:N",
            title=titles[2] if kinds else None,
            sort=list(dict.fromkeys(named)),
            scale=alt.Scale(range=_SERIES),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=[alt.Tooltip("label:N", title=titles[2])],
    )
    names = base.mark_text(dx=8, align="left", color="gray").encode(text="label:N")
    st.altair_chart((dots + names).properties(height=360), width="stretch")


def lens_grid(
    words: Sequence[Sequence[str]],
    chances: Floats,
    rows: Sequence[str],
    columns: Sequence[str],
    titles: tuple[str, str, str],
) -> None:
    """The logit lens: a word in each cell, coloured by its probability. Rows are layers, columns tokens."""
    table = _table(
        {
            "row": [row for row in rows for _ in columns],
            "column": [column for _ in rows for column in columns],
            "word": [word for line in words for word in line],
            "value": chances.astype(float).ravel().tolist(),
        }
    )
    base = alt.Chart(table).encode(
        x=alt.X("column:N", sort=list(columns), title=titles[1], axis=_column_axis(columns)),
        y=alt.Y("row:N", sort=list(rows), title=titles[0], axis=_ROW_AXIS),
    )
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", title=titles[2], scale=alt.Scale(range=_RANGE, domain=[0, 1]), legend=_GRADIENT),
        tooltip=[
            alt.Tooltip("row:N", title=titles[0]),
            alt.Tooltip("column:N", title=titles[1]),
            alt.Tooltip("word:N"),
            alt.Tooltip("value:Q", title=titles[2], format=".3f"),
        ],
    )
    text = base.mark_text(fontSize=10).encode(
        text="word:N", color=alt.condition("datum.value > 0.5", alt.value("white"), alt.value("gray"))
    )
    st.altair_chart((cells + text).properties(height=alt.Step(ROW_HEIGHT)), width="stretch")
