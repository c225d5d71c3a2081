"""The second reader of PDF pages: pdfminer.six knows the CJK maps that some files only name."""

import io

from pdfminer.high_level import extract_text
from pdfminer.pdfexceptions import PDFException
from pdfminer.psexceptions import PSException

from ingest.types import Source


def read_page(source: Source, number: int) -> str:
    """The text of page `number` (from 1); empty where this reader fails too."""
    try:
        text = extract_text(io.BytesIO(source.data), password=source.password, page_numbers=[number - 1])
    except (PDFException, PSException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # Damaged files break it in many ways, and the first reader's text is there anyway.
        return ""
    return text.replace("\f", "").strip()
