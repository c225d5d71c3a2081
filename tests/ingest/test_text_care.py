"""Normalisation, page furniture, quality, dates."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Page
from ingest.documents import parse_date
from ingest.normalizer import normalize, without_furniture
from ingest.quality import garbled_share, is_garbled


def test_text_is_made_uniform():
    assert normalize("a\r\nb\rc \t\n\n\n\nd\u00ad\u200be\ufeff\x00") == "a\nb\nc\n\nde"
    assert normalize("\uf0b7 first") == "• first"
    assert normalize("e\u0301 \uf900") == "é \u8c48"
    assert normalize("\ud800x") == "?x"


@given(st.text(max_size=200))
def test_normalising_twice_changes_nothing(text: str):
    once = normalize(text)
    assert normalize(once) == once
    once.encode("utf-8")


def test_headers_and_footers_that_repeat_are_removed():
    pages = [
        Page(f"Annual Report 2026\n\nBody of page {n}, unlike the others: {'x' * n}.\n\nPage {n} of 6", n)
        for n in range(1, 7)
    ]
    cleaned = without_furniture(pages)
    assert [page.text.strip() for page in cleaned] == [
        f"Body of page {n}, unlike the others: {'x' * n}." for n in range(1, 7)
    ]


def test_few_pages_and_unlike_lines_are_left_alone():
    few = [Page("Same head\ntext", n) for n in range(1, 4)]
    assert without_furniture(few) == tuple(few)
    unlike = [Page(f"{'abcdefgh'[n]} head\nbody {'abcdefgh'[n]}", n + 1) for n in range(8)]
    assert without_furniture(unlike) == tuple(unlike)


def test_garbled_text_is_told_from_text():
    assert garbled_share("Plain words, 中文 and العربية.") == 0.0
    assert garbled_share("") == 0.0
    assert garbled_share("ab\ufffd\ue000") == pytest.approx(0.5)
    assert is_garbled("(cid:12)(cid:13) x")
    assert not is_garbled("A long honest sentence with one \ufffd in it, which harms nobody at all.")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05+00:00", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
        ("2026-01-02", datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)),
        ("Fri, 02 Jan 2026 03:04:05 +0100", datetime.datetime(2026, 1, 2, 2, 4, 5, tzinfo=datetime.UTC)),
        ("D:20260102030405Z", datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)),
        ("D:2026", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
    ],
)
def test_dates_of_every_format(text: str, moment: datetime.datetime):
    assert parse_date(text) == moment.timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "D:20269999", "31/31/2026"])
def test_what_is_no_date_is_none(text: str):
    assert parse_date(text) is None
