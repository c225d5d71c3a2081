"""SHA-256 of large files, remembered while size and time of change stay the same."""

import hashlib
import json
from pathlib import Path

HASHES_FILE = "model-hashes.json"


def sha256_of(path: Path, cache_folder: Path) -> str:
    """The hash of the file in hexadecimal; computed once per file, size and time of change."""
    known_file = cache_folder / HASHES_FILE
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    known = _read(known_file)
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        _write(known_file, known)
    return known[key]


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Absent or damaged: it is only a cache.
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, known: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(known, indent=1), encoding="utf-8")
    beside.replace(path)
