"""Models and settings: what runs here, what may be changed, and the doctor."""

from collections.abc import Iterable
from typing import Any

import streamlit as st

from app import container, downloads, session
from app.container import Container
from app.doctor import Check, examine
from app.models_command import EMBEDDED
from app.widgets import changes, jobs
from app.widgets.answer_text import plain_label
from app.widgets.paths import shown_path
from app.widgets.sidebar import model_name
from app.wording import Wording
from inference.devices import device_in
from inference.protocol import ModelInfo

HUBS = {"huggingface": "Hugging Face", "modelscope": "ModelScope"}
_NAMED = ("en", "zh")
_STATE_ICONS = {
    "ok": ":material/check_circle:",
    "optional": ":material/do_not_disturb_on:",
    "missing": ":material/error:",
}
_FIT_COLOURS = {"tight": "orange", "no": "red"}
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
    if session.is_shared():
        st.caption(words("account.by_the_server"))
        return
    _others(box, words)
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
            "writes": _languages(model.languages, words) or "?",
        }
        columns = st.container(horizontal=True, gap="medium")
        for name, value in facts.items():
            with columns.container(width="content", gap=None):
                st.caption(words(f"models.{name}"))
                st.text(value)
        st.caption(plain_label(device_in(model.device, words.language), 200))
        if not session.is_shared():
            st.caption(shown_path(model.path))


def _others(box: Container, words: Wording) -> None:
    """The models that can be had, with what they need; the list is made when it is opened."""
    others = st.expander(words("models.others"), icon=":material/apps:", on_change="rerun", key="other_models")
    job = box.work.latest("download")
    if job is not None and job.is_running:
        jobs.watch(job.id)
    elif job is not None and job.state == "failed":
        st.error(plain_label(job.detail.in_(words.language), 600), icon=":material/error:")
    if not others.open:
        return
    with others:
        found = downloads.command(box.settings, "list")
        st.caption(words("models.others_text", hub=HUBS[box.settings.hub]))
        for model in found["models"]:
            in_use = found["in_use"] in (model["name"], model.get("path"))
            recommended = model["name"] == found["recommended"][words.language]
            with st.container(border=True, gap=None):
                _other(box, model, (in_use, recommended), words)
        _by_name(box, words)


def _other(box: Container, model: dict[str, Any], marks: tuple[bool, bool], words: Wording) -> None:
    in_use, recommended = marks
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain_label(model['name'])}**", width="content")
        if in_use:
            st.badge(words("models.in_use"), color="green")
        elif recommended:
            st.badge(words("models.recommended"), color="blue")
        if "fit" in model and model["fit"] != "fits":
            st.badge(words(f"models.fit_{model['fit']}"), color=_FIT_COLOURS[model["fit"]])  # type: ignore[arg-type]
        st.space("stretch")
        if not in_use:
            _get_or_use(box, model, words)
    needs = words("models.needs", size=f"{model.get('needs_gigabytes', 0):.1f}")
    facts = [f"{model.get('gigabytes', 0):.1f} GB", needs, _languages(model["languages"], words), str(model["licence"])]
    st.caption(plain_label(" · ".join(facts), 200))


def _languages(known: Iterable[str], words: Wording) -> str:
    comma = "、" if words.language == "zh" else ", "
    return comma.join(words(f"models.language_{name}") if name in _NAMED else name for name in known)


def _get_or_use(box: Container, model: dict[str, Any], words: Wording) -> None:
    name = model["name"]
    if not model.get("path"):
        if st.button(words("models.download"), icon=":material/download:", key=f"get_{name}", type="tertiary"):
            _start_download(box, name, int(model["gigabytes"] * 1e9))
        return
    if st.button(words("models.use"), key=f"use_{name}", type="tertiary"):
        changes.make(lambda: container.adopt({"model": "" if name == EMBEDDED else model["path"]}), words)
    if name != EMBEDDED:
        with st.popover(":material/delete:", type="tertiary", help=words("models.remove")):
            if st.button(words("models.remove"), key=f"remove_{name}"):
                changes.make(lambda: downloads.command(box.settings, "remove", name), words)


def _by_name(box: Container, words: Wording) -> None:
    with st.form("model_by_name", border=False, clear_on_submit=True):
        name = st.text_input(words("models.by_name"), placeholder="owner/name", help=words("models.by_name_help"))
        if st.form_submit_button(words("models.download"), icon=":material/download:") and name.strip():
            _start_download(box, name.strip(), 0)


def _start_download(box: Container, name: str, size: int) -> None:
    box.work.start("download", name, {"name": name, "bytes": size})
    st.rerun()


def _settings(box: Container, words: Wording) -> None:
    st.subheader(words("settings.title"))
    settings = box.settings
    with st.form("settings", border=True):
        changed: dict[str, Any] = {
            name: st.text_input(
                words(f"settings.{name}"),
                getattr(settings, name),
                placeholder=words(f"settings.{name}_embedded"),
                help=words(f"settings.{name}_help"),
            )
            for name in ("model", "encoder")
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
    st.caption(words("settings.file", path=shown_path(settings.paths.settings_file)))


def _save(box: Container, changed: dict[str, Any], words: Wording) -> None:
    different = {name: value for name, value in changed.items() if value != getattr(box.settings, name)}
    if not different:
        return
    changes.make(lambda: container.adopt(different), words)


def _doctor(words: Wording) -> None:
    st.subheader(words("doctor.title"))
    st.write(words("doctor.text"))
    if st.button(words("doctor.run"), icon=":material/stethoscope:", key="doctor"):
        # The model is loaded in this very process already; a second copy would only take its memory.
        for check in examine(session.container().settings, load_model=False):
            _check(check, words)


def _check(check: Check, words: Wording) -> None:
    said = plain_label(
        " ".join(told for part in (check.detail, check.remedy) if (told := part.in_(words.language))), 300
    )
    icon, colour = _STATE_ICONS[check.state], _STATE_COLOURS[check.state]
    st.markdown(f":{colour}[{icon}] **{plain_label(check.name.in_(words.language))}**  {said}")
