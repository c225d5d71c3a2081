"""Writes the settings file: the values that a person changes on the page."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

Value = str | int | float | bool


def save(path: Path, changes: Mapping[str, Value]) -> None:
    """Merge `changes` into the settings file, which is replaced as a whole or not at all.

    Validate first: what is written here is read by `core.config.load_settings` at the next start.
    """
    known: dict[str, Value] = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    lines = [f"{name} = {_literal(value)}" for name, value in sorted({**known, **changes}.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.new")
    beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    beside.replace(path)


def _literal(value: Value) -> str:
    # A JSON string, number or boolean is the same in TOML, once DEL is escaped too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
