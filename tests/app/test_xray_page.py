"""The X-ray page over the real model: every part draws, in both languages, and no chart lacks axis, unit or legend."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from app import container
from app.container import Container, Parts
from app.widgets.xray_text import WORDS
from core.config import Settings
from core.language import Language
from inference.runtime import open_engine
from interpretability.plain import keep_xray
from interpretability.tour import TOUR
from interpretability.xray import OPERATIONS
from orchestrator.serialise import to_json
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from tests.app.fake_parts import ANSWER, ScriptedAssistant, container_over, ending, opening
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


def whole_specs(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(cast(Any, item).proto.spec) for item in page.get("vega_lite_chart")]


def rows(page: AppTest) -> list[list[dict[str, Any]]]:
    """What each chart shows: its rows, as the browser gets them; numbers to the digits that a stored X-ray keeps."""
    sent = [cast(Any, item).proto.datasets[0].data.data for item in page.get("vega_lite_chart")]
    found = [convert_arrow_bytes_to_pandas_df(data).to_dict("records") for data in sent]
    return [[{**row, "value": float(f"{row['value']:.4g}")} for row in chart] for chart in found]


def specs(page: AppTest) -> list[dict[str, Any]]:
    return [layer for spec in whole_specs(page) for layer in spec.get("layer", [spec]) if "color" in layer["encoding"]]


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


def press(page: AppTest, word: str) -> AppTest:
    return next(button for button in page.button if button.label == WORDS[word].en).click().run()


def test_the_loop_goes_on_branches_and_comes_back(box: Container):
    page = press(opened("en", "loop"), "step")
    assert page.code[0].value.strip() == "Paris"
    page = press(page, "play")
    played = page.code[0].value
    assert len(page.session_state["xray_branch"].steps) == 11
    page.button_group[0].set_value(0).run()  # look back at the first step
    page.selectbox[0].select_index(1).run()
    page = press(page, "branch")
    assert page.code[0].value.strip() == "the"
    left = next(button for button in page.button if button.key == "other_branch_0")
    assert left.label.startswith("Paris")
    left.click().run()
    assert page.code[0].value == played
    assert len(page.session_state["xray_branches"]) == 1
    page = press(page, "rewind")
    assert len(page.session_state["xray_branch"].steps) == 10
    page = press(page, "restart")
    assert not page.code
    assert not page.exception


def test_a_chat_turn_is_billed_by_origin(box: Container):
    page = opened("en", "tokens")
    page.toggle[0].set_value(True)
    press(page, "run")
    assert not page.exception
    bill = next(chart for chart in rows(page) if {row.get("label") for row in chart} >= {"question"})
    origins = {row["label"]: row["value"] for row in bill}
    assert origins["question"] == 5
    assert origins["template"] > 5
    assert sum(origins.values()) == int(page.metric[0].value)
    price = page.metric[-1]
    page.number_input[0].set_value(10.0).run()
    assert page.metric[-1].value != price.value


def test_an_adapter_is_switched_on_and_off(box: Container):
    page = opened("en", "compare")
    choice = next(one for one in page.selectbox if one.label == WORDS["adapter_on"].en)
    assert choice.options == ["grounded", "tools"]
    assert choice.value is None
    before = len(whole_specs(page))
    choice.select_index(0).run()
    assert not page.exception
    assert len(whole_specs(page)) == before + 2  # per layer, and in the output
    assert len({code.value for code in page.code[:2]}) == 2  # it goes on otherwise


def test_steering_moves_with_its_slider(box: Container):
    page = opened("en", "compare")
    slider = next(one for one in page.slider if one.label == WORDS["strength"].en)
    moved = next(text.value for text in page.caption if "bits (KL)" in text.value)
    slider.set_value(0.0).run()
    assert not page.exception
    still = next(text.value for text in page.caption if "bits (KL)" in text.value)
    assert "0.000 bits" in still
    assert still != moved


def test_a_second_model_and_one_that_is_not_there(box: Container):
    page = opened("en", "compare")
    field = next(one for one in page.text_input if one.label == WORDS["other_model"].en)
    field.set_value("/nowhere/model.gguf").run()
    assert not page.exception
    assert "model.gguf" in page.error[0].value
    path = box.parts().engine.info.path
    next(one for one in page.text_input if one.label == WORDS["other_model"].en).set_value(path).run()
    assert not page.exception
    assert not page.error
    assert sum("0.000 bits" in text.value for text in page.caption) == 1


def test_leaving_out_names_the_passage(box: Container):
    page = opened("en", "passages")
    page = press(page, "find_out")
    assert not page.exception
    assert page.success[0].value == WORDS["used_passage"].en.format(n=1)


def past_answer(box: Container, **completed: Any) -> str:
    """A RAG answer of the past, in the history of the container; its id."""
    history = box.history
    question = history.add_question(history.create("x").id, "How tall?")
    answer = history.begin_answer(question.id)
    events = [to_json(event) for event in (*opening(), replace(ending(ANSWER), **completed))]
    history.finish_answer(answer.id, ANSWER, "done", {"events": events})
    return answer.id


@pytest.fixture
def answer_id(box: Container) -> str:
    return past_answer(box)


def test_an_answer_is_explained_with_the_adapter_that_gave_it(box: Container):
    plain = press(opened("en", "passages", past_answer(box)), "find_out")
    with_it = press(opened("en", "passages", past_answer(box, adapter="grounded")), "find_out")
    assert WORDS["with_its_adapter"].en.format(name="grounded") in [text.value for text in with_it.caption]
    assert rows(with_it)[0] != rows(plain)[0]
    gone = opened("zh", "tokens", past_answer(box, adapter="gone", kind="extractive"))
    assert gone.warning[0].value == WORDS["adapter_gone"].zh.format(name="gone")
    assert WORDS["extracted"].zh in [text.value for text in gone.caption]


def test_an_answer_of_the_past_is_explained_kept_and_reopened(box: Container, answer_id: str):
    page = press(opened("en", "passages", answer_id), "find_out")
    assert not page.exception
    assert page.success[0].value == WORDS["used_passage"].en.format(n=1)
    before = rows(page)
    page = press(page, "keep")
    assert (box.settings.paths.home / "xrays" / f"{answer_id}.json").is_file()
    again = opened("en", "passages", answer_id)  # another visit: nothing is computed
    assert WORDS["reopened"].en in [text.value for text in again.caption]
    assert rows(again) == before
    page = press(again, "forget")
    assert not (box.settings.paths.home / "xrays" / f"{answer_id}.json").exists()
    assert WORDS["find_out"].en in [button.label for button in page.button]


def test_what_was_stored_goes_with_its_answer(box: Container, answer_id: str):
    folder = box.settings.paths.home / "xrays"
    keep_xray(folder, "gone", {"answer": "x"})
    press(press(opened("en", "passages", answer_id), "find_out"), "keep")
    assert [path.stem for path in folder.glob("*.json")] == [answer_id]


def test_attention_of_an_answer_begins_with_passages(box: Container, answer_id: str):
    page = opened("zh", "attention", answer_id)
    assert not page.exception
    assert WORDS["pick_cell"].zh in [text.value for text in page.caption]
    encoding = whole_specs(page)[0]["encoding"]
    assert (encoding["x"]["title"], encoding["y"]["title"]) == (WORDS["passage"].zh, WORDS["sentence"].zh)


class MovedLibrary:
    """An engine whose llama.cpp no longer shows its inside: tensors are gone, logits are left."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def call(self, operation: str, params: Any) -> Any:
        if operation.endswith(":self_check"):
            return {"logits": True, "hidden": False, "attention": False, "reason": "other names"}, {}
        values, arrays = self._engine.call(operation, params)
        return values, {} if "rope" in params else arrays


@pytest.mark.parametrize("part", ["positions", "attention", "layers", "compare", "passages"])
def test_a_library_that_has_moved_leaves_a_page_with_a_notice(box: Container, part: str):
    parts = box.parts()
    moved = replace(parts, engine=cast(Any, MovedLibrary(parts.engine)))
    container.share(Container(box.settings, lambda _: moved).start())
    container.shared().parts()
    page = opened("zh", part)
    assert not page.exception
    assert "other names" in page.warning[0].value
    shown = WORDS["only_output"].zh in [text.value for text in page.info]
    assert shown is (part in ("attention", "layers", "compare"))


def test_a_slider_moves_the_draw_without_the_model(box: Container):
    page = opened("en", "sampling")
    assert "Paris" in page.success[0].value
    temperature = next(slider for slider in page.slider if slider.label == WORDS["temperature"].en)
    temperature.set_value(0.0).run()
    assert not page.exception
    assert page.dataframe[0].value.iloc[-1, 1] == 1
