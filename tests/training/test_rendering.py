"""The rendered example against the model's own template, and the mark on what is trained."""

from dataclasses import replace

from core.types import Message
from training.examples import Example, pair
from training.gguf_model import GgufModel
from training.lora import load_tokenizer
from training.rendering import ChatFormat, Piece


def test_the_answer_and_its_end_are_trained_and_nothing_else(chat_format: ChatFormat) -> None:
    pieces = chat_format.pieces(pair("Hi", "Hello", system="Be brief."))
    assert pieces == (
        Piece(
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", False
        ),
        Piece("Hello<|im_end|>", True),
    )


def test_every_turn_of_the_assistant_is_trained(chat_format: ChatFormat) -> None:
    turns = (Message("user", "1"), Message("assistant", "one"), Message("user", "2"), Message("assistant", "two"))
    pieces = chat_format.pieces(Example(turns))
    assert [piece.text for piece in pieces if piece.trained] == ["one<|im_end|>", "two<|im_end|>"]


def test_the_tokens_are_those_of_the_template(chat_format: ChatFormat, base: GgufModel) -> None:
    example = pair("What is 2+2?", "It is four.")
    row = chat_format.row(example)
    tokenizer = load_tokenizer(base.path)
    chat = [{"role": message.role, "content": message.content} for message in example.messages]
    whole = tokenizer.apply_chat_template(chat, tokenize=False)
    assert tokenizer.decode(row.ids) + "\n" == whole
    answer = [token for token, trained in zip(row.ids, row.trained, strict=True) if trained]
    assert tokenizer.decode(answer) == "It is four.<|im_end|>"


class Rewriting:
    """A tokenizer whose template hides the thoughts of earlier turns, as some do."""

    eos_token = "<end>"

    def apply_chat_template(self, chat: list[dict[str, str]], **options: object) -> str:
        text = ""
        for place, message in enumerate(chat):
            hidden = message["role"] == "assistant" and place < len(chat) - 1
            text += f"{message['role']}: {'(thought)' if hidden else message['content']}<end>\n"
        return text + ("assistant: " if options["add_generation_prompt"] else "")


def test_where_a_template_rewrites_earlier_turns_only_the_last_is_trained() -> None:
    turns = (Message("user", "1"), Message("assistant", "one"), Message("user", "2"), Message("assistant", "two"))
    pieces = ChatFormat(Rewriting()).pieces(Example(turns))
    assert pieces == (
        Piece("user: 1<end>\nassistant: (thought)<end>\nuser: 2<end>\nassistant: ", False),
        Piece("two<end>", True),
    )


def test_a_teachers_shares_stand_at_the_places_of_its_answer(tiny: GgufModel) -> None:
    chat = ChatFormat(load_tokenizer(tiny.path))
    plain = pair("the ring?", "thing")
    row = chat.row(plain)
    answer = chat.tokenize("thing")
    said = tuple((token, ((token, -0.1), (40, -3.0))) for token in answer)
    places = chat.row(replace(plain, teacher=said)).likely
    assert [row.ids[place] for place in places] == answer
    assert list(places) == list(range(row.trained.index(True), row.trained.index(True) + len(answer)))
    # A teacher that cut the text otherwise is not followed place by place.
    assert chat.row(replace(plain, teacher=((1, ()), *said))).likely == {}
