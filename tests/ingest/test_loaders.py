"""Each format read back against what was written into it."""

import gzip
import io
import tarfile
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from core.errors import (
    DocumentDamagedError,
    DocumentEmptyError,
    DocumentEncryptedError,
    DocumentTooLargeError,
    UnsupportedFormatError,
)
from ingest.loaders import ocr
from ingest.loaders.registry import KIND_OF_SUFFIX, kind_of, load
from ingest.loaders.rtf_compressed import decompress
from ingest.loaders.tables import typed
from ingest.reading import read_file
from ingest.samples import sample_folder
from ingest.types import Parsed, Source
from tests.ingest import builders


def read(name: str, data: bytes | str, password: str = "") -> Parsed:
    return load(Source(name, data.encode() if isinstance(data, str) else data, password))


def text(parsed: Parsed) -> str:
    return "\n\n".join(page.text for page in parsed.pages)


def test_markdown_gives_its_front_matter_as_metadata():
    parsed = read("a.md", "---\ntitle: 'The Bay'\ndate: 2026-01-02\nmenu: {main: 1}\n---\n\n# Other\n\nText.\n")
    assert (parsed.title, parsed.metadata["date"], text(parsed)) == ("The Bay", "2026-01-02", "# Other\n\nText.\n")
    assert read("b.md", "# First *one* {#x}\n\nText.").title == "First *one*"
    assert text(read("_index.md", "---\ntitle: Docs\ndescription: All of them.\n---\n")) == "Docs\n\nAll of them."


def test_rst_titles_become_headings():
    parsed = read("a.rst", "=====\nTitle\n=====\n\nText.\n\nPart\n----\n\nMore.\n\nDeep\n~~~~\n")
    assert text(parsed) == "# Title\n\nText.\n\n## Part\n\nMore.\n\n### Deep\n"
    assert parsed.title == "Title"


def test_subtitles_keep_what_is_said():
    parsed = read(
        "a.srt", "1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i>\nthere\n\n2\n00:01:00,000 --> 00:01:02,000\nBye\n"
    )
    assert text(parsed) == "Hello there\nBye"
    assert text(read("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n")) == "Hello"


def test_html_keeps_structure_and_drops_what_is_not_text():
    parsed = read(
        "a.html",
        "<html lang='en'><head><title>A page</title><script>alert(1)</script></head><body><nav>Menu</nav><h2>Part</h2>"
        "<p>One<br>two <b>bold</b></p><ul><li>a</li><li>b</li></ul><pre>x = 1\n  y</pre>"
        "<table><tr><th>k</th><th>v</th></tr><tr><td>a|b</td><td>1</td></tr></table><style>p{}</style></body></html>",
    )
    assert parsed.title == "A page"
    assert text(parsed) == (
        "## Part\n\nOne\ntwo bold\n\n- a\n- b\n\n```\nx = 1\n  y\n```\n\n| k | v |\n| --- | --- |\n| a\\|b | 1 |"
    )


def test_docx_keeps_headings_lists_tables_and_its_own_facts():
    core = (
        '<c:coreProperties xmlns:c="http://x" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>Annual report</dc:title><dc:creator>Ada</dc:creator></c:coreProperties>"
    )
    styles = '<w:style w:styleId="H2"><w:name w:val="heading 2"/></w:style>'
    deleted = "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    body = (
        builders.paragraph("Part", "H2")
        + builders.paragraph("Words.")
        + deleted
        + builders.word_table([["k", "v"], ["a", "1"]])
    )
    parsed = read("a.docx", builders.docx(body, styles=styles, core=core))
    assert text(parsed) == "## Part\n\nWords.\n\n| k | v |\n| --- | --- |\n| a | 1 |"
    assert (parsed.title, parsed.metadata["author"]) == ("Annual report", "Ada")


def test_pptx_slides_come_in_the_order_of_the_presentation():
    parsed = read("a.pptx", builders.pptx([("First", ["one", "two"]), ("Second", ["three"])]))
    assert [(page.number, page.text) for page in parsed.pages] == [
        (1, "## First\n\n- one\n- two"),
        (2, "## Second\n\n- three"),
    ]


