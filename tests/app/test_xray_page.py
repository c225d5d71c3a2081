"""The X-ray page over the real model: every part draws, in both languages, and no chart lacks axis, unit or legend."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from streamlit.testing.v1 import AppTest

from app import container
from app.container import Container, Parts
from app.widgets.xray_text import WORDS
from core.config import Settings
from core.language import Language
from inference.runtime import open_engine
from interpretability.tour import TOUR
from interpretability.xray import OPERATIONS
from tests.app.fake_parts import ScriptedAssistant, container_over

PARTS = ("tokens", "embeddings", "positions", "attention", "layers", "sampling", "loop", "compare", "dog", "parameters")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_engine(Settings(home=tmp_path_factory.mktemp("home"), n_ctx=512), extensions=(OPERATIONS,))
    yield opened
    opened.close()


@pytest.fixture
def box(engine: Any) -> Iterator[Container]:
    scripted = container_over(Settings(), ScriptedAssistant())
    build = scripted._build

    def with_model(settings: Settings) -> Parts:
        parts = build(settings)
        return Parts(engine, parts.library, parts.assistant, parts.registry)

    made = Container(Settings(), with_model).start()
    made.parts()
    container.share(made)
    yield made
    # The engine is the module's: only what belongs to this test is closed.
    made.runs.cancel_all()


def opened(language: Language, part: str, answer: str = "") -> AppTest:
    def script() -> None:
        from app.views import xray

        xray.draw()

    page = AppTest.from_function(script, default_timeout=120)
    page.session_state["language"] = language
    if answer:
        page.query_params["answer"] = answer
    page.session_state[f"xray_tabs_{language}_{answer}"] = WORDS[f"tab_{part}"].in_(language)
    return page.run()


def specs(page: AppTest) -> list[dict[str, Any]]:
    found = [json.loads(cast(Any, item).proto.spec) for item in page.get("vega_lite_chart")]
    return [layer for spec in found for layer in spec.get("layer", [spec]) if "color" in layer["encoding"]]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("part", PARTS)
def test_every_part_draws_with_axes_units_and_legend(box: Container, language: Language, part: str):
    page = opened(language, part)
    assert not page.exception
    stop = next(stop for stop in TOUR if stop.key == part)
    assert stop.sentence.in_(language) in [text.value for text in page.markdown]
    charts = specs(page)
    assert charts or part == "loop"
    for spec in charts:
        axes = [spec["encoding"].get(axis, {}) for axis in ("x", "y")]
        assert all(axis.get("title") for axis in axes if "type" in axis), spec["encoding"]
        colour = spec["encoding"]["color"]
        assert "legend" in colour or "title" in colour or "condition" in colour


def test_a_remote_model_is_told_apart(box: Container):
    container.share(container_over(Settings(), ScriptedAssistant()).start())
    page = opened("en", "tokens")
    assert not page.exception
    assert page.info[0].value == WORDS["not_local"].en


def test_the_loop_goes_on_and_back(box: Container):
    page = opened("en", "loop")
    page.button[1].click().run()
    assert page.code[0].value.strip() == "Paris"
    assert [selectbox.label for selectbox in page.selectbox] == [WORDS["candidates"].en]
    page.selectbox[0].select_index(1).run()
    page.button[-1].click().run()
    assert page.code[0].value.strip() == "the"
    back = next(button for button in page.button if button.label == WORDS["rewind"].en)
    back.click().run()
    assert not page.code


def test_leaving_out_names_the_passage(box: Container):
    page = opened("en", "passages")
    page.button[-1].click().run()
    assert not page.exception
    assert page.success[0].value == WORDS["used_passage"].en.format(n=1)


def test_a_slider_moves_the_draw_without_the_model(box: Container):
    page = opened("en", "sampling")
    assert "Paris" in page.success[0].value
    temperature = next(slider for slider in page.slider if slider.label == WORDS["temperature"].en)
    temperature.set_value(0.0).run()
    assert not page.exception
    assert page.dataframe[0].value.iloc[-1, 1] == 1
