"""7z and RAR archives: read by an optional package or an installed program, under the limits of archives."""

import io
import shutil

import py7zr
import pytest

from core.errors import (
    DocumentDamagedError,
    DocumentEncryptedError,
    DocumentTooLargeError,
    UnsupportedFormatError,
)
from ingest.loaders.packed import packed_entries, present
from ingest.loaders.registry import load
from ingest.types import Parsed, Source
from tests.ingest import builders

has_bsdtar = pytest.mark.skipif(shutil.which("bsdtar") is None, reason="bsdtar is not installed")
TEXTS = {"notes/a.txt": b"The lantern burns.", "b.md": b"# Head\n\nSecond.", "c.exe": b"\x00" * 40}


def seven_zip(entries: dict[str, bytes], password: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password=password) as archive:
        for name, content in entries.items():
            archive.writestr(content, name)
    return buffer.getvalue()


def pages(parsed: Parsed) -> dict[str | None, str]:
    return {page.label: page.text for page in parsed.pages}


def test_the_texts_of_a_7z_are_pages_under_their_names():
    parsed = load(Source("a.7z", seven_zip(TEXTS)))
    assert list(pages(parsed)) == ["notes/a.txt", "b.md"]
    assert pages(parsed)["notes/a.txt"] == "# notes/a.txt\n\nThe lantern burns."


@has_bsdtar
def test_both_ways_to_open_a_7z_find_the_same():
    source = Source("a.7z", seven_zip(TEXTS))
    everything = dict(packed_entries(source, lambda _name: True))
    by_program = dict(packed_entries(source, lambda _name: True, {"7z": present()["RAR"]}))
    assert everything == by_program == TEXTS


@has_bsdtar
def test_the_texts_of_a_rar_are_pages_under_their_names():
    parsed = load(Source("a.rar", builders.rar(TEXTS)))
    assert pages(parsed)["b.md"] == "# b.md\n\n# Head\n\nSecond."
    assert "c.exe" not in pages(parsed)


@has_bsdtar
def test_a_broken_rar_is_named():
    with pytest.raises(DocumentDamagedError):
        load(Source("a.rar", b"Rar!\x1a\x07\x00" + b"x" * 60))


@pytest.mark.parametrize(("kind", "data"), [("7z", seven_zip(TEXTS)), ("RAR", builders.rar(TEXTS))])
def test_without_a_way_to_open_it_the_reason_says_what_to_install(kind: str, data: bytes):
    with pytest.raises(UnsupportedFormatError) as caught:
        packed_entries(Source("a.bin", data), lambda _name: True, {})
    assert kind in caught.value.message.en
    assert "install" in caught.value.message.en
    assert kind in caught.value.message.zh


def test_a_7z_with_a_password_opens_with_it_alone():
    locked = seven_zip(TEXTS, password="tide")
    with pytest.raises(DocumentEncryptedError):
        load(Source("a.7z", locked))
    with pytest.raises(DocumentEncryptedError):
        load(Source("a.7z", locked, password="ebb"))
    assert "The lantern burns." in pages(load(Source("a.7z", locked, password="tide")))["notes/a.txt"]


@pytest.mark.parametrize("way", ["7z", "RAR"])
def test_an_archive_that_unpacks_a_thousandfold_is_refused(way: str):
    if way not in present():
        pytest.skip("bsdtar is not installed")
    bomb = Source("bomb.7z", seven_zip({"zeros.txt": bytes(60_000_000)}))
    assert len(bomb.data) < 60_000
    with pytest.raises(DocumentTooLargeError):
        list(packed_entries(bomb, lambda _name: True, {"7z": present()[way]}))


def test_many_entries_are_refused():
    with pytest.raises(DocumentTooLargeError):
        load(Source("a.7z", seven_zip({f"{n}.txt": b"x" for n in range(2_001)})))
