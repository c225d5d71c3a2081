"""Who is signed in, the way out, and what a stranger sees in place of every page."""

import streamlit as st

from app import people, session
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.errors import FourfoldError, LoginError


def is_admitted() -> bool:
    """Whether there are parts to draw a page over; where there are none, the reason is drawn."""
    try:
        session.container()
    except LoginError as error:
        _stranger(error, session.browser_words())
    except FourfoldError as error:
        st.error(plain_label(error.message.in_(session.browser_words().language), 600), icon=":material/error:")
    else:
        return True
    return False


def _stranger(error: LoginError, words: Wording) -> None:
    st.title("Fourfold", anchor=False)
    served = people.served()
    if served is not None and served.settings.login == "oidc":
        st.write(words("account.welcome"))
        st.button(words("account.sign_in"), type="primary", icon=":material/login:", on_click=st.login)
    else:
        st.error(plain_label(error.message.in_(words.language), 600), icon=":material/lock:")


def draw(words: Wording) -> None:
    """The name of whoever is signed in; nothing where nobody logs in."""
    served = people.served()
    if served is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(":material/person: " + plain_label(session.who(served.settings).name, 40))
        if served.settings.login == "oidc":
            st.button(":material/logout:", type="tertiary", help=words("account.sign_out"), on_click=st.logout)