def test_xlsx_is_text_and_tables():
    rows: list[list[str | float]] = [
        ["Prices of 2026"],
        ["name", "price", "code"],
        ["lamp", 48.5, "007"],
        ["bag", 9.0, "8"],
    ]
    parsed = read("shop.xlsx", builders.xlsx({"Prices": rows, "Empty": []}))
    assert [(page.number, page.label) for page in parsed.pages] == [(1, "Prices"), (2, "Empty")]
    assert parsed.pages[0].text.endswith(
        "Prices of 2026\n\n| name | price | code |\n| --- | --- | --- |\n| lamp | 48.5 | 007 |\n| bag | 9 | 8 |"
    )
    table = parsed.tables[0]
    assert (table.columns, table.rows) == (("name", "price", "code"), (("lamp", 48.5, "007"), ("bag", 9, "8")))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_with_any_separator(separator: str):
    lines = [["name", "city", "sum"], ["Ada", "Bay, old", "1200"], ["Bo", "Hill", "7.5"]]
    data = "\n".join(separator.join(f'"{cell}"' for cell in line) for line in lines)
    table = read("a.csv", data).tables[0]
    assert table.columns == ("name", "city", "sum")
    assert table.rows == (("Ada", "Bay, old", 1200), ("Bo", "Hill", 7.5))


def test_cells_become_numbers_only_where_nothing_is_lost():
    cells = ["12", "-3.5", "1,234.50", "007", "1.2.3", "2026-01-02", "1,5", "", "  x "]
    assert [typed(cell) for cell in cells] == [12, -3.5, 1234.5, "007", "1.2.3", "2026-01-02", "1,5", None, "x"]


def test_a_long_table_is_shortened_as_text_but_not_as_data():
    parsed = read("a.csv", "n,square\n" + "\n".join(f"{n},{n * n}" for n in range(2_500)))
    assert len(parsed.tables[0].rows) == 2_500
    assert text(parsed).count("\n") < 2_010
    assert "2,000 of 2,500" in parsed.warnings[0].en
    assert not parsed.incomplete


def test_pdf_pages_are_kept():
    parsed = read("a.pdf", builders.pdf(["First page.", "Second page."]))
    assert [(page.number, page.text) for page in parsed.pages] == [(1, "First page."), (2, "Second page.")]


def test_a_picture_of_text_is_read_or_the_remedy_named():
    pdf = sample_folder() / "events-2026.pdf"
    picture = _page_as_picture(pdf)
    if not ocr.languages():
        with pytest.raises(DocumentEmptyError, match="Tesseract"):
            read("scan.png", picture)
    else:
        assert "Events in 2026" in " ".join(text(read("scan.png", picture)).split())


def _page_as_picture(path: Path) -> bytes:
    """The head of the first page of a PDF as PNG."""
    import pypdfium2

    buffer = io.BytesIO()
    pypdfium2.PdfDocument(path)[0].render(scale=3).to_pil().crop((0, 0, 1800, 320)).save(buffer, "PNG")
    return buffer.getvalue()


def test_json_lines_become_readable_and_a_table():
    parsed = read("a.jsonl", '{"name": "lamp", "price": 48}\n{"name": "bag", "price": 9}\n')
    assert text(parsed) == "name: lamp\nprice: 48\n\nname: bag\nprice: 9"
    assert parsed.tables[0].rows == (("lamp", 48), ("bag", 9))
    assert text(read("b.json", '{"a": {"b": [1, 2]}, "c": null}')) == "a.b: 1, 2"
    with pytest.raises(DocumentDamagedError):
        read("c.json", "{not json")


def test_xml_expands_no_entity_and_fetches_nothing(tmp_path: Path):
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET", encoding="utf-8")
    bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    parsed = read(
        "a.xml",
        f'<!DOCTYPE r [<!ENTITY l0 "lol">{bomb}<!ENTITY x SYSTEM "{secret.as_uri()}">]><r><t>kept</t>&x;&l9;</r>',
    )
    assert "kept" in text(parsed)
    assert "SECRET" not in text(parsed)
    assert len(text(parsed)) < 1_000


