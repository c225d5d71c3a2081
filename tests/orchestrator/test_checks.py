"""Words, support and citations: what is said is compared with what the sources say."""

import pytest

from orchestrator.citations import check_answer
from orchestrator.support import best_sentence, check
from orchestrator.words import names, numbers, quotations, terms
from tests.orchestrator.parts import BRIDGE, RIVER, TOWER, source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,250 pumps and 3.50 euros", {"1250", "3.5"}),
        ("twelve of the 20", {"12", "20"}),
        ("三百二十人，二〇一九年，十二个", {"320", "2019", "12"}),
        ("一万五千元", {"15000"}),
        ("全角１２３", {"123"}),
        ("no numbers", set()),
    ],
)
def test_numbers_are_read_in_both_languages(text: str, expected: set[str]):
    assert numbers(text) == expected


def test_terms_are_stems_and_bigrams():
    assert terms("The towers opened") == ["tower", "open"]
    assert terms("长江大桥") == ["长江", "江大", "大桥"]


def test_names_and_quotations():
    assert names("It was Gustave Eiffel's work") == {"gustave", "eiffel"}
    assert quotations("他写了《红楼梦》和“石头记”") == ["红楼梦", "石头记"]


@pytest.mark.parametrize(
    ("sentence", "passage", "supported"),
    [
        ("The tower opened in 1889 [1].", TOWER, True),
        ("The tower opened in 1899 [1].", TOWER, False),
        ("The tower was built by Gustave Eiffel [1].", TOWER, True),
        ("The tower was built by Frank Lloyd [1].", TOWER, False),
        ("Bananas are rich in potassium [1].", TOWER, False),
        ("1889 [1]", TOWER, True),
        ("长江全长6300公里[1]。", RIVER, True),
        ("长江全长5300公里[1]。", RIVER, False),
        ("它被称为“万里长河”[1]。", RIVER, False),
        ("武汉长江大桥一九五七年建成通车[1]。", RIVER, True),
    ],
)
def test_a_sentence_is_supported_by_what_it_cites(sentence: str, passage: str, supported: bool):
    verdict = check(sentence, [passage])
    assert verdict.supported is supported
    assert bool(verdict.reason.zh) is not supported


def test_the_best_sentence_of_a_passage_is_marked():
    assert TOWER[slice(*best_sentence("He built it, Gustave Eiffel", TOWER))] == "Gustave Eiffel built it."


def test_a_citation_is_resolved_to_its_place_and_passage():
    checked = check_answer("It opened in 1932 [2].", [source(1, TOWER), source(2, BRIDGE)])
    [citation] = checked.citations
    assert checked.text[citation.start : citation.end] == "[2]"
    assert BRIDGE[citation.passage_start : citation.passage_end] == "The bridge opened in 1932."
    assert citation.supported
    assert not checked.unsupported


def test_numbers_that_name_no_source_in_the_context_are_taken_out():
    sources = [source(1, TOWER), source(2, BRIDGE, used=False)]
    checked = check_answer("The tower opened in 1889 [1, 2][7].", sources)
    assert checked.text == "The tower opened in 1889 [1]."
    assert checked.dropped == (2, 7)


def test_a_wrong_number_is_marked_and_not_hidden():
    checked = check_answer("The tower opened in 1890 [1]. It stands in Paris [1].", [source(1, TOWER)])
    [bad] = checked.unsupported
    assert checked.text[bad.start : bad.end] == "The tower opened in 1890 [1]."
    assert "1890" in bad.reason.en
    assert [citation.supported for citation in checked.citations] == [False, True]


def test_a_citation_is_placed_where_the_model_forgot_it():
    checked = check_answer("The bridge stands in Sydney.", [source(1, TOWER), source(2, BRIDGE)])
    assert checked.text == "The bridge stands in Sydney [2]."
    assert (checked.placed, checked.has_support) == (1, True)


def test_a_citation_of_the_wrong_source_gives_way_to_the_one_that_holds_the_sentence():
    sources = [source(1, TOWER), source(2, BRIDGE)]
    checked = check_answer("The bridge stands in Sydney. [1] The tower opened in 1889 [1].", sources)
    assert checked.text == "The bridge stands in Sydney [2]. The tower opened in 1889 [1]."
    assert (checked.placed, [citation.supported for citation in checked.citations]) == (1, [True, True])


def test_a_wrong_citation_stays_and_is_marked_where_no_source_holds_the_sentence():
    checked = check_answer("Penguins cannot fly [2].", [source(1, TOWER), source(2, BRIDGE)])
    assert checked.text == "Penguins cannot fly [2]."
    assert (checked.placed, len(checked.unsupported)) == (0, 1)


def test_nothing_is_placed_where_nothing_supports():
    checked = check_answer("Penguins cannot fly.", [source(1, TOWER)])
    assert not checked.citations
    assert not checked.has_support
    assert len(checked.unsupported) == 1


def test_a_mark_behind_the_full_stop_belongs_to_the_sentence_before():
    checked = check_answer("The tower opened in 1889. [1] It stands in Paris. [1]", [source(1, TOWER)])
    spans = [checked.text[c.sentence_start : c.sentence_end] for c in checked.citations]
    assert spans == ["The tower opened in 1889. [1]", "It stands in Paris. [1]"]
