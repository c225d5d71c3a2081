"""Small real files of each format, made by hand, so that what is read can be compared with what was written."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
SLIDE = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
OFFICE_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def packed(entries: Mapping[str, str | bytes]) -> bytes:
    """A ZIP with these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def docx(body: str, **parts: str) -> bytes:
    """A Word file with this body; `styles` and `core` may be given."""
    entries = {
        "_rels/.rels": f'<Relationships {RELATIONS}><Relationship Id="r1" Type="{OFFICE_RELATION}" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
    }
    if "styles" in parts:
        entries["word/styles.xml"] = f"<w:styles {WORD}>{parts['styles']}</w:styles>"
    if "core" in parts:
        entries["docProps/core.xml"] = parts["core"]
    return packed(entries)


def paragraph(text: str, style: str = "") -> str:
    """A Word paragraph."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def word_table(rows: list[list[str]]) -> str:
    """A Word table."""
    cells = ["".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows]
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def pptx(slides: list[tuple[str, list[str]]]) -> bytes:
    """Slides of a title and bullets; stored in reverse, so that only the presentation's list gives their order."""
    count = len(slides)
    ids = "".join(f'<p:sldId id="{256 + place}" r:id="rId{place}"/>' for place in range(count))
    relations = "".join(
        f'<Relationship Id="rId{place}" Type="x/slide" Target="slides/slide{count - place}.xml"/>'
        for place in range(count)
    )
    entries = {
        "ppt/presentation.xml": f"<p:presentation {SLIDE}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": f"<Relationships {RELATIONS}>{relations}</Relationships>",
    }
    for place, (title, bullets) in enumerate(slides):
        shapes = _shape("title", [title]) + _shape("body", bullets) + _shape("sldNum", [str(place + 1)])
        entries[f"ppt/slides/slide{count - place}.xml"] = (
            f"<p:sld {SLIDE}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        )
    return packed(entries)


def _shape(kind: str, lines: list[str]) -> str:
    text = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:txBody>{text}</p:txBody></p:sp>'


def xlsx(sheets: Mapping[str, list[list[str | float]]]) -> bytes:
    """A workbook of inline strings and numbers."""
    names = list(sheets)
    listed = "".join(f'<sheet name="{name}" sheetId="{place}" r:id="r{place}"/>' for place, name in enumerate(names, 1))
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    targets = "".join(
        f'<Relationship Id="r{place}" Type="{relation}/worksheet" Target="worksheets/sheet{place}.xml"/>'
        for place in range(1, len(names) + 1)
    )
    entries = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships {RELATIONS}><Relationship Id="r1" Type="{OFFICE_RELATION}" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {SHEET} xmlns:r="{relation}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships {RELATIONS}>{targets}</Relationships>",
    }
    for place, name in enumerate(names, 1):
        rows = "".join(_sheet_row(number, row) for number, row in enumerate(sheets[name], 1))
        entries[f"xl/worksheets/sheet{place}.xml"] = f"<worksheet {SHEET}><sheetData>{rows}</sheetData></worksheet>"
    return packed(entries)


def _sheet_row(number: int, row: list[str | float]) -> str:
    cells = []
    for column, value in enumerate(row):
        reference = f"{chr(65 + column)}{number}"
        if isinstance(value, str):
            cells.append(f'<c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c>')
        else:
            cells.append(f'<c r="{reference}"><v>{value}</v></c>')
    return f'<row r="{number}">{"".join(cells)}</row>'


def pdf(pages: list[str]) -> bytes:
    """A PDF of Helvetica lines, one string a page; the cross-reference table is left for the reader to rebuild."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * place} 0 R" for place in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for place, text in enumerate(pages):
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n"))
        stream = f"BT /F1 12 Tf 60 760 Td {lines}ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * place} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    body = "".join(f"{number} 0 obj\n{content}\nendobj\n" for number, content in enumerate(objects, 1))
    return f"%PDF-1.4\n{body}trailer << /Root 1 0 R /Size {len(objects) + 1} >>\n%%EOF".encode("latin-1")


def rar(entries: Mapping[str, bytes]) -> bytes:
    """A RAR of version 4 with these entries, stored as they are (the format's own note of 2005)."""

    def block(kind: int, flags: int, rest: bytes, content: bytes = b"") -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head + content

    made = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, content in entries.items():
        raw = name.encode("ascii")
        size, unix, stored = len(content), 3, 0x30
        rest = struct.pack(
            "<IIBIIBBHI", size, size, unix, zlib.crc32(content), 0x5A000000, 20, stored, len(raw), 0o100644
        )
        made += block(0x74, 0x8000, rest + raw, content)
    return made + block(0x7B, 0x4000, b"")
