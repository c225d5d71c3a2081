"""`python -m retrieval`: `search` shows what each leg finds and why; `move` takes a collection's index to a server."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from core.config import Settings, load_settings
from core.errors import FourfoldError, SettingError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION, Scope, ScoredChunk
from retrieval.backends.contract import Backend, CollectionKey
from retrieval.backends.moving import Moved, move_back, move_to
from retrieval.backends.opening import open_backend
from retrieval.embedder import open_embedder
from retrieval.estimate import described, needs_of
from retrieval.library import INDEX_SERVER, Library, compact_for

LOCAL = "local"
# The options that narrow a search, with the fields of a scope.
_FILTERS = {"folder": "folders", "tag": "tags", "type": "media_types", "language": "languages"}
Command = Callable[[Settings, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 with a message on the standard error, or 130 interrupted (run it again)."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        command(load_settings(), options)
    except FourfoldError as error:
        print(error.message.en, error.message.zh, sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m retrieval", description="Searching, and where the indexes are kept."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    move = commands.add_parser("move", help="move a collection's index to a server, or back")
    move.add_argument("--collection", required=True, metavar="NAME")
    move.add_argument("--to", required=True, metavar="URL", help=f"postgresql://…, milvus://…, or `{LOCAL}`")
    move.add_argument("--keep", action="store_true", help="moving back: leave the server's copy where it is")
    move.set_defaults(command=_move)
    search = commands.add_parser("search", help="search a collection; no model is asked")
    search.add_argument("query")
    search.add_argument("--collection", default=DEFAULT_COLLECTION, metavar="NAME")
    search.add_argument("--top-k", type=int, default=10)
    for name in _FILTERS:
        search.add_argument(f"--{name}", action="append", default=[], help="only these; may be repeated")
    for name in ("after", "before"):
        search.add_argument(f"--{name}", type=_day, metavar="YYYY-MM-DD", help="by the day of the last change")
    search.add_argument("--json", action="store_true", help="print one JSON object")
    search.set_defaults(command=_search)
    drop = commands.add_parser("drop", help="delete a collection's copy on the server of FOURFOLD_INDEX_URL")
    drop.add_argument("--collection", required=True, metavar="NAME")
    drop.set_defaults(command=_drop)
    estimate = commands.add_parser("estimate", help="memory, disk and time that so many passages take")
    estimate.add_argument("passages", type=int)
    estimate.add_argument("--dimension", type=int, default=384, help="numbers of a vector")
    estimate.set_defaults(command=_estimate)
    where = commands.add_parser("where", help="tell where each collection is searched")
    where.set_defaults(command=_where)
    return parser


def _day(text: str) -> float:
    """The beginning of a day on this machine's clock, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def _search(settings: Settings, options: argparse.Namespace) -> None:
    filters = {field: tuple(getattr(options, name)) for name, field in _FILTERS.items()}
    scope = Scope(options.collection, **filters, modified_after=options.after, modified_before=options.before)
    searcher = Library(settings, open_embedder(settings)).searcher()
    found = searcher.retrieve(options.query, scope, options.top_k)
    legs = searcher.search_legs(options.query, scope, options.top_k)
    searcher.close()
    if options.json:
        print(
            json.dumps({**asdict(found), "legs": {leg: _shown(hits) for leg, hits in legs.items()}}, ensure_ascii=False)
        )
        return
    took, level = found.milliseconds["total"], found.evidence.level
    print(f"searched {found.searched:,} passages in {took:.0f} ms, evidence {level} ({found.evidence.value:.2f})")
    for name, hits in {**legs, "together": found.chunks}.items():
        print(f"\n{name}")
        for rank, row in enumerate(_shown(hits), start=1):
            shares = "  ".join(f"{leg} #{hits[rank - 1].ranks[leg]}" for leg in hits[rank - 1].ranks)
            print(f"{rank:>3}  {row['score']:8.3f}  {row['title']}  [{shares}]  {row['text']}")


def _shown(hits: Sequence[ScoredChunk]) -> list[dict[str, Any]]:
    """What a line says of a passage: its score, title, place and beginning."""
    return [
        {
            "score": round(hit.score, 4),
            "title": hit.chunk.title,
            "uri": hit.chunk.uri,
            "text": " ".join(hit.chunk.text.split())[:80],
        }
        for hit in hits
    ]


def _estimate(settings: Settings, options: argparse.Namespace) -> None:
    compact = compact_for(settings.index_memory, options.passages, options.dimension)
    told = described(options.passages, needs_of(options.passages, options.dimension, compact=compact))
    print(told.en, told.zh, sep="\n")


def _move(settings: Settings, options: argparse.Namespace) -> None:
    target = settings.model_copy(update={"index_url": ""})
    library = Library(target, open_embedder(settings))
    if options.to != LOCAL:
        _print_moved(options.collection, move_to(library, options.collection, open_backend(options.to), _show))
        print("To search there: FOURFOLD_INDEX_URL=(the URL)   在服务器上检索：设置 FOURFOLD_INDEX_URL")
        return
    _print_moved(options.collection, move_back(library, options.collection, _to_drop(settings, options)))


def _drop(settings: Settings, options: argparse.Namespace) -> None:
    server = _server(settings)
    is_gone = server.forget(CollectionKey(options.collection, "", "", 0, settings.owner))
    print(f"{options.collection}: {'dropped' if is_gone else 'nothing there'}  {server.name}")


def _to_drop(settings: Settings, options: argparse.Namespace) -> Backend | None:
    return None if options.keep else _server(settings)


def _server(settings: Settings) -> Backend:
    if not settings.index_url:
        raise SettingError(
            Bilingual(
                en="To drop the server's copy, FOURFOLD_INDEX_URL has to name the server; or leave it there: --keep",
                zh="要删除服务器上的副本，需用 FOURFOLD_INDEX_URL 指明服务器；或保留副本：--keep",
            )
        )
    return open_backend(settings.index_url)


def _where(settings: Settings, options: argparse.Namespace) -> None:
    library = Library(settings, open_embedder(settings))
    for name in library.names():
        with library.reader(name) as store:
            print(f"{name}\t{store.meta(INDEX_SERVER) or LOCAL}\t{store.counts()['chunks']}")


def _print_moved(name: str, moved: Moved) -> None:
    print(f"\r{name}: {moved.chunks} chunks, {moved.vectors} vectors, overlap {moved.overlap:.3f}  {moved.server}")


def _show(sent: int, to_send: int) -> None:
    # A line of its own where nobody watches.
    print(f"\r{sent:,} / {to_send:,}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
