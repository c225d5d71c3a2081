"""Milvus: vectors in its own index, keywords as blocks of postings, and how far both go as a property of the copy.

pymilvus is imported here and nowhere else. LangChain's own integration wants Milvus' tokenizers or its sparse vectors,
which 2.3 has not, and knows no watermark. Milvus has no transactions: everything is written under keys that a
second time writes again, and what is told of it, the watermark with the totals, is changed last, at one stroke.
"""

import hashlib
import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import grpc
import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException, mkts_from_unixtime

from core.errors import BackendError, SettingError
from core.language import Bilingual
from retrieval.backends.contract import Change, CollectionKey, Watermark
from retrieval.backends.messages import describe_failure, describe_mismatch
from retrieval.backends.milvus_blocks import RANGE
from retrieval.backends.milvus_words import BlockWords, best, hits, terms_of
from retrieval.legs import DenseHit
from retrieval.lexical_index import FIELD_WEIGHTS, Field, LexicalHit, LexicalQuery
from retrieval.protocol import Vectors

_PORT = 19_530
_SECONDS = 60.0
_SECONDS_TO_CONNECT = 10.0
_SECONDS_TO_SETTLE = 600.0
_SEARCH_WIDTH = 200
# So much further than what is wanted goes the walk: Milvus puts vectors into its graph in the order of the documents,
# and finds those that came last, about something else, by a long one only.
_WALK = 24
# Milvus refuses requests of more than 64 MiB; a row of words has at most some 120,000 characters.
_ROWS_AT_ONCE = 2_000
_CHARACTERS_AT_ONCE = 8_000_000
_NUMBERS_AT_ONCE = 10_000
_KEY, _STATE = "fourfold.key", "fourfold.state"


@dataclass(frozen=True)
class _State:
    """What a copy tells of itself: its watermark, chunks and terms by field, and the time up to which it was written.

    `open` is true while a change is being written: if it was killed there, the totals have to be counted anew.
    """

    chunks: int = 0
    vectors: int = 0
    removed: int = 0
    totals: tuple[int, ...] = (0,) * (1 + len(FIELD_WEIGHTS))
    seen: int = 1
    open: bool = False

    @classmethod
    def read(cls, text: str) -> "_State":
        fields = json.loads(text)
        return cls(**{**fields, "totals": tuple(fields["totals"])})


class MilvusBackend:
    """A Milvus server (2.3 or newer). Thread-safe."""

    def __init__(self, url: str) -> None:
        """`url`: milvus://user:password@host:port/database, or milvus+https://…; all but the host may be left out.

        Raises SettingError where it names no host.
        """
        known = urlsplit(url)
        if not known.hostname:
            raise SettingError(_describe_url(known.scheme))
        self._scheme = "https" if known.scheme.endswith("+https") else "http"
        self._address = f"{known.hostname}:{known.port or _PORT}"
        self._database = known.path.strip("/")
        self._user, self._password = unquote(known.username or ""), unquote(known.password or "")
        self._client: MilvusClient | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Address of the server, without user and password."""
        return f"milvus://{self._address}/{self._database}"

    @contextmanager
    def client(self) -> Iterator[MilvusClient]:
        """The client, connected at the first need; what goes wrong with it becomes a BackendError."""
        try:
            yield self._connected()
        except (MilvusException, grpc.RpcError, ValueError) as error:
            raise BackendError(describe_failure(self.name, error)) from error

    def _connected(self) -> MilvusClient:
        with self._lock:
            if self._client is None:
                self._client = MilvusClient(
                    f"{self._scheme}://{self._address}",
                    user=self._user,
                    password=self._password,
                    db_name=self._database,
                    timeout=_SECONDS_TO_CONNECT,
                )
            return self._client

    def health(self) -> str:
        """Version of the server."""
        with self.client() as client:
            return f"Milvus {client.get_server_version(timeout=_SECONDS_TO_CONNECT)}"

    def open(self, key: CollectionKey) -> "MilvusCollection":
        """The collection of this key, made where it is missing; a copy of one that was deleted since is emptied."""
        collection = MilvusCollection(self, key)
        known = collection.key()
        if known is None:
            collection.make()
            return collection
        if known["identity"] != key.identity:
            collection.clear()
        elif (known["encoder"], known["dimension"]) != (key.encoder, key.dimension):
            raise BackendError(describe_mismatch(self.name, key, known["encoder"]))
        return collection

    def forget(self, key: CollectionKey) -> bool:
        """Delete the copy of this tenant's collection, whatever made it; False where there is none."""
        collection = MilvusCollection(self, key)
        is_there = collection.key() is not None
        collection.drop()
        return is_there

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