def test_mail_with_its_attachment():
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ada <a@x.example>", "b@x.example", "Grüße aus 灯湾"
    message.set_content("See the file.")
    message.add_alternative("<p>See the <b>file</b>.</p>", subtype="html")
    message.add_attachment(
        builders.docx(builders.paragraph("Attached words.")), maintype="application", subtype="x", filename="a.docx"
    )
    message.add_attachment(b"\x00\x01\x02" * 100, maintype="application", subtype="x", filename="b.bin")
    parsed = read("a.eml", bytes(message))
    assert parsed.title == "Grüße aus 灯湾"
    assert parsed.pages[0].text.startswith("# Grüße aus 灯湾\n\nFrom: Ada <a@x.example>\nTo: b@x.example")
    assert parsed.pages[0].text.endswith("See the file.\n")
    assert (parsed.pages[1].label, parsed.pages[1].text) == ("a.docx", "Attached words.")
    assert parsed.incomplete
    assert "b.bin" in parsed.warnings[0].en


def test_mbox_gives_a_page_a_mail():
    mail = "From someone Mon Jan 01 00:00:00 2026\nSubject: {0}\nFrom: a@x.example\n\nBody {0}.\n\n"
    parsed = read("a.mbox", mail.format(1) + mail.format(2))
    assert [page.label for page in parsed.pages] == ["1", "2"]
    assert "Body 2." in parsed.pages[1].text


def test_rtf_reads_code_pages_unicode_and_skips_pictures():
    rtf = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset134 SimSun;}}{\info{\title Caf\'e9}}"
        rb"\uc1 Caf\'e9 \u28207?\f1 \'b5\'c6\f0\par{\pict 89504e47}{\field{\*\fldinst HYPERLINK}{\fldrslt link}}\par}"
    )
    parsed = read("a.rtf", rtf)
    assert parsed.title == "Café"
    assert text(parsed) == "Café \u6e2f灯\n\nlink"


def test_compressed_rtf_of_the_specification():
    # [MS-OXRTFCP] 3.1.1.1 and its plain text.
    head = "2d0000002b0000004c5a4675f1c5c7a7"
    body = "03000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    packed = bytes.fromhex(head + body)
    assert decompress(packed) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_epub_and_opendocument():
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>A book"
        '</dc:title></metadata><manifest><item id="b" href="b.xhtml"/><item id="a" href="a%20a.xhtml"/></manifest>'
        '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    book = builders.packed(
        {
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="o/x.opf"/></rootfiles></container>',
            "o/x.opf": opf,
            "o/a a.xhtml": "<html><head><title>One</title></head><body><p>First.</p></body></html>",
            "o/b.xhtml": "<html><body><h1>Two</h1><p>Last.</p></body></html>",
        }
    )
    parsed = read("a.epub", book)
    assert parsed.title == "A book"
    assert [(page.label, page.text) for page in parsed.pages] == [("One", "First."), ("Two", "# Two\n\nLast.")]
    spaces = 'xmlns:o="urn:o" xmlns:t="urn:t" xmlns:b="urn:b"'
    odt = builders.packed(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f'<o:d {spaces}><o:body><o:text><t:h t:outline-level="2">Part</t:h>'
            '<t:p>Some<t:s t:c="2"/>text.'
            "</t:p><t:list><t:list-item><t:p>one</t:p></t:list-item></t:list></o:text></o:body></o:d>",
        }
    )
    assert text(read("a.odt", odt)) == "## Part\n\nSome text.\n\n- one"


