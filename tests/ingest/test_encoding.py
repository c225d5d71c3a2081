"""Bytes to text, against Python's own codecs and against files whose encoding their collectors wrote down."""

import codecs
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import load_settings
from ingest.loaders.encoding import decode

ENGLISH = "Plain words, nothing more, in lines of twenty.\n" * 3
CHINESE = "图书馆每天早上九点开门，晚上八点关门，节假日另行通知。"
TRADITIONAL = "圖書館每天早上九點開門，晚上八點關門，節假日另行通知。"
JAPANESE = "図書館は毎朝九時に開きます。ひらがなとカタカナが混ざっています。"
RUSSIAN = "Библиотека открывается каждый день в девять часов утра и закрывается вечером."
GERMAN = "Die Bücherei öffnet täglich um neun Uhr; größere Gruppen müssen sich anmelden."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (ENGLISH, "ascii"),
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        (CHINESE, "utf-32"),
        (ENGLISH, "utf-16-le"),
        (ENGLISH, "utf-16-be"),
        (ENGLISH, "utf-32-le"),
        (ENGLISH, "utf-32-be"),
        (CHINESE, "gb18030"),
        ("你好世界", "gb18030"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "cp1251"),
        (GERMAN, "cp1252"),
        ("Grüße", "cp1252"),
    ],
)
def test_text_comes_back_from_every_encoding(text: str, encoding: str):
    decoded = decode(text.encode(encoding))
    assert decoded.text == text
    assert decoded.damaged == 0


def test_a_declared_charset_is_believed_and_widened():
    data = '<meta charset="gb2312"><p>镕</p>'.encode("gb18030")
    assert decode(data).text == '<meta charset="gb2312"><p>镕</p>'
    assert decode("Zoë".encode("cp1252"), "iso-8859-1").encoding == "cp1252"


def test_a_lying_declaration_loses_to_valid_utf8():
    data = '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode()
    assert decode(data).encoding == "utf-8"
    assert "é" in decode(data).text


def test_the_guess_is_recorded():
    assert decode(RUSSIAN.encode("koi8_r")).guessed
    assert not decode(CHINESE.encode()).guessed


@given(st.binary(max_size=400))
def test_any_bytes_decode_without_an_error(data: bytes):
    decoded = decode(data)
    assert decoded.damaged == decoded.text.count("\ufffd") or not decoded.guessed
    assert codecs.lookup(decoded.encoding)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200))
def test_utf8_always_comes_back(text: str):
    expected = text.lstrip("\ufeff")
    assert decode(("a" + expected).encode()).text == "a" + expected


# The folder that the collector of each file put it in names its encoding (compared by what it decodes to).
_FOLDERS = {
    "Big5": "big5hkscs",
    "EUC-JP": "euc_jp",
    "EUC-KR": "cp949",
    "GB2312": "gb18030",
    "SHIFT_JIS": "cp932",
    "KOI8-R": "koi8_r",
    "IBM855": "cp855",
    "windows-1255-hebrew": "cp1255",
    "windows-1256-arabic": "cp1256",
    "windows-1251-bulgarian": "cp1251",
    "windows-1251-russian": "cp1251",
    "iso-2022-kr": "iso2022_kr",
    "iso-8859-6-arabic": "iso8859_6",
}


def test_real_files_decode_as_their_collectors_say():
    folder = (Path(__file__).parents[2] / load_settings().eval_data / "files").resolve()
    if not (folder / "manifest.jsonl").is_file():
        pytest.skip("the evaluation data is not beside the checkout")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong, seen = [], 0
    for row in rows:
        encoding = _FOLDERS.get(Path(row["path"]).parent.name) if row["repo"] == "chardet/chardet" else None
        if encoding:
            data = (folder / row["file"]).read_bytes()
            seen += 1
            if decode(data).text.strip() != data.decode(encoding, "replace").strip():
                wrong.append((row["file"], encoding, decode(data).encoding))
    assert seen >= 20
    assert wrong == []
