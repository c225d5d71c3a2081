"""The page: Streamlit runs this script anew at every interaction."""

import importlib
from collections.abc import Callable

import streamlit as st

from app import session, theme
from app.views import chat
from app.widgets import account, jobs, native_words, sidebar

# name of the view -> icon, in the order of the sidebar; each is imported when it is opened for the first time.
PAGES = {
    "documents": ":material/folder_open:",
    "compare": ":material/compare:",
    "prompts": ":material/science:",
    "tools": ":material/build:",
    "finetune": ":material/tune:",
    "exam": ":material/checklist:",
    "xray": ":material/radiology:",
    "models": ":material/memory:",
}
# Pages that put things side by side take the width that there is.
SIDE_BY_SIDE = ("compare", "prompts", "exam")


def main() -> None:
    """Draw the sidebar and the page that is chosen; to a stranger, only the way in."""
    if not account.is_admitted():
        return
    words = session.words()
    # Pictures of our own: an icon by name would be fetched from a font server.
    st.set_page_config(page_title="Fourfold", page_icon=str(theme.BRAND), layout="centered")
    st.logo(theme.WORDMARK, icon_image=theme.BRAND, size="large")
    st.html(theme.STYLE)
    if words.language == "zh":
        st.html(theme.CHINESE_MARKS)
    pages = {"chat": st.Page(chat.draw, title=words("nav.chat"), icon=":material/chat:", url_path="chat", default=True)}
    for name, icon in PAGES.items():
        pages[name] = st.Page(_view(name), title=words(f"nav.{name}"), icon=icon, url_path=name)
    session.remember_pages(pages)
    page = st.navigation(list(pages.values()))
    if page.url_path in SIDE_BY_SIDE:
        st.set_page_config(layout="wide")
        st.html(theme.WIDE)
    sidebar.draw(pages["chat"])
    native_words.draw(words.language)
    page.run()
    jobs.draw_drawer()
    session.keep_in_address()
    session.container().start()


def _view(name: str) -> Callable[[], None]:
    def draw() -> None:
        importlib.import_module(f"app.views.{name}").draw()

    return draw


main()