def test_archives_open_once_and_name_their_files():
    inner = builders.packed({"deep.txt": "Deep."})
    packed = builders.packed(
        {"a.txt": "First.", "sub/b.md": "# B\n\nSecond.", "c.zip": inner, "../../etc/d.txt": "Third."}
    )
    parsed = read("a.zip", packed)
    assert [page.label for page in parsed.pages] == ["a.txt", "sub/b.md", "c.zip / deep.txt", "../../etc/d.txt"]
    assert parsed.pages[0].text == "# a.txt\n\nFirst."
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("t.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"Tar."))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert [page.text for page in read("a.tar.gz", buffer.getvalue()).pages] == ["# t.txt\n\nTar."]
    assert text(read("b.txt.gz", gzip.compress(b"Packed text."))) == "Packed text."


def test_a_zip_bomb_is_refused():
    with pytest.raises(DocumentTooLargeError, match="unpacks"):
        read("a.docx", builders.packed({"word/document.xml": b"<a>" + b" " * 20_000_000}))
    with pytest.raises(DocumentTooLargeError):
        read("a.zip", builders.packed({f"{n}.txt": "x" for n in range(2_001)}))


def test_a_container_without_its_directory_is_salvaged():
    whole = builders.docx("".join(builders.paragraph(f"Line {n} of many.") for n in range(50)))
    cut = whole[: whole.index(b"PK\x01\x02")]
    parsed = read("a.docx", cut)
    assert "Line 3 of many." in text(parsed)
    assert parsed.incomplete


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.pdf", b"%PDF-1.7 broken", DocumentDamagedError),
        ("a.docx", b"no zip at all", DocumentDamagedError),
        ("a.txt", b"", DocumentEmptyError),
        ("a.txt", bytes(range(32)) * 50, UnsupportedFormatError),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + b"x" * 50, DocumentDamagedError),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600, DocumentDamagedError),
        ("a.xlsx", builders.packed({"xl/workbook.xml": "<broken"}), DocumentDamagedError),
    ],
)
def test_a_refusal_has_its_kind_and_both_languages(name: str, data: bytes, error: type[Exception]):
    with pytest.raises(error) as caught:
        read(name, data)
    message = caught.value.message  # type: ignore[attr-defined]
    assert message.en.startswith(f"{name}: ")
    assert message.zh.startswith(f"{name}：")


def test_bytes_decide_before_the_name_does():
    assert kind_of(Source("a.txt", builders.pdf(["x"]))) == "pdf"
    assert kind_of(Source("letter.doc", b"{\\rtf1 x}")) == "rtf"
    assert kind_of(Source("page.xls", b"<html><table></table></html>")) == "html"
    assert kind_of(Source("noname", b"Received: from a\nSubject: x\n\nBody")) == "mail"
    assert kind_of(Source("noname", b"Only words.")) == "text"
    assert set(KIND_OF_SUFFIX.values()) >= {"code", "markdown", "csv", "picture"}


def test_reading_refuses_what_holds_only_space(tmp_path: Path):
    path = tmp_path / "blank.html"
    path.write_text("<html><body> \n </body></html>", encoding="utf-8")
    with pytest.raises(DocumentEmptyError):
        read_file(path, path.name)


def test_an_encrypted_pdf_wants_its_password():
    folder = Path(__file__).parents[3] / "shared" / "data" / "files" / "encrypted"
    path = folder / "unstructured__password.pdf"
    if not path.is_file():
        pytest.skip("the evaluation data is not beside the checkout")
    with pytest.raises(DocumentEncryptedError):
        read("a.pdf", path.read_bytes())
    with pytest.raises(DocumentEncryptedError, match="does not open"):
        read("a.pdf", path.read_bytes(), "wrong")
    assert text(read("a.pdf", path.read_bytes(), "password")) == "File with password"


def test_documents_inserted_as_objects_speak_where_the_slides_are_silent(tmp_path: Path):
    def with_object(data: bytes) -> Path:
        stream = io.BytesIO(data)
        with zipfile.ZipFile(stream, "a") as container:
            container.writestr("ppt/embeddings/Notes1.docx", builders.docx(builders.paragraph("Lanterns burn inside.")))
            container.writestr("ppt/embeddings/oleObject1.bin", b"not a document")
        path = tmp_path / "deck.pptx"
        path.write_bytes(stream.getvalue())
        return path

    silent = with_object(builders.pptx([("", [])]))
    parsed = read_file(silent, silent.name)
    assert [(page.label, page.text) for page in parsed.pages] == [
        ("Notes1.docx", "# Notes1.docx\n\nLanterns burn inside.")
    ]
    assert "presentation" in parsed.media_type
    speaking = with_object(builders.pptx([("Bay", ["Lanterns burn outside."])]))
    assert "inside" not in "".join(page.text for page in read_file(speaking, speaking.name).pages)
