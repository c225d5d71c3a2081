"""Which loader reads a file: by what its bytes are first, by what its name says second."""

import importlib
import io
import re
import zipfile

from core.language import Bilingual
from ingest import reasons
from ingest.types import Parsed, Source

MAX_DEPTH = 3
_ZIP, _OLE, _PDF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"%PDF-"
# Kind of file -> the function that reads it, imported when the first such file comes.
_LOADERS = {
    "pdf": "pdf.load_pdf",
    "docx": "docx.load_docx",
    "pptx": "pptx.load_pptx",
    "spreadsheet": "spreadsheet.load_spreadsheet",
    "csv": "delimited.load_delimited",
    "html": "html.load_html",
    "markdown": "text.load_markdown",
    "rst": "text.load_rst",
    "subtitles": "text.load_subtitles",
    "code": "text.load_code",
    "text": "text.load_text",
    "json": "structured.load_json",
    "xml": "structured.load_xml",
    "epub": "epub.load_epub",
    "opendocument": "opendocument.load_opendocument",
    "rtf": "rtf.load_rtf",
    "mail": "mail.load_mail",
    "mbox": "mail.load_mbox",
    "outlook": "outlook.load_outlook",
    "doc": "legacy_word.load_doc",
    "ppt": "legacy_slides.load_ppt",
    "office_encrypted": "office_password.load_encrypted",
    "archive": "archive.load_archive",
    "compressed": "archive.load_compressed",
    "picture": "picture.load_picture",
}
_BY_SUFFIX = {
    "html": "html htm xhtml shtml",
    "markdown": "md markdown mdx qmd",
    "rst": "rst",
    "csv": "csv tsv tab",
    "json": "json jsonl ndjson geojson ipynb",
    "xml": "xml rss atom xsd xsl svg plist opml dita",
    "subtitles": "srt vtt",
    "mail": "eml",
    "mbox": "mbox",
    "text": "txt text log asc adoc tex org",
    "picture": "png jpg jpeg tif tiff bmp gif webp",
    "code": "py pyi js mjs ts tsx jsx java kt scala go rs c h cc cpp hpp cs swift rb php pl lua r jl sh bash zsh ps1 "
    "bat sql css scss less vue svelte toml yaml yml ini cfg conf properties gradle cmake proto graphql tf dockerfile "
    "makefile",
}
KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in _BY_SUFFIX.items() for suffix in suffixes.split()}
# Formats that are never plain text: other bytes under such a name are a damaged file.
_BINARY_SUFFIXES_NAMES = """
    pdf docx docm dotx pptx pptm xlsx xlsm xlsb xls doc ppt msg odt ods odp ott epub zip gz 7z rar tar tgz ooxml
"""
_BINARY_SUFFIXES = frozenset(_BINARY_SUFFIXES_NAMES.split())
KNOWN_SUFFIXES = frozenset(KIND_OF_SUFFIX) | _BINARY_SUFFIXES | {"rtf", "xz", "bz2"}
_MAIL_HEADER = re.compile(
    rb"\A(?:\S*\r?\n)?(?:received|return-path|from|to|date|subject|mime-version|delivered-to|message-id|x-[\w-]+): ",
    re.IGNORECASE,
)


def load(source: Source) -> Parsed:
    """Read a file of any known kind. Raises a DocumentError with the reason where it cannot be read."""
    if not source.data:
        raise reasons.empty(source.name)
    if source.depth > MAX_DEPTH:
        raise reasons.too_large(source.name, Bilingual("it is nested too deep", "嵌套层数过多"))
    module, _, function = _LOADERS[kind_of(source)].partition(".")
    loader = getattr(importlib.import_module(f"ingest.loaders.{module}"), function)
    parsed: Parsed = loader(source)
    return parsed


def load_objects(source: Source) -> Parsed | None:
    """What is inserted in an office file as objects; None where it is no such file."""
    if not source.data.startswith(_ZIP) or kind_of(source) not in ("docx", "pptx", "spreadsheet"):
        return None
    from ingest.loaders import archive

    return archive.load_objects(source)


def kind_of(source: Source) -> str:
    """The key of the loader. Raises UnsupportedFormatError or DocumentDamagedError where there is none."""
    data, suffix = source.data, source.suffix
    if _PDF in data[:1024]:
        return "pdf"
    if data.startswith(_OLE):
        return _kind_of_ole(source)
    if data.startswith(_ZIP) or (suffix in _BINARY_SUFFIXES and _ZIP in data[: 1 << 20]):
        return _kind_of_zip(source)
    by_bytes = _kind_by_first_bytes(source)
    if by_bytes:
        return by_bytes
    if suffix in _BINARY_SUFFIXES:
        return _text_under_binary_name(source)
    return KIND_OF_SUFFIX.get(suffix) or _kind_of_text(data)


def _kind_by_first_bytes(source: Source) -> str:
    data = source.data
    if data.lstrip()[:5] == b"{\\rtf":
        return "rtf"
    if data.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")):
        return "compressed"
    if data[257:262] == b"ustar" or data.startswith((b"7z\xbc\xaf'\x1c", b"Rar!\x1a\x07")):
        return "archive"
    if data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")):
        return "picture"
    return ""


def _kind_of_zip(source: Source) -> str:
    """Office files, books and plain archives are all ZIP: what lies inside tells them apart."""
    names = _zip_names(source.data)
    if any(name.startswith("word/") for name in names):
        return "docx"
    if any(name.startswith("ppt/") for name in names):
        return "pptx"
    if any(name.startswith("xl/") for name in names):
        return "spreadsheet"
    if "META-INF/container.xml" in names and any(name.endswith(".opf") for name in names):
        return "epub"
    if "content.xml" in names and ("mimetype" in names or "META-INF/manifest.xml" in names):
        return "spreadsheet" if source.suffix == "ods" else "opendocument"
    by_suffix = {"docx": "docx", "docm": "docx", "pptx": "pptx", "xlsx": "spreadsheet", "xlsb": "spreadsheet"}
    return by_suffix.get(source.suffix, "archive")


def _zip_names(data: bytes) -> set[str]:
    try:
        return set(zipfile.ZipFile(io.BytesIO(data)).namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        from ingest.loaders.containers import local_names

        return local_names(data)


def _kind_of_ole(source: Source) -> str:
    from ingest.loaders.compound import stream_names

    names = {name.lower() for name in stream_names(source)}
    marks = (
        ("EncryptedPackage", "office_encrypted"),
        ("WordDocument", "doc"),
        ("PowerPoint Document", "ppt"),
        ("PP97_DUALSTORAGE", "ppt"),
        ("Workbook", "spreadsheet"),
        ("Book", "spreadsheet"),
        ("__properties_version1.0", "outlook"),
    )
    for mark, kind in marks:
        if mark.lower() in names:
            return kind
    if source.suffix in ("doc", "xls", "ppt", "msg"):
        raise reasons.damaged(source.name, "its main stream is missing")
    raise reasons.unsupported(source.name, "OLE")


def _text_under_binary_name(source: Source) -> str:
    """Programs save HTML, XML or mail under .doc and .xls; anything else under such a name is damage."""
    kind = _kind_of_text(source.data)
    if kind in ("html", "xml", "mail"):
        return kind
    raise reasons.damaged(source.name)


def _kind_of_text(data: bytes) -> str:
    head = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "html"
    if head.startswith(b"<?xml"):
        return "xml"
    if data.startswith(b"From "):
        return "mbox"
    return "mail" if _MAIL_HEADER.match(data[:512]) else "text"
