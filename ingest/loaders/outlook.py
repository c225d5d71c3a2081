"""MSG: Outlook's messages, read from their property streams ([MS-OXMSG])."""

from typing import Any

from core.language import Bilingual
from core.types import Page
from ingest.loaders.compound import opened, read_stream
from ingest.loaders.encoding import decode
from ingest.loaders.html import html_to_markdown
from ingest.loaders.mail import mail_head, read_attachment
from ingest.loaders.rtf import rtf_text
from ingest.loaders.rtf_compressed import decompress
from ingest.types import Parsed, Source

# Property tags of [MS-OXPROPS].
_SUBJECT, _BODY, _HTML, _RTF = "0037", "1000", "1013", "1009"
_SENDER, _SENDER_ADDRESS, _TO, _CC = "0C1A", "0C1F", "0E04", "0E03"
_ATTACHMENT_NAMES, _ATTACHMENT_DATA = ("3707", "3704", "3001"), "3701"
_HEADERS = "007D"


def load_outlook(source: Source) -> Parsed:
    """The message is page 1; attachments follow with their own pages."""
    with opened(source) as container:
        fields = _fields(container)
        body = _body(container)
        pages = [Page("\n\n".join(filter(None, (mail_head(fields), body))), 1, fields["Subject"])]
        warnings: list[Bilingual] = []
        for name, data in _attachments(container):
            found, told = read_attachment(source, name, data, len(pages))
            pages.extend(found)
            warnings.extend(told)
    metadata = {key: value for key, value in (("author", fields["From"]), ("date", fields["Date"])) if value}
    kind = "application/vnd.ms-outlook"
    return Parsed(
        tuple(pages), fields["Subject"], kind, "markdown", metadata, tuple(warnings), incomplete=bool(warnings)
    )


def _fields(container: Any) -> dict[str, str]:
    sender = " ".join(filter(None, (_string(container, _SENDER), _string(container, _SENDER_ADDRESS))))
    headers = _string(container, _HEADERS)
    date = next((line[5:].strip() for line in headers.splitlines() if line.lower().startswith("date:")), "")
    return {
        "Subject": _string(container, _SUBJECT),
        "From": sender,
        "To": _string(container, _TO),
        "Cc": _string(container, _CC),
        "Date": date,
    }


def _body(container: Any) -> str:
    """Plain text where there is some, else HTML, else RTF."""
    plain = _string(container, _BODY)
    if plain.strip():
        return plain
    html = read_stream(container, f"__substg1.0_{_HTML}0102") or _string(container, _HTML).encode("utf-8")
    if html:
        return html_to_markdown(decode(html))[1]
    packed = read_stream(container, f"__substg1.0_{_RTF}0102")
    return rtf_text(decompress(packed).decode("latin-1")) if packed else ""


def _attachments(container: Any) -> list[tuple[str, bytes]]:
    found = []
    storages = {entry[0] for entry in container.listdir() if entry[0].startswith("__attach_version1.0_")}
    for storage in sorted(storages)[:50]:
        data = read_stream(container, storage, f"__substg1.0_{_ATTACHMENT_DATA}0102")
        name = next(filter(None, (_string(container, tag, storage) for tag in _ATTACHMENT_NAMES)), "attachment")
        if data and not name.lower().endswith((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".wmf", ".emf")):
            found.append((name, data))
    return found


def _string(container: Any, tag: str, *storage: str) -> str:
    """A text property: UTF-16 under type 001F, the sender's code page under 001E."""
    wide = read_stream(container, *storage, f"__substg1.0_{tag}001F")
    if wide:
        return wide.decode("utf-16-le", "replace").rstrip("\x00")
    narrow = read_stream(container, *storage, f"__substg1.0_{tag}001E")
    return decode(narrow).text.rstrip("\x00") if narrow else ""
