"""`python -m retrieval`: where a collection's index is kept. `move` takes it to a server or back."""

import argparse
import sys
from collections.abc import Callable, Sequence

from core.config import Settings, load_settings
from core.errors import FourfoldError, SettingError
from core.language import Bilingual
from retrieval.backends.contract import Backend
from retrieval.backends.moving import Moved, move_back, move_to
from retrieval.backends.opening import open_backend
from retrieval.embedder import open_embedder
from retrieval.library import INDEX_SERVER, Library

LOCAL = "local"
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
    parser = argparse.ArgumentParser(prog="python -m retrieval", description="Where the search indexes are kept.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    move = commands.add_parser("move", help="move a collection's index to a server, or back")
    move.add_argument("--collection", required=True, metavar="NAME")
    move.add_argument("--to", required=True, metavar="URL", help=f"postgresql://…, or `{LOCAL}` for this machine")
    move.add_argument("--keep", action="store_true", help="moving back: leave the server's copy where it is")
    move.set_defaults(command=_move)
    where = commands.add_parser("where", help="tell where each collection is searched")
    where.set_defaults(command=_where)
    return parser


def _move(settings: Settings, options: argparse.Namespace) -> None:
    target = settings.model_copy(update={"index_url": ""})
    library = Library(target, open_embedder(settings))
    if options.to != LOCAL:
        _print_moved(options.collection, move_to(library, options.collection, open_backend(options.to), _show))
        print("To search there: FOURFOLD_INDEX_URL=(the URL)   在服务器上检索：设置 FOURFOLD_INDEX_URL")
        return
    _print_moved(options.collection, move_back(library, options.collection, _to_drop(settings, options)))


def _to_drop(settings: Settings, options: argparse.Namespace) -> Backend | None:
    if options.keep:
        return None
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
