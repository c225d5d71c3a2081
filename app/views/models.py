"""Models and settings: what runs here, what may be changed, and the doctor."""

from typing import Any

import streamlit as st

from app import container, session
from app.container import Container
from app.doctor import Check, examine
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.errors import SettingError
from inference.protocol import ModelInfo

_STATE_ICONS = {
    "ok": ":material/check_circle:",
    "optional": ":material/do_not_disturb_on:",
    "missing": ":material/error:",
}
_STATE_COLOURS = {"ok": "green", "optional": "gray", "missing": "red"}


def draw() -> None:
    """Draw the page."""
    words, box = session.words(), session.container()
    st.title(words("models.title"), anchor=False)
    if box.model is not None:
        _model(box.model, words)
    elif box.problem is not None:
        st.error(plain_label(box.problem.in_(words.language), 600), icon=":material/error:")
    else:
        st.caption(":material/hourglass_top: " + words("model.loading"))
    _settings(box, words)
    _doctor(words)


def _model(model: ModelInfo, words: Wording) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain_label(model_name(model), 80)}**")
        facts = {
            "parameters": f"{model.n_parameters / 1e6:,.0f} M",
            "quantisation": model.quantisation,
            "context": words("models.of_tokens", used=f"{model.n_ctx:,}", trained=f"{model.n_ctx_train:,}"),
            "layers": f"{model.gpu_layers}/{model.n_layers}",
            "writes": ", ".join(model.languages) or "?",
        }
        columns = st.container(horizontal=True, gap="medium")
        for name, value in facts.items():
            with columns.container(width="content", gap=None):
                st.caption(words(f"models.{name}"))
                st.text(value)
        st.caption(plain_label(model.device, 200))
        st.caption(plain_label(model.path, 200))


def model_name(model: ModelInfo) -> str:
    """The file's name is what a person chose and knows; names inside GGUF files are often leftovers of training."""
    stem = model.path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gguf")
    return stem or model.name


def _settings(box: Container, words: Wording) -> None:
    st.subheader(words("settings.title"))
    settings = box.settings
    with st.form("settings", border=True):
        changed: dict[str, Any] = {
            "model": st.text_input(words("settings.model"), settings.model, help=words("settings.model_help")),
            "encoder": st.text_input(words("settings.encoder"), settings.encoder, help=words("settings.encoder_help")),
        }
        left, right = st.columns(2)
        with left:
            changed["n_ctx"] = st.number_input(words("settings.n_ctx"), 256, 1_048_576, settings.n_ctx, step=256)
            changed["temperature"] = st.number_input(words("settings.temperature"), 0.0, 5.0, settings.temperature)
        with right:
            changed["max_tokens"] = st.number_input(words("settings.max_tokens"), 1, 131_072, settings.max_tokens)
            changed["top_k"] = st.number_input(words("settings.top_k"), 1, 100, settings.top_k)
        if st.form_submit_button(words("settings.save"), type="primary"):
            _save(box, changed, words)
    st.caption(words("settings.file", path=plain_label(str(settings.paths.settings_file), 200)))


def _save(box: Container, changed: dict[str, Any], words: Wording) -> None:
    different = {name: value for name, value in changed.items() if value != getattr(box.settings, name)}
    if not different:
        return
    try:
        container.adopt(different)
    except SettingError as error:
        st.error(plain_label(error.message.in_(words.language), 400))
        return
    st.rerun()


def _doctor(words: Wording) -> None:
    st.subheader(words("doctor.title"))
    st.write(words("doctor.text"))
    if st.button(words("doctor.run"), icon=":material/stethoscope:", key="doctor"):
        # The model is loaded in this very process already; a second copy would only take its memory.
        for check in examine(session.container().settings, load_model=False):
            _check(check, words)


def _check(check: Check, words: Wording) -> None:
    said = plain_label(" ".join(part for part in (check.detail, check.remedy.in_(words.language)) if part), 300)
    icon, colour = _STATE_ICONS[check.state], _STATE_COLOURS[check.state]
    st.markdown(f":{colour}[{icon}] **{plain_label(check.name.in_(words.language))}**  {said}")
