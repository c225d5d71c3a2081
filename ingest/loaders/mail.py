"""Mail: EML and MBOX, with what is attached. Nothing that a mail links to is fetched."""

import email
import email.header
import email.policy
import re
from collections.abc import Iterator
from email.errors import MessageError
from email.message import Message
from typing import Any

from core.errors import DocumentError
from core.language import Bilingual
from core.types import Page
from ingest.loaders.encoding import decode
from ingest.loaders.html import html_to_markdown
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Parsed, Source

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_MAX_ATTACHMENTS = 50
_MAX_PARTS = 500
_SEPARATOR = re.compile(rb"^From .*\r?\n(?=\S+:)", re.MULTILINE)
_MAX_MAILS = 5_000
_CANNOT_READ = (MessageError, ValueError, LookupError, TypeError, AttributeError, IndexError, KeyError, AssertionError)


def load_mail(source: Source) -> Parsed:
    """The mail is page 1; every attachment that can be read follows with its own pages."""
    message = email.message_from_bytes(_repaired(source.data), policy=email.policy.compat32)
    text = _mail_text(message)
    subject = _header(message, "Subject")
    pages, warnings = [Page(text, 1, subject)], []
    for name, data in _attachments(message):
        found, warning = read_attachment(source, name, data, len(pages))
        pages.extend(found)
        warnings.extend(warning)
    metadata = {"author": _header(message, "From"), "date": _header(message, "Date")}
    kept = {key: value for key, value in metadata.items() if value}
    return Parsed(tuple(pages), subject, "message/rfc822", "markdown", kept, tuple(warnings), incomplete=bool(warnings))


def load_mbox(source: Source) -> Parsed:
    """Every mail of the box is a page (with its attachments' pages after it)."""
    starts = [match.start() for match in _SEPARATOR.finditer(source.data)][:_MAX_MAILS]
    if not starts:
        return load_mail(source)
    pages: list[Page] = []
    warnings: list[Bilingual] = []
    for start, end in zip(starts, [*starts[1:], len(source.data)], strict=True):
        body = source.data[start:end].partition(b"\n")[2]
        parsed = load_mail(Source(source.name, body, source.password, source.depth))
        pages.extend(Page(page.text, len(pages) + place, page.label) for place, page in enumerate(parsed.pages, 1))
        warnings.extend(parsed.warnings)
    return Parsed(
        tuple(pages),
        "",
        "application/mbox",
        "markdown",
        {"mails": len(starts)},
        tuple(warnings),
        incomplete=bool(warnings),
    )


def read_attachment(source: Source, name: str, data: bytes, before: int) -> tuple[list[Page], list[Bilingual]]:
    """The pages of something attached, numbered after `before`; a warning in their place where it cannot be read."""
    from ingest.loaders import registry

    try:
        parsed = registry.load(Source(name, data, source.password, source.depth + 1))
    except DocumentError as error:
        return [], [error.message]
    pages = [
        Page(page.text, before + place, " / ".join(filter(None, (name, page.label))))
        for place, page in enumerate(parsed.pages, 1)
        if page.text.strip()
    ]
    return pages, list(parsed.warnings)


def mail_head(fields: dict[str, str]) -> str:
    """The lines that a reader of the mail would see above it; the subject as the heading."""
    writer = MarkdownWriter()
    writer.heading(fields.get("Subject", ""), 1)
    writer.paragraph("\n".join(f"{name}: {fields[name]}" for name in _SHOWN if fields.get(name) and name != "Subject"))
    return writer.text()


def _repaired(data: bytes) -> bytes:
    """UTF-16 mails made readable as bytes, and a stray line before the headers dropped."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[1:2] == b"\x00":
        data = decode(data).text.encode("utf-8")
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    first, _, rest = data.partition(b"\n")
    return rest if first.startswith((b"From ", b">From ")) else data


def _mail_text(message: Message) -> str:
    head = mail_head({name: _header(message, name) for name in _SHOWN})
    plain: list[str] = []
    html: list[str] = []
    for part in _parts(message):
        if part.get_content_maintype() != "text" or _is_attachment(part):
            continue
        (html if part.get_content_subtype() == "html" else plain).append(_body(part))
    body = "\n\n".join(plain) if any(text.strip() for text in plain) else "\n\n".join(map(_html_text, html))
    return "\n\n".join(filter(None, (head, body)))


def _parts(message: Message) -> Iterator[Message]:
    for count, part in enumerate(message.walk()):
        if count >= _MAX_PARTS:
            return
        if not part.is_multipart():
            yield part


def _body(part: Message) -> str:
    payload = _payload(part)
    return decode(payload, part.get_content_charset("") or "").text


def _payload(part: Any) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except _CANNOT_READ:
        payload = None
    return payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "replace")


def _html_text(html: str) -> str:
    return html_to_markdown(decode(html.encode("utf-8")))[1]


def _is_attachment(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_filename(part))


def _attachments(message: Message) -> Iterator[tuple[str, bytes]]:
    found = 0
    for part in _parts(message):
        if (
            found < _MAX_ATTACHMENTS
            and _is_attachment(part)
            and part.get_content_maintype() not in ("image", "audio", "video")
        ):
            found += 1
            yield _filename(part) or "attachment", _payload(part)


def _filename(part: Message) -> str:
    try:
        return _decoded(part.get_filename() or "")
    except _CANNOT_READ:
        return ""


def _header(message: Message, name: str) -> str:
    try:
        # The raw value: `get` replaces bytes that break the rules before we can guess their encoding.
        values = (value for key, value in message.raw_items() if key.lower() == name.lower())
        return _decoded(str(next(values, "")))
    except _CANNOT_READ:
        return ""


def _decoded(raw: str) -> str:
    """Encoded words made text; raw bytes in a header (against the rules, and common) decoded by the usual guess."""
    pieces = []
    for piece, charset in email.header.decode_header(raw):
        data = piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogateescape")
        pieces.append(decode(data, charset or "").text)
    return " ".join("".join(pieces).split())
