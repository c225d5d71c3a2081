"""PDF: text page by page with PDFium; a second reader or text recognition where a page is poor."""

import time
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from core.language import Bilingual
from core.types import Page
from ingest import reasons
from ingest.loaders import ocr
from ingest.quality import garbled_share, is_garbled
from ingest.types import Parsed, Source

MEDIA_TYPE = "application/pdf"
MAX_PAGES = 5_000
_DOTS_PER_INCH = 200
_LONGEST_SIDE = 3_500
# Fewer letters than this on a page with a picture: most likely a scan with a stamp or a page number.
_FEW_LETTERS = 12
_LINE_END_HYPHEN = "\ufffe"


def load_pdf(source: Source) -> Parsed:
    """One `Page` per page, numbered from 1, also where it is empty."""
    document = _open(source)
    try:
        return _PdfReader(source, document).read()
    finally:
        document.close()


def _open(source: Source) -> Any:
    try:
        document = pdfium.PdfDocument(source.data, password=source.password or None)
        if not len(document):
            raise reasons.damaged(source.name, "no pages")
        return document
    except pdfium.PdfiumError as error:
        code = str(error).lower()
        if "password" in code or "security" in code:
            raise reasons.encrypted(source.name, wrong_password=bool(source.password)) from error
        raise reasons.damaged(source.name, str(error)) from error


class _PdfReader:
    """Reads one document; remembers which pages were garbled, recognised, or lost."""

    def __init__(self, source: Source, document: Any) -> None:
        self._source = source
        self._document = document
        self._garbled: list[int] = []
        self._recognised: list[int] = []
        self._unread: list[int] = []
        self._broken: list[int] = []
        self._deadline = time.monotonic() + ocr.FILE_SECONDS

    def read(self) -> Parsed:
        """All pages."""
        count = min(len(self._document), MAX_PAGES)
        pages = tuple(Page(self._page(number), number) for number in range(1, count + 1))
        if not any(page.text for page in pages) and self._unread:
            raise reasons.scanned(self._source.name, self._remedy())
        return Parsed(
            pages,
            self._stated("Title"),
            MEDIA_TYPE,
            "plain",
            self._metadata(),
            tuple(self._warnings()),
            garbled_pages=tuple(self._garbled),
            ocr_pages=tuple(self._recognised),
            incomplete=bool(self._unread or self._broken or self._garbled or len(self._document) > count),
        )

    def _page(self, number: int) -> str:
        try:
            page = self._document[number - 1]
        except pdfium.PdfiumError:
            self._broken.append(number)
            return ""
        try:
            text = self._better_of(number, _plain_text(page))
            return (
                text
                if _letters(text) >= _FEW_LETTERS or not _has_picture(page)
                else self._recognise(number, page, text)
            )
        except pdfium.PdfiumError:
            self._broken.append(number)
            return ""
        finally:
            page.close()

    def _better_of(self, number: int, text: str) -> str:
        """The text of a garbled page by the second reader, if that one reads it better."""
        if not is_garbled(text):
            return text
        from ingest.loaders.pdf_second import read_page

        second = read_page(self._source, number)
        best = second if second and garbled_share(second) < garbled_share(text) else text
        if is_garbled(best):
            self._garbled.append(number)
        return best

    def _recognise(self, number: int, page: Any, text: str) -> str:
        if not ocr.languages() or time.monotonic() > self._deadline:
            self._unread.append(number)
            return text
        seen = ocr.read_picture(_as_pgm(page), self._deadline - time.monotonic())
        if _letters(seen) <= _letters(text):
            # A picture without words (a photo) beside a line of text is no loss.
            if not text:
                self._unread.append(number)
            return text
        self._recognised.append(number)
        return seen

    def _warnings(self) -> list[Bilingual]:
        told: list[Bilingual] = []
        if self._unread:
            told.append(_about_pages(self._unread, Bilingual("scanned", "为扫描图像"), self._remedy()))
        if self._garbled:
            advice = Bilingual(
                "The file's fonts do not say which characters they draw.", "文件的字体未说明所绘的字符。"
            )
            told.append(_about_pages(self._garbled, Bilingual("garbled", "文字乱码"), advice))
        if self._broken:
            told.append(_about_pages(self._broken, Bilingual("damaged", "已损坏"), Bilingual("", "")))
        return told

    def _remedy(self) -> Bilingual:
        """Why pages stayed pictures, and what would help."""
        if not ocr.languages():
            return reasons.INSTALL_TESSERACT
        return reasons.RECOGNITION_TOO_SLOW if time.monotonic() > self._deadline else reasons.UNREADABLE_PICTURE

    def _stated(self, key: str) -> str:
        try:
            return " ".join(self._document.get_metadata_value(key).split())[:300]
        except (pdfium.PdfiumError, UnicodeDecodeError):
            return ""

    def _metadata(self) -> dict[str, Any]:
        stated = {"author": "Author", "created": "CreationDate", "modified": "ModDate"}
        found: dict[str, Any] = {name: value for name, key in stated.items() if (value := self._stated(key))}
        outline = _outline(self._document)
        if outline:
            found["outline"] = outline
        return found


def _plain_text(page: Any) -> str:
    textpage = page.get_textpage()
    try:
        text: str = textpage.get_text_range()
    finally:
        textpage.close()
    # PDFium marks a word that was hyphenated at the end of a line; the halves belong together.
    text = text.replace(_LINE_END_HYPHEN + "\r\n", "").replace(_LINE_END_HYPHEN, "")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _outline(document: Any) -> list[list[Any]]:
    """[level from 1, title, page number] of each bookmark, at most a thousand."""
    entries: list[list[Any]] = []
    try:
        for bookmark in document.get_toc(max_depth=4):
            destination = bookmark.get_dest()
            page = destination.get_index() if destination is not None else None
            if page is not None and len(entries) < 1_000:
                entries.append([bookmark.level + 1, " ".join(bookmark.get_title().split()), page + 1])
    except (pdfium.PdfiumError, ValueError, RecursionError):
        return entries
    return entries


def _has_picture(page: Any) -> bool:
    pictures = page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    return next(iter(pictures), None) is not None


def _as_pgm(page: Any) -> bytes:
    """The page in grey, as a PNM that needs no picture library. Huge pages are drawn smaller."""
    scale = min(_DOTS_PER_INCH / 72, _LONGEST_SIDE / max(*page.get_size(), 1.0))
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        pixels = bitmap.to_numpy()
        height, width = pixels.shape[:2]
        raster: bytes = pixels.reshape(height, width).tobytes()
        return b"P5 %d %d 255\n" % (width, height) + raster
    finally:
        bitmap.close()


def _letters(text: str) -> int:
    return sum(char.isalnum() for char in text)


def _about_pages(numbers: list[int], state: Bilingual, advice: Bilingual) -> Bilingual:
    shown = ", ".join(map(str, numbers[:10])) + (" ..." if len(numbers) > 10 else "")
    return Bilingual(
        en=f"page {shown}: {state.en}. {advice.en}".strip(), zh=f"第 {shown} 页：{state.zh}。{advice.zh}".strip()
    )
