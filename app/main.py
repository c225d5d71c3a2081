"""The page: Streamlit runs this script anew at every interaction."""

import streamlit as st

from app import session, theme
from app.views import chat, compare, documents, models, tools
from app.widgets import sidebar


def main() -> None:
    """Draw the sidebar and the page that is chosen."""
    words = session.words()
    # Pictures of our own: an icon by name would be fetched from a font server.
    st.set_page_config(page_title="Fourfold", page_icon=str(theme.BRAND), layout="centered")
    st.logo(theme.WORDMARK, icon_image=theme.BRAND, size="large")
    st.html(theme.STYLE)
    pages = [
        st.Page(chat.draw, title=words("nav.chat"), icon=":material/chat:", url_path="chat", default=True),
        st.Page(documents.draw, title=words("nav.documents"), icon=":material/folder_open:", url_path="documents"),
        st.Page(compare.draw, title=words("nav.compare"), icon=":material/compare:", url_path="compare"),
        st.Page(tools.draw, title=words("nav.tools"), icon=":material/build:", url_path="tools"),
        st.Page(models.draw, title=words("nav.models"), icon=":material/memory:", url_path="models"),
    ]
    page = st.navigation(pages)
    sidebar.draw(pages[0])
    page.run()


main()
