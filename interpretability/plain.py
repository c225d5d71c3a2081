"""Any value of this package as plain JSON: for `--json`, for pictures, and to keep an X-ray beside its answer."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

_SIGNIFICANT = 6
_ANSWER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def to_plain(value: Any) -> Any:
    """Dataclasses become objects, arrays nested lists with six significant digits, bytes hexadecimal, paths names."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return value.name
    return float(f"{value:.{_SIGNIFICANT}g}") if isinstance(value, float) else value


def keep_xray(folder: Path, answer_id: str, value: Any) -> Path:
    """Store an X-ray with the answer `answer_id`, replacing an earlier one. Raises ValueError for an odd id."""
    path = _place(folder, answer_id)
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(to_plain(value), ensure_ascii=False), encoding="utf-8")
    draft.replace(path)
    return path


def kept_xray(folder: Path, answer_id: str) -> Any:
    """What was stored with the answer, as plain values; None where nothing was or it cannot be read."""
    try:
        return json.loads(_place(folder, answer_id).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None


def forget_xrays(folder: Path, is_known: Callable[[str], bool]) -> int:
    """Delete what was stored with answers that are gone; returns how many. What is deleted must not live on here."""
    orphans = [path for path in folder.glob("*.json") if not is_known(path.stem)]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)


def _place(folder: Path, answer_id: str) -> Path:
    if not _ANSWER_ID.fullmatch(answer_id):
        raise ValueError(f"{answer_id!r} is not the id of an answer")
    return folder / f"{answer_id}.json"
