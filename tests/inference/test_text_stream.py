"""Text that is given out stays; stop strings never appear, however the tokens cut them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inference.text_stream import TextStream


def streamed(data: bytes, cuts: list[int], stop: tuple[str, ...] = ()) -> tuple[str, bool]:
    stream = TextStream(stop)
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    text = "".join(stream.push(data[start:end]) for start, end in pairwise(places))
    return text + stream.finish(), stream.stopped


@given(st.text(), st.lists(st.integers(0, 1000)))
def test_without_stop_strings_any_cut_gives_the_text(text: str, cuts: list[int]):
    assert streamed(text.encode(), cuts) == (text, False)


@given(st.text("abc", max_size=30), st.lists(st.integers(0, 1000)), st.text("abc", min_size=1, max_size=3))
def test_a_stop_string_cuts_where_it_first_stands(text: str, cuts: list[int], stop: str):
    assert streamed(text.encode(), cuts, (stop,)) == (text.partition(stop)[0], stop in text)


def test_half_a_character_waits_for_its_other_half():
    stream = TextStream()
    first, second = "世".encode()[:2], "世".encode()[2:]
    assert [stream.push(first), stream.push(second)] == ["", "世"]


def test_bytes_that_are_no_text_become_replacement_characters():
    stream = TextStream()
    assert stream.push(b"\xe4\xb8") + stream.finish() == "\ufffd"
