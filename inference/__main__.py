"""`python -m inference list | show NAME | pull NAME`: the models that can be had, what they need, and getting one."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from core.config import Settings, load_settings
from core.errors import FourfoldError
from inference.catalog import CATALOG, CatalogEntry, downloaded, estimate_entry, find_entry, recommended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference", description="Chat models by name.")
    parser.add_argument("command", choices=("list", "show", "pull"))
    parser.add_argument("name", nargs="?", default="", help="name in the catalogue")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        result = _run(options.command, options.name, settings)
    except FourfoldError as error:
        print(error.message.in_(load_settings().language), file=sys.stderr)
        return 2
    print(json.dumps(result, ensure_ascii=False, indent=None if options.json else 2))
    return 0


def _run(command: str, name: str, settings: Settings) -> dict[str, Any]:
    if command == "list":
        best = recommended(settings.n_ctx)
        models = [_described(entry, settings) for entry in CATALOG]
        return {"models": models, "recommended": best.name if best else None}
    entry = find_entry(name)
    if command == "pull":
        from inference.download import download

        # The numbers come before the download, not after it.
        print(json.dumps(_described(entry, settings), ensure_ascii=False), file=sys.stderr)
        return {"name": entry.name, "path": str(download(entry, settings))}
    return _described(entry, settings)


def _described(entry: CatalogEntry, settings: Settings) -> dict[str, Any]:
    estimate = estimate_entry(entry, settings.n_ctx)
    path = downloaded(entry, settings.paths.models)
    return {
        "name": entry.name,
        "repository": entry.repository,
        "file": entry.file,
        "gigabytes": round(entry.file_bytes / 1e9, 2),
        "licence": entry.licence,
        "languages": list(entry.languages),
        "context": entry.n_ctx_train,
        "needs_gigabytes": round(estimate.needed / 1e9, 2),
        "free_gigabytes": round(estimate.available / 1e9, 2),
        "fit": estimate.fit,
        "path": str(path) if path else None,
    }


if __name__ == "__main__":
    sys.exit(main())
