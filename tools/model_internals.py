"""The model's own insides as tools: how it cuts text, where its words lie, what it would say next."""

from functools import cache
from pathlib import Path

import numpy as np

from core.errors import ToolError
from core.language import Bilingual
from core.types import SamplingSettings
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest
from interpretability.embeddings import nearest
from interpretability.model_file import ModelFile, read_model_file
from retrieval.protocol import Embedder
from tools.base import ToolEntry, built_in

MOST_TOKENS_SHOWN = 200
MOST_NEIGHBOURS = 50
SHOWN_NUMBERS = 8


def model_tools(engine: ChatEngine, embedder: Embedder) -> tuple[ToolEntry, ...]:
    """The six tools over the chat model and the sentence encoder."""

    def count_tokens(text: str) -> str:
        """Count tokens.

        Args:
            text: the text to count

        """
        return str(engine.count_tokens(text))

    def tokenize(text: str) -> str:
        """Cut a text into tokens.

        Args:
            text: the text to cut

        """
        ids = engine.tokenize(text)
        pieces = _pieces(engine)
        shown = " ".join(f"{pieces(token)!r}:{token}" for token in ids[:MOST_TOKENS_SHOWN])
        return f"{len(ids)} tokens: {shown}"

    def embed(text: str) -> str:
        """Turn a text into a vector.

        Args:
            text: a word or sentence

        """
        vector = embedder.embed_query(text)
        first = ", ".join(f"{number:.4f}" for number in vector[:SHOWN_NUMBERS])
        return f"{embedder.dimension} numbers of unit length by {embedder.name}: [{first}, ...]"

    def similarity(first: str, second: str) -> str:
        """Compare two texts.

        Args:
            first: a word or sentence
            second: another one

        """
        left, right = embedder.embed_query(first), embedder.embed_query(second)
        return f"{float(left @ right):.4f}"

    return (
        built_in(count_tokens, Bilingual("Count tokens", "统计词元"), _COUNT),
        built_in(tokenize, Bilingual("Tokenize", "切分词元"), _TOKENIZE),
        built_in(embed, Bilingual("Embed", "词向量"), _EMBED),
        built_in(similarity, Bilingual("Similarity", "相似度"), _SIMILARITY),
        *_inner_tools(engine),
    )


def _inner_tools(engine: ChatEngine) -> tuple[ToolEntry, ...]:
    def nearest_words(word: str, count: int = 10) -> str:
        """Find a word's neighbours.

        Args:
            word: the word
            count: how many neighbours, 1 to 50

        """
        return _neighbours(engine, word, max(1, min(count, MOST_NEIGHBOURS)))

    def next_token_probabilities(text: str, count: int = 10) -> str:
        """Predict the next token.

        Args:
            text: the beginning of a text
            count: how many candidates, 1 to 50

        """
        return _candidates(engine, text, max(1, min(count, MOST_NEIGHBOURS)))

    return (
        built_in(nearest_words, Bilingual("Nearest words", "最近的词"), _NEAREST),
        built_in(next_token_probabilities, Bilingual("Next token", "下一个词元"), _NEXT),
    )


_COUNT = Bilingual("Count how many tokens a text is for the chat model.", "统计一段文字对聊天模型来说有多少个词元。")
_TOKENIZE = Bilingual("Show how the chat model cuts a text into tokens.", "显示聊天模型如何把文字切分为词元。")
_EMBED = Bilingual("The embedding vector of a word or text.", "取得一个词或一段文字的向量。")
_SIMILARITY = Bilingual(
    "How similar two texts are in meaning, from -1 to 1.", "比较两段文字的语义相似度，范围 -1 到 1。"
)
_NEAREST = Bilingual(
    "The words nearest to a word in the chat model's own embedding table.",
    "在聊天模型自己的词向量表中找与某个词最近的词。",
)
_NEXT = Bilingual(
    "The tokens that the chat model finds most probable after a text, with probabilities.",
    "聊天模型认为一段文字之后最可能出现的词元及其概率。",
)


@cache
def _model_file(path: str) -> ModelFile:
    return read_model_file(Path(path))


def _pieces(engine: ChatEngine) -> "_Pieces":
    if not engine.info.path:
        raise ToolError(
            Bilingual(
                en="A remote model does not show its insides. Choose a local model.",
                zh="远程模型无法查看内部。请选择本地模型。",
            )
        )
    return _Pieces(_model_file(engine.info.path))


class _Pieces:
    """The text of a token by its id; the file writes a leading space as `Ġ` or `▁`."""

    def __init__(self, file: ModelFile) -> None:
        self._tokens = file.tokens

    def __call__(self, token: int) -> str:
        return self._tokens[token].replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n")


def _neighbours(engine: ChatEngine, word: str, count: int) -> str:
    pieces = _pieces(engine)
    # Inside a sentence a word carries its space; that is the form the model knows best.
    candidates = [engine.tokenize(" " + word.strip()), engine.tokenize(word.strip())]
    ids = min((ids for ids in candidates if ids), key=len, default=[])
    if not ids:
        raise ToolError(Bilingual(en="There is no word.", zh="没有给出词。"))
    table = _model_file(engine.info.path).embedding
    vector = table.rows(ids).mean(axis=0)
    found = nearest(table, np.asarray(vector, dtype=np.float32), count, excluded=ids)
    return "\n".join(f"{pieces(item.token_id)!r} {item.cosine:.3f}" for item in found)


def _candidates(engine: ChatEngine, text: str, count: int) -> str:
    request = GenerationRequest(prompt=text, sampling=SamplingSettings(max_tokens=1), top_logprobs=count)
    for event in engine.generate(request):
        if isinstance(event, GeneratedText) and event.top_logprobs:
            return "\n".join(f"{token!r} {np.exp(logprob):.4f}" for token, logprob in event.top_logprobs[:count])
    raise ToolError(Bilingual(en="The model gave no probabilities for this text.", zh="模型没有给出这段文字的概率。"))
