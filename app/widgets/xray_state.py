"""What every part of the X-ray page shares: the X-ray itself, the prompt, its tokens, and the heavy values, kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from app.widgets.xray_charts import visible
from app.widgets.xray_text import WORDS
from core.language import Language
from interpretability.tokens import Token
from interpretability.tour import Myth
from interpretability.xray import Xray

T = TypeVar("T")
# Rows that are recorded of a long prompt: the last ones, where the answer begins.
WINDOW = 48


def percent(share: float) -> str:
    """A share 0..1 as people read it; what is very small is said to be so."""
    return f"{share:.2%}" if share >= 0.0001 or share == 0 else "< 0.01%"


@dataclass(frozen=True)
class Subject:
    """What is X-rayed: the rendered prompt and its tokens, in the language of the page."""

    xray: Xray
    prompt: str
    tokens: tuple[Token, ...]
    language: Language

    @property
    def ids(self) -> list[int]:
        """The token ids."""
        return [token.id for token in self.tokens]

    @property
    def first(self) -> int:
        """The first position whose inside is recorded."""
        return max(0, len(self.tokens) - WINDOW)

    @property
    def labels(self) -> list[str]:
        """A label for each token, all different."""
        return [visible(token.text, position) for position, token in enumerate(self.tokens)]

    def say(self, key: str, **values: object) -> str:
        """A string of the page in its language."""
        return WORDS[key].in_(self.language).format(**values)

    def myth(self, myth: Myth) -> None:
        """A popular explanation beside what the data of this prompt say."""
        st.caption(self.say("myth", claim=myth.claim.in_(self.language), answer=myth.answer.in_(self.language)))

    def kept(self, name: str, make: Callable[[], T], *key: object) -> T:
        """The value under this prompt, `name` and `key`; made at the first call, with a note that the model works."""
        store: dict[Any, Any] = st.session_state.setdefault("xray_kept", {})
        place = (str(self.xray.path), self.xray.variant.adapter, self.prompt, name, *key)
        if place not in store:
            with st.spinner(self.say("working")):
                made = make()
            if len(store) >= 40:
                store.pop(next(iter(store)))
            store[place] = made
        value: T = store[place]
        return value

    def names(self, ids: list[int]) -> list[str]:
        """Tokens as labels, without positions."""
        return [visible(token.text) for token in self.kept("names", lambda: self.xray.tokens_of(ids), tuple(ids))]
