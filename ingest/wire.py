"""How a parsed file, or the reason why there is none, travels from the child process: one line of JSON."""

import json
from collections.abc import Sequence
from typing import Any

from core import errors
from core.language import Bilingual
from core.types import Page
from ingest.types import Parsed, Table

_ATTEMPTS = '{"attempts": '


def dump(parsed: Parsed) -> str:
    """The reply for a file that was read."""
    fields = {
        "pages": [[page.text, page.number, page.label] for page in parsed.pages],
        "title": parsed.title,
        "media_type": parsed.media_type,
        "structure": parsed.structure,
        "metadata": dict(parsed.metadata),
        "warnings": [[warning.en, warning.zh] for warning in parsed.warnings],
        "tables": [[table.name, table.columns, table.rows, table.page] for table in parsed.tables],
        "garbled_pages": parsed.garbled_pages,
        "ocr_pages": parsed.ocr_pages,
        "incomplete": parsed.incomplete,
    }
    return json.dumps({"parsed": fields}, default=str)


def dump_error(error: errors.DocumentError) -> str:
    """The reply for a file that could not be read."""
    return json.dumps({"error": type(error).__name__, "en": error.message.en, "zh": error.message.zh})


def with_attempts(reply: str, attempts: Sequence[str]) -> str:
    """The reply with what the parser tried to connect to, where it did."""
    return f"{_ATTEMPTS}{json.dumps(list(attempts))}, {reply[1:]}" if attempts else reply


def attempts(line: str) -> tuple[str, ...]:
    """What the parser tried to connect to while it read the file; almost always nothing."""
    return tuple(json.loads(line)["attempts"]) if line.startswith(_ATTEMPTS) else ()


def load(line: str) -> Parsed:
    """Read a reply. Raises the DocumentError that it carries."""
    reply = json.loads(line)
    if "error" in reply:
        raise _error(reply)
    fields: dict[str, Any] = reply["parsed"]
    return Parsed(
        pages=tuple(Page(*page) for page in fields.pop("pages")),
        warnings=tuple(Bilingual(*warning) for warning in fields.pop("warnings")),
        tables=tuple(
            Table(name, tuple(columns), tuple(tuple(row) for row in rows), page)
            for name, columns, rows, page in fields.pop("tables")
        ),
        garbled_pages=tuple(fields.pop("garbled_pages")),
        ocr_pages=tuple(fields.pop("ocr_pages")),
        **fields,
    )


def _error(reply: dict[str, str]) -> errors.DocumentError:
    kind = getattr(errors, reply["error"], errors.DocumentError)
    known = kind if issubclass(kind, errors.DocumentError) else errors.DocumentError
    return known(Bilingual(en=reply["en"], zh=reply["zh"]))
