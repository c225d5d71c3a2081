"""Both languages say the same things: same keys, same places for values, Chinese in the Chinese file."""

import re
import string
from pathlib import Path

import pytest

from app.wording import Wording, strings_of
from core.language import HAN

APP = Path(__file__).resolve().parents[2] / "app"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys():
    assert strings_of("en").keys() == strings_of("zh").keys()


@pytest.mark.parametrize("key", sorted(strings_of("en")))
def test_a_string_has_the_same_values_in_both_languages(key: str):
    assert fields(strings_of("en")[key]) == fields(strings_of("zh")[key])


def test_the_chinese_strings_are_chinese():
    assert [key for key, text in strings_of("zh").items() if not re.search(f"[{HAN}]", text)] == []


def test_every_key_that_the_code_asks_for_is_there():
    asked = set()
    for path in APP.rglob("*.py"):
        asked |= set(re.findall(r'words\(\s*"([a-z_]+\.[a-z_0-9]+)"', path.read_text(encoding="utf-8")))
    assert asked - strings_of("en").keys() == set()
    assert len(asked) > 20


def test_values_are_filled_in():
    assert Wording("en")("sources.page", page=3) == "p. 3"
    assert Wording("zh")("sources.page", page=3) == "第 3 页"
