"""Makes the citation chips and copy buttons inside an answer's text answer to a click.

The text itself is drawn by `st.html`, which removes scripts; this component, our own code only, listens beside it.
"""

import streamlit as st

from app import session

_SCRIPT = """
export default function({ data, setTriggerValue }) {
  const chips = document.querySelectorAll(`.ff-cite[data-cite^="${data.answer}:"]`);
  const open = (event) => setTriggerValue("cited", event.currentTarget.dataset.cite);
  chips.forEach((chip) => { chip.onclick = open; });
  return () => chips.forEach((chip) => { chip.onclick = null; });
}
"""


def listen(answer_id: str) -> None:
    """Open the source of a chip of this answer when it is clicked."""
    listener = st.components.v2.component("fourfold_listener", js=_SCRIPT)
    key = f"listener_{answer_id}"

    def opened() -> None:
        clicked = str(st.session_state[key].cited or "")
        number = clicked.rpartition(":")[2]
        # The value comes from the browser: only a number of this answer is followed.
        if clicked == f"{answer_id}:{number}" and number.isdigit():
            session.open_panel("source", answer_id, int(number))

    listener(key=key, data={"answer": answer_id}, on_cited_change=opened, height=1)
