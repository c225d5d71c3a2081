"""The charts of the X-ray by themselves: what is drawn has axes, units and a legend, and fits a phone."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from streamlit.testing.v1 import AppTest

from app.widgets.xray_charts import visible
from app.widgets.xray_state import percent


def drawn(script: Callable[[], None]) -> dict[str, Any]:
    page = AppTest.from_function(script).run()
    assert not page.exception
    spec: dict[str, Any] = json.loads(cast(Any, page.get("vega_lite_chart")[0]).proto.spec)
    return spec


def few_columns() -> None:
    import numpy as np

    from app.widgets import xray_charts

    xray_charts.heatmap(np.eye(2, dtype=np.float32), ["a", "b"], ["[1]", "[2]"], ("rows", "columns", "share (0 to 1)"))


def many_columns() -> None:
    import numpy as np

    from app.widgets import xray_charts

    names = [f"{place} token" for place in range(60)]
    weights = np.tril(np.ones((60, 60), dtype=np.float32))
    xray_charts.heatmap(np.where(weights > 0, weights, np.nan), names, names, ("from", "to", "weight"), (0.0, 1.0))


def signed() -> None:
    import numpy as np

    from app.widgets import xray_charts

    values = np.asarray([[-2.0, 3.0]], dtype=np.float32)
    xray_charts.heatmap(values, ["a"], ["b", "c"], ("rows", "columns", "nats"), (-3.0, 3.0))


def counts() -> None:
    from app.widgets import xray_charts

    xray_charts.bars(["a", "b"], [3, 4], ("origin", "tokens"))


def shares() -> None:
    from app.widgets import xray_charts

    xray_charts.bars(["a", "a"], [0.25, 0.5], ("token", "probability"), ("when", ["before", "after"]))


def many_lines() -> None:
    import numpy as np

    from app.widgets import xray_charts

    names = [str(place) for place in range(9)]
    xray_charts.lines(np.ones((4, 9), dtype=np.float32), names, ("layer", "change", "token"), logarithmic=True)


def kinds() -> None:
    import numpy as np

    from app.widgets import xray_charts

    points = np.zeros((2, 2), dtype=np.float32)
    xray_charts.scatter(points, ["a", "a"], ("first", "second", "query"), ["before", "after"])


def test_a_small_map_has_flat_labels_and_all_of_them():
    encoding = drawn(few_columns)["encoding"]
    assert (encoding["x"]["title"], encoding["y"]["title"], encoding["color"]["title"]) == (
        "columns",
        "rows",
        "share (0 to 1)",
    )
    assert (encoding["x"]["axis"]["labelAngle"], encoding["x"]["axis"]["labelOverlap"]) == (0, False)
    assert encoding["color"]["legend"]["gradientLength"] <= 200  # beside long labels on 400 px


def test_a_large_map_turns_and_thins_its_labels():
    spec = drawn(many_columns)
    assert spec["encoding"]["x"]["axis"]["labelAngle"] == -60
    assert spec["encoding"]["x"]["axis"]["labelOverlap"] is True
    assert spec["encoding"]["color"]["scale"]["domain"] == [0, 1]


def test_what_is_0_has_no_colour_on_a_signed_map():
    scale = drawn(signed)["encoding"]["color"]["scale"]
    assert (scale["domain"], scale["domainMid"]) == ([-3, 3], 0)
    assert scale["range"][1].endswith("0.06)")


def test_counts_have_whole_ticks_and_shares_have_not():
    assert drawn(counts)["encoding"]["x"]["axis"]["tickMinStep"] == 1
    encoding = drawn(shares)["encoding"]
    assert "tickMinStep" not in encoding["x"]["axis"]
    assert encoding["yOffset"]["field"] == "series"
    assert encoding["color"]["sort"] == ["before", "after"]


def test_the_legend_of_many_lines_breaks():
    encoding = drawn(many_lines)["encoding"]
    assert encoding["color"]["legend"]["columns"] == 3
    assert encoding["y"]["scale"]["type"] == "log"
    assert encoding["y"]["title"] == "change"


def test_points_of_two_kinds_have_a_legend():
    dots = drawn(kinds)["layer"][0]
    assert dots["encoding"]["color"]["title"] == "query"
    assert dots["encoding"]["color"]["sort"] == ["before", "after"]


@pytest.mark.parametrize(
    ("text", "position", "shown"),
    [(" a", None, "␣a"), ("\n", 3, "3 ⏎"), ("", None, "∅"), ("x" * 40, None, "x" * 16), ("\t", 0, "0 ⇥")],
)
def test_what_cannot_be_seen_is_shown(text: str, position: int | None, shown: str):
    assert visible(text, position) == shown


def test_small_shares_are_said_to_be_small():
    assert [percent(share) for share in (0.0, 1e-9, 0.0001, 0.5)] == ["0.00%", "< 0.01%", "0.01%", "50.00%"]
