"""The tools: what a model may call, what each may do, and a form to call it by hand."""

from typing import Any

import streamlit as st

from app import session
from app.widgets import jobs, tool_form
from app.widgets.answer_text import message_label, plain_label
from app.widgets.approval import RISK_COLOURS
from app.widgets.paths import shown_path
from app.wording import Wording
from core.types import Scope, ToolCall
from tools.base import ToolEntry
from tools.registry import ToolRegistry


def draw() -> None:
    """Draw the page."""
    words, box = session.words(), session.container()
    st.title(words("tools.title"), anchor=False)
    st.write(words("tools.text"))
    if box.problem is not None:
        st.error(plain_label(box.problem.in_(words.language), 600), icon=":material/error:")
        return
    if not box.is_built:
        jobs.wait_for_parts(words("model.loading"))
        return
    registry = box.parts().registry
    scope = Scope(collection=session.collection())
    for entry in registry.all(scope):
        _tool(entry, registry, words)
    if session.is_shared():
        # Tools of one's own run code with the rights of the server.
        return
    st.subheader(words("tools.yours"))
    st.caption(words("tools.folder", path=shown_path(box.settings.paths.user_tools)))
    if st.button(words("tools.reload"), icon=":material/refresh:"):
        registry.reload()
    for problem in registry.problems:
        st.warning(message_label(f"{problem.origin}: {problem.message.in_(words.language)}", 400))


def _tool(entry: ToolEntry, registry: ToolRegistry, words: Wording) -> None:
    label = f"**{plain_label(entry.title.in_(words.language))}** · {plain_label(entry.name)}"
    card = st.expander(label, key=f"tool_{entry.name}", on_change="rerun")
    if not card.open:
        # Two dozen forms at once would take longer to draw than any page should.
        return
    with card:
        st.badge(words(f"risk.{entry.risk}"), color=RISK_COLOURS[entry.risk])  # type: ignore[arg-type]
        st.write(plain_label(entry.description.in_(words.language), 500))
        if entry.origin != "built-in":
            st.caption(shown_path(entry.origin))
        with st.form(f"try_{entry.name}", border=False):
            arguments = tool_form.draw(entry.parameters, f"argument_{entry.name}")
            label = words("tools.run_approved" if entry.needs_approval else "tools.run")
            if st.form_submit_button(label, icon=":material/play_arrow:"):
                _run(entry, registry, arguments)


def _run(entry: ToolEntry, registry: ToolRegistry, arguments: dict[str, Any]) -> None:
    outcome = registry.executor((entry,)).run(ToolCall("by-hand", entry.name, arguments), approved=True)
    (st.error if outcome.failure else st.code)(plain_label(outcome.text, 2000) if outcome.failure else outcome.text)
