"""A conversation as a file: Markdown to read, JSON to keep everything."""

import json
from collections.abc import Sequence

from app.answer_view import view_of_message
from app.wording import Wording
from orchestrator.history import StoredMessage
from orchestrator.serialise import plain


def as_markdown(title: str, thread: Sequence[StoredMessage], words: Wording) -> str:
    """The turns in order, each answer with the sources it cites."""
    parts = [f"# {title}"]
    for message in thread:
        who = words("export.question" if message.role == "user" else "export.answer")
        parts.append(f"## {who}\n\n{message.text}")
        if message.role == "assistant":
            parts.extend(_sources(message))
    return "\n\n".join(parts) + "\n"


def _sources(message: StoredMessage) -> list[str]:
    view = view_of_message(message)
    cited = {citation.number for citation in view.completed.citations} if view.completed else set()
    lines = []
    for source in view.used_sources:
        if source.number in cited:
            chunk = source.chunk.chunk
            place = f", {chunk.page}" if chunk.page is not None else ""
            lines.append(f"- [{source.number}] {chunk.title or chunk.uri}{place} ({chunk.uri})")
    return ["\n".join(lines)] if lines else []


def as_json(title: str, thread: Sequence[StoredMessage]) -> str:
    """The turns with their whole receipts."""
    return json.dumps(
        {"title": title, "messages": [plain(message) for message in thread]}, ensure_ascii=False, indent=1
    )