class _WordsTable:
    """The rows of the blocks, as `retrieval.backends.milvus_words.Table`."""

    def __init__(self, backend: MilvusBackend, name: str) -> None:
        self._backend = backend
        self._name = name

    def read(self, condition: str, *, places: bool, seen: int | None) -> list[dict[str, object]]:
        """The rows of a condition."""
        wanted = ["bucket", "start", "part", "parts", "postings", *(["places"] if places else [])]
        with self._backend.client() as client:
            found = client.query(self._name, filter=condition, output_fields=wanted, timeout=_SECONDS, **_moment(seen))
        return [dict(row) for row in found]

    def write(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Put rows; the pieces of one block go in one request."""
        batch: list[dict[str, object]] = []
        characters = 0
        for row in rows:
            if row["part"] == 0 and (len(batch) >= _ROWS_AT_ONCE or characters > _CHARACTERS_AT_ONCE):
                self._send(batch)
                batch, characters = [], 0
            batch.append({**row, "nothing": b"\0"})
            characters += len(str(row["postings"])) + len(str(row["places"]))
        self._send(batch)

    def _send(self, batch: list[dict[str, object]]) -> None:
        if batch:
            with self._backend.client() as client:
                client.upsert(self._name, batch, timeout=_SECONDS)


class MilvusCollection:
    """One collection on a Milvus server: two of its own there, named after a hash of tenant and name."""

    rows_at_once = RANGE

    def __init__(self, backend: MilvusBackend, key: CollectionKey) -> None:
        self._backend = backend
        self._key = key
        marked = hashlib.sha256(json.dumps([key.tenant, key.name]).encode()).hexdigest()[:24]
        self._vectors, self._blocks = f"fourfold_{marked}_vectors", f"fourfold_{marked}_words"
        self._words = BlockWords(_WordsTable(backend, self._blocks))

    def key(self) -> dict[str, Any] | None:
        """What the server's copy was made for; None where there is none."""
        with self._backend.client() as client:
            if not client.has_collection(self._blocks, timeout=_SECONDS):
                return None
            known: dict[str, Any] | None = json.loads(self._properties(client).get(_KEY, "null"))
            return known

    def make(self) -> None:
        """Make both collections anew, at one time, since Milvus takes seconds over each; then tell what they are for.

        A copy that tells nothing was left half made, and is made again.
        """
        self.drop()
        with self._backend.client() as client, ThreadPoolExecutor(2) as threads:
            parts = zip((self._vectors, self._blocks), _schemas(self._key.dimension), _indexes(client), strict=True)
            made = [
                threads.submit(client.create_collection, name, schema=schema, index_params=indexes, timeout=_SECONDS)
                for name, schema, indexes in parts
            ]
            for one in made:
                one.result()
            properties = {_KEY: json.dumps(asdict(self._key)), _STATE: json.dumps(asdict(_State()))}
            client.alter_collection_properties(self._blocks, properties, timeout=_SECONDS)

    def watermark(self) -> Watermark:
        """How far the copy goes."""
        state = self._state()
        return Watermark(state.chunks, state.vectors, state.removed)

    def apply(self, change: Change) -> None:
        """Rows, vectors and removals, then the watermark and the totals."""
        state = self._state()
        totals: Sequence[int] = state.totals
        if change.rows or change.removed:
            self._note(replace(state, open=True))
            grown = self._words.put(change.rows, change.removed)
            totals = [old + new for old, new in zip(state.totals, grown, strict=True)]
        with self._backend.client() as client:
            self._put_vectors(client, change)
        if state.open:
            totals = self._words.count()
        mark = change.until
        self._note(_State(mark.chunks, mark.vectors, mark.removed, tuple(totals), _now()))

    def settle(self) -> None:
        """Close the growing segments, which Milvus searches by a rough index, and wait for the graph of the rest."""
        deadline = time.monotonic() + _SECONDS_TO_SETTLE
        with self._backend.client() as client:
            client.flush(self._vectors, timeout=_SECONDS)
            while time.monotonic() < deadline:
                index = client.describe_index(self._vectors, "embedding", timeout=_SECONDS)
                if not int(index.get("pending_index_rows", 0)):
                    return
                time.sleep(0.5)

    def counts(self) -> dict[str, int]:
        """How many chunks and vectors there are, counted."""
        with self._backend.client() as client:
            rows = client.query(self._vectors, filter="", output_fields=["count(*)"], timeout=_SECONDS, **_moment(None))
            return {"chunks": self._words.count()[0], "vectors": int(rows[0]["count(*)"])}

    def search_vectors(self, vector: Vectors, top_k: int, documents: Collection[int] | None = None) -> list[DenseHit]:
        """The nearest chunks, best first; the server looks among those of `documents` only."""
        if documents is not None and not documents:
            return []
        state = self._state()
        with self._backend.client() as client:
            found = client.search(
                self._vectors,
                data=[np.asarray(vector, np.float32)],
                filter="" if documents is None else f"document in {sorted(documents)}",
                limit=top_k,
                search_params={"metric_type": "IP", "params": {"ef": max(_SEARCH_WIDTH, _WALK * top_k)}},
                timeout=_SECONDS,
                **_moment(state.seen),
            )
        rows = [DenseHit(int(hit["id"]), float(hit["distance"])) for hit in found[0]]
        return sorted(rows, key=lambda hit: (-hit.score, hit.number))

    def search_words(
        self, query: LexicalQuery, top_k: int, documents: Collection[int] | None = None
    ) -> list[LexicalHit]:
        """The best chunks by BM25, all phrases in them."""
        state = self._state()
        if not state.totals[0]:
            return []
        found = self._words.find(terms_of(query), state.chunks, state.seen, places=bool(query.phrases))
        return hits(*best(found, query, state.totals, documents), top_k)

    def frequencies(self, terms: Collection[tuple[Field, str]]) -> dict[tuple[Field, str], int]:
        """In how many chunks each term stands in its field."""
        state = self._state()
        found = self._words.find(terms, state.chunks, state.seen)
        return {term: len(postings.numbers) for term, postings in found.items() if len(postings.numbers)}

    def field_lengths(self) -> tuple[int, dict[Field, int]]:
        """How many chunks there are, and how many terms each field holds in all, as they were noted."""
        rows, *lengths = self._state().totals
        return rows, dict(zip(FIELD_WEIGHTS, lengths, strict=True))

    def clear(self) -> None:
        """Forget everything, the watermark too."""
        self.make()

    def drop(self) -> None:
        """Delete the copy; that of the words, which tells of the whole, goes first."""
        with self._backend.client() as client:
            client.drop_collection(self._blocks, timeout=_SECONDS)
            client.drop_collection(self._vectors, timeout=_SECONDS)

    def _put_vectors(self, client: MilvusClient, change: Change) -> None:
        documents = self._words.documents(change.numbers) if len(change.numbers) else {}
        rows = [
            {"number": int(number), "document": documents[int(number)], "embedding": vector}
            for number, vector in zip(change.numbers, change.vectors, strict=True)
            if int(number) in documents
        ]
        for place in range(0, len(rows), _ROWS_AT_ONCE):
            client.upsert(self._vectors, rows[place : place + _ROWS_AT_ONCE], timeout=_SECONDS)
        for place in range(0, len(change.removed), _NUMBERS_AT_ONCE):
            gone = [int(number) for number in change.removed[place : place + _NUMBERS_AT_ONCE]]
            client.delete(self._vectors, filter=f"number in {gone}", timeout=_SECONDS)

    def _state(self) -> _State:
        with self._backend.client() as client:
            return _State.read(self._properties(client)[_STATE])

    def _note(self, state: _State) -> None:
        with self._backend.client() as client:
            client.alter_collection_properties(self._blocks, {_STATE: json.dumps(asdict(state))}, timeout=_SECONDS)

    def _properties(self, client: MilvusClient) -> Mapping[str, str]:
        found: Mapping[str, str] = client.describe_collection(self._blocks, timeout=_SECONDS)["properties"]
        return found


def _schemas(dimension: int) -> tuple[Any, Any]:
    """What the two collections hold: the vectors, and the blocks of postings."""
    vectors = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    vectors.add_field("number", DataType.INT64, is_primary=True)
    vectors.add_field("document", DataType.INT64)
    vectors.add_field("embedding", DataType.FLOAT_VECTOR, dim=dimension)
    words = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    words.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
    for name in ("bucket", "start", "part", "parts"):
        words.add_field(name, DataType.INT64)
    words.add_field("postings", DataType.VARCHAR, max_length=65_535)
    words.add_field("places", DataType.VARCHAR, max_length=65_535)
    # Milvus takes no collection without a vector.
    words.add_field("nothing", DataType.BINARY_VECTOR, dim=8)
    return vectors, words


def _indexes(client: MilvusClient) -> tuple[Any, Any]:
    """The indexes of the two."""
    vectors, words = client.prepare_index_params(), client.prepare_index_params()
    vectors.add_index("embedding", index_type="HNSW", metric_type="IP", params={"M": 32, "efConstruction": 400})
    words.add_index("nothing", index_type="BIN_FLAT", metric_type="HAMMING")
    words.add_index("bucket", index_type="STL_SORT")
    return vectors, words


def _moment(seen: int | None) -> dict[str, Any]:
    """What a read has to see: all that was written up to a time, or, for None, up to now."""
    if seen is None:
        return {"consistency_level": "Strong"}
    return {"consistency_level": "Customized", "guarantee_timestamp": seen}


def _now() -> int:
    """The time as Milvus counts it; a server whose clock is behind lets the next search wait for so long."""
    return int(mkts_from_unixtime(time.time()))


def _describe_url(scheme: str) -> Bilingual:
    return Bilingual(
        en=f"The address of the Milvus server names no host. Write it as {scheme}://user:password@host:19530/database; "
        "all but the host may be left out.",
        zh=f"Milvus 服务器的地址没有主机名。请写成 {scheme}://用户:密码@主机:19530/数据库，除主机外均可省略。",
    )
