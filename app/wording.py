"""Every string of the application, in English and in Chinese, read from `app/locale/*.toml`."""

import tomllib
from functools import cache
from pathlib import Path

from core.language import Language

LOCALE = Path(__file__).parent / "locale"


class Wording:
    """The strings of one language, looked up by `section.name`."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._strings = strings_of(language)

    def __call__(self, key: str, **values: object) -> str:
        """The string under `key` with `{name}` filled from `values`. Raises KeyError for a key that is not there."""
        return self._strings[key].format(**values)

    def or_key(self, section: str, name: str) -> str:
        """The string under `section.name`, or `name` itself where there is none: for names that other layers choose."""
        return self._strings.get(f"{section}.{name}", name)


@cache
def strings_of(language: Language) -> dict[str, str]:
    """All strings of a language as {"section.name": text}."""
    sections = tomllib.loads((LOCALE / f"{language}.toml").read_text(encoding="utf-8"))
    return {f"{section}.{name}": text for section, names in sections.items() for name, text in names.items()}
