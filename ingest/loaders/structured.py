"""JSON, JSON lines and XML: what a person would read in them, with the names of the fields."""

import json
import re
from collections.abc import Iterator
from typing import Any

from core.types import Page
from ingest import reasons
from ingest.loaders.containers import attribute, local_name, parse_xml
from ingest.loaders.encoding import decode
from ingest.loaders.html import load_html
from ingest.loaders.tables import as_table
from ingest.types import Cell, Parsed, Source, Table

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_MAX_DEPTH = 60
_FEWEST_ROWS = 2


def load_json(source: Source) -> Parsed:
    """Lines `path: value`, records apart; a list of flat records is also a table. A notebook gives its cells."""
    decoded = decode(source.data)
    metadata = {"encoding": decoded.encoding, "encoding_guessed": decoded.guessed}
    try:
        values = _values(decoded.text)
    except (ValueError, RecursionError) as error:
        raise reasons.damaged(source.name, str(error)) from error
    if isinstance(values, dict) and isinstance(values.get("cells"), list) and "nbformat" in values:
        return Parsed((Page(_notebook(values["cells"])),), "", "application/x-ipynb+json", "markdown", metadata)
    records = values if isinstance(values, list) else [values]
    text = "\n\n".join("\n".join(_lines(record, "", 0)) for record in records)
    table = _records_table(source.stem, records)
    return Parsed(
        (Page(text),), "", "application/json", "plain", metadata, tables=(table,) if table is not None else ()
    )


def load_xml(source: Source) -> Parsed:
    """Every element that holds text, as `name: text`; XHTML is read as HTML."""
    decoded = decode(source.data)
    # Decoded by us: the parser knows few of the encodings that files declare, and believes every declaration.
    root = parse_xml(_DECLARATION.sub("", decoded.text, count=1).encode("utf-8", "replace"))
    if root is None:
        raise reasons.damaged(source.name, "no XML")
    if local_name(root).lower() == "html":
        return load_html(source)
    title = next((" ".join((element.text or "").split()) for element in root.iter("{*}title", "title")), "")
    metadata = {"encoding": decoded.encoding, "encoding_guessed": decoded.guessed}
    return Parsed((Page("\n".join(_elements(root))),), title, "application/xml", "plain", metadata)


def _values(text: str) -> Any:
    """One value, or a list of the values of each line."""
    try:
        return json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < _FEWEST_ROWS:
            raise
        return [json.loads(line) for line in lines]


def _lines(value: Any, path: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        for key, inner in value.items():
            yield from _lines(inner, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list) and depth < _MAX_DEPTH:
        if all(not isinstance(inner, dict | list) for inner in value):
            yield f"{path}: {', '.join(str(inner) for inner in value)}" if path else ", ".join(map(str, value))
        else:
            for inner in value:
                yield from _lines(inner, path, depth + 1)
    elif value is not None and value != "":
        yield f"{path}: {value}" if path else str(value)


def _records_table(name: str, records: list[Any]) -> Table | None:
    """Records of scalars with shared fields make a table; nested values do not."""
    flat = [record for record in records if isinstance(record, dict)]
    if len(flat) < _FEWEST_ROWS or len(flat) < len(records):
        return None
    columns = list(dict.fromkeys(str(key) for record in flat[:1000] for key in record))
    if any(isinstance(value, dict | list) for record in flat[:1000] for value in record.values()):
        return None
    rows: list[list[Cell]] = [list(columns)]
    rows.extend([_scalar(record.get(column)) for column in columns] for record in flat)
    return as_table(name, rows)


def _scalar(value: Any) -> Cell:
    return int(value) if isinstance(value, bool) else value if isinstance(value, str | int | float) else None


def _notebook(cells: list[Any]) -> str:
    blocks = []
    for cell in (cell for cell in cells if isinstance(cell, dict)):
        body = "".join(cell.get("source", "")).strip()
        blocks.append(f"```python\n{body}\n```" if cell.get("cell_type") == "code" and body else body)
    return "\n\n".join(filter(None, blocks))


def _elements(root: Any) -> Iterator[str]:
    """In document order. Text that stands between elements belongs to the element around it."""
    for element in root.iter():
        name = local_name(element)
        if not name:
            continue
        own = " ".join([element.text or "", *(child.tail or "" for child in element)]).split()
        label = attribute(element, "name") or attribute(element, "title") or attribute(element, "label")
        if own:
            yield f"{name}: {' '.join(own)}"
        elif label:
            yield f"{name}: {label}"
