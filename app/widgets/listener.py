"""Makes the citation chips and the copy button of an answer answer to a click, and one key lead to the search.

The text itself is drawn by `st.html`, which removes scripts; this component, our own code only, listens beside it.
"""

import streamlit as st

from app import session

_SCRIPT = """
export default function({ data, setTriggerValue }) {
  const chips = document.querySelectorAll(`.ff-cite[data-cite^="${data.answer}:"]`);
  const open = (event) => setTriggerValue("cited", event.currentTarget.dataset.cite);
  chips.forEach((chip) => { chip.onclick = open; });
  const copies = document.querySelectorAll(`.ff-copy[data-copy="${data.answer}"]`);
  copies.forEach((button) => {
    const sign = button.textContent;
    button.onclick = async () => {
      await navigator.clipboard.writeText(data.text);
      button.textContent = "check";
      setTimeout(() => { button.textContent = sign; }, 1200);
    };
  });
  return () => [...chips, ...copies].forEach((one) => { one.onclick = null; });
}
"""

_SEARCH_SCRIPT = """
export default function() {
  const focus = (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "k") {
      const field = document.querySelector(".st-key-conversation_search input");
      if (field) { event.preventDefault(); field.focus(); }
    }
  };
  document.addEventListener("keydown", focus);
  return () => document.removeEventListener("keydown", focus);
}
"""


def listen_for_search() -> None:
    """Ctrl+K (or Cmd+K) puts the cursor into the search of conversations."""
    st.components.v2.component("fourfold_search_key", js=_SEARCH_SCRIPT)(key="search_key", height=1)


def listen(answer_id: str, text: str) -> None:
    """Open the source of a chip of this answer when it is clicked; copy `text` where its copy button is."""
    listener = st.components.v2.component("fourfold_listener", js=_SCRIPT)
    key = f"listener_{answer_id}"

    def opened() -> None:
        clicked = str(st.session_state[key].cited or "")
        number = clicked.rpartition(":")[2]
        # The value comes from the browser: only a number of this answer is followed.
        if clicked == f"{answer_id}:{number}" and number.isdigit():
            session.open_panel("source", answer_id, int(number))

    listener(key=key, data={"answer": answer_id, "text": text}, on_cited_change=opened, height=1)
