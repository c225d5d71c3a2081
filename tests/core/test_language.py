import itertools

import pytest

from core.language import Bilingual, han_share, language_of, sentence_spans


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I return a book?", "en"),
        ("怎么退书？", "zh"),
        ("什么是 HTTP protocol", "zh"),
        ("The word 你 means you, and is the only Chinese in this line.", "en"),
        ("これは日本語の文章です。", "en"),
        ("", "en"),
        ("12345 !!!", "en"),
    ],
)
def test_language_of(text: str, language: str):
    assert language_of(text) == language


def test_han_share_counts_letters_only():
    assert han_share("ab你好 123") == 0.5
    assert han_share("123") == 0.0


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


def test_sentences_end_at_punctuation_of_both_languages():
    assert sentences("It costs 3.5 dollars. Really! 你好。再见！") == [
        "It costs 3.5 dollars.",
        "Really!",
        "你好。",
        "再见！",
    ]


def test_a_closing_quote_stays_with_its_sentence():
    assert sentences("他说：“走吧。”然后走了。") == ["他说：“走吧。”", "然后走了。"]


def test_blank_lines_and_list_items_end_sentences():
    assert sentences("Title\n\nFirst\n- one\n- two") == ["Title", "First", "- one", "- two"]


def test_spans_are_trimmed_and_in_order():
    text = "  One.   Two.  "
    spans = sentence_spans(text)
    assert [text[start:end] for start, end in spans] == ["One.", "Two."]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert sentence_spans("   ") == []


def test_bilingual_chooses_by_tag():
    text = Bilingual("yes", "是")
    assert (text.in_("zh-CN"), text.in_("zh"), text.in_("en"), text.in_("fr")) == ("是", "是", "yes", "yes")
