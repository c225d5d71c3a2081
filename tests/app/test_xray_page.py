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
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from tests.app.fake_parts import ScriptedAssistant, container_over
from tools.library_parts import library_parts
from tools.registry import ToolRegistry

PARTS = ("tokens", "embeddings", "positions", "attention", "layers", "sampling", "loop", "compare", "dog", "parameters")


# A machine busy with other work needs minutes for what takes a second; nothing here asserts a time.
PATIENCE = 900


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"), n_ctx=512)


@pytest.fixture(scope="module")
def with_model(settings: Settings) -> Iterator[Container]:
    """The container of the tests with the real model in the place of the scripted one."""
    engine = open_engine(settings, extensions=(OPERATIONS,))
    library = Library(settings, HashEmbedder())
    registry = ToolRegistry(settings, library_parts(library))
    parts = Parts(engine, library, cast(Any, ScriptedAssistant()), registry)
    made = Container(settings, lambda _: parts).start()
    made.parts()
    yield made
    engine.close()


@pytest.fixture
def box(with_model: Container) -> Container:
    container.share(with_model)
    return with_model


def opened(language: Language, part: str, answer: str = "") -> AppTest:
    def script() -> None:
        from app.views import xray

        xray.draw()

    page = AppTest.from_function(script, default_timeout=PATIENCE)
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


def test_a_remote_model_is_told_apart(settings: Settings):
    container.share(container_over(settings, ScriptedAssistant()).start())
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
