"""Text of a model or a document reaches the page as text: nothing in it loads, leads anywhere or becomes markup."""

import pytest
from bs4 import BeautifulSoup

from app.widgets.answer_text import answer_html, marked_passage_html, message_label, plain_label


@pytest.mark.parametrize(
    "attack",
    [
        "![x](https://evil.example/a.png)",
        "[click](https://evil.example)",
        "<https://evil.example>",
        "<img src=https://evil.example/a.png onerror=alert(1)>",
        "<script>alert(1)</script>",
        "[x]: https://evil.example\n\n[x]",
        "<a href='javascript:alert(1)'>x</a>",
        "![x][1]\n\n[1]: https://evil.example/a.png",
    ],
)
def test_nothing_in_an_answer_can_load_or_lead_anywhere(attack: str):
    parsed = BeautifulSoup(answer_html(attack), "lxml").find("div")
    assert parsed is not None
    assert {tag.name for tag in parsed.find_all(True)} <= {"p"}
    assert all(not tag.attrs for tag in parsed.find_all(True))


def test_only_known_citations_become_chips():
    rendered = answer_html("It is so [1], not so [7].", "a1", cited=(1,))
    assert '<button class="ff-cite" data-cite="a1:1">1</button>' in rendered
    assert "[7]" in rendered
    assert rendered.count("<button") == 1


def test_citations_inside_code_stay_code():
    assert "<button" not in answer_html("`x[1]`", "a1", cited=(1,))


def test_doubted_sentences_are_underlined_exactly():
    text = "Sure. Doubtful! End."
    assert '<span class="ff-doubted">Doubtful!</span>' in answer_html(text, doubted=((6, 15),))


def test_private_characters_of_a_model_open_no_element():
    assert "ff-doubted" not in answer_html("a \ue000 b \ue001 c")


def test_markdown_keeps_its_shape():
    rendered = answer_html("**bold**\n\n- one\n- two")
    assert "<strong>bold</strong>" in rendered
    assert rendered.count("<li>") == 2


def test_chinese_stands_close_to_its_chips():
    shown = answer_html("年假为 25 天。 [1] 法定节假日另计 [2]。", "a", [1, 2])
    assert "。<button" in shown
    assert "</button>法定" in shown
    assert "另计<button" in shown
    assert "年假为 25 天" in shown
    assert "days. <button" in answer_html("25 days. [1]", "a", [1])


def test_a_passage_is_escaped_and_its_span_marked():
    assert marked_passage_html("a <b> c", 2, 5) == '<div class="ff-passage">a <mark>&lt;b&gt;</mark> c</div>'


def test_an_empty_span_marks_nothing():
    assert "<mark>" not in marked_passage_html("text", 0, 0)


def test_labels_are_one_escaped_line():
    assert plain_label("a\nb [x](y)") == r"a b \[x\]\(y\)"
    assert plain_label("x" * 80, 10) == "x" * 9 + "…"


def test_what_a_message_of_ours_has_in_backticks_is_code_and_the_rest_is_text():
    assert message_label("Run `python -m [x]` for *a*.") == r"Run `python -m [x]` for \*a\*."
    assert message_label("one ` alone") == r"one \` alone"
    assert message_label("cut `in the code`", 10) == r"cut \`in t…"
