"""A picture of text, read by Tesseract where it is installed."""

from core.types import Page
from ingest import reasons
from ingest.loaders import ocr
from ingest.types import Parsed, Source


def load_picture(source: Source) -> Parsed:
    """One page of recognised text. Raises DocumentEmptyError with the remedy where nothing was read."""
    text = ocr.read_picture(source.data, ocr.FILE_SECONDS)
    if not text:
        raise reasons.scanned(source.name, reasons.UNREADABLE_PICTURE if ocr.languages() else reasons.INSTALL_TESSERACT)
    return Parsed((Page(text, 1),), "", "image/*", "plain", ocr_pages=(1,))
