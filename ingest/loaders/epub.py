"""EPUB: the chapters in the order of the spine, each a page."""

import posixpath
import urllib.parse

from core.types import Page
from ingest import reasons
from ingest.loaders.containers import Container, local_name
from ingest.loaders.encoding import decode
from ingest.loaders.html import html_to_markdown
from ingest.types import Parsed, Source


def load_epub(source: Source) -> Parsed:
    """One `Page` per chapter, labelled with its title."""
    container = Container(source)
    if "META-INF/encryption.xml" in container and b"EncryptedData" in container.read("META-INF/encryption.xml"):
        protected = b"adobe.com/adept" in container.read("META-INF/rights.xml") or "META-INF/rights.xml" in container
        if protected:
            raise reasons.encrypted(source.name)
    package = _package(container)
    root = container.xml(package)
    if root is None:
        raise reasons.damaged(source.name, "no package document")
    folder = posixpath.dirname(package)
    items = {item.get("id"): item.get("href", "") for item in root.iter("{*}item")}
    pages: list[Page] = []
    for reference in root.iter("{*}itemref"):
        path = urllib.parse.unquote(items.get(reference.get("idref"), "")).partition("#")[0]
        title, text, _ = html_to_markdown(decode(container.read(posixpath.normpath(posixpath.join(folder, path)))))
        if text:
            pages.append(Page(text, len(pages) + 1, title))
    stated = {
        local_name(element): " ".join((element.text or "").split())
        for element in reversed(list(root.iter("{*}title", "{*}creator", "{*}date", "{*}language")))
    }
    metadata = {"author": stated.get("creator", ""), "date": stated.get("date", ""), "lang": stated.get("language", "")}
    kept = {key: value for key, value in metadata.items() if value}
    return Parsed(tuple(pages), stated.get("title", ""), "application/epub+zip", "markdown", kept)


def _package(container: Container) -> str:
    root = container.xml("META-INF/container.xml")
    listed = [] if root is None else [file.get("full-path", "") for file in root.iter("{*}rootfile")]
    found = [name for name in container.names if name.endswith(".opf")]
    return next((name for name in (*listed, *found) if name in container), "")
