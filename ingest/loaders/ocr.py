"""Reading pictures of text with Tesseract, where it is installed."""

import functools
import os
import shutil
import subprocess
import time

from core.language import Bilingual
from ingest import reasons
from ingest.loaders.containers import Container

_WANTED = ("eng", "chi_sim", "chi_tra")
PAGE_SECONDS = 20
FILE_SECONDS = 40
MAX_PICTURES = 20
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
# Icons and rulers are pictures too, but not of text.
_SMALLEST = 2_000
# Less than this is a speck, not a text.
_FEWEST_SIGNS = 4


@functools.cache
def languages() -> tuple[str, ...]:
    """The languages we use that the installed Tesseract knows; empty where there is no Tesseract."""
    program = shutil.which("tesseract")
    if program is None:
        return ()
    try:
        listing = subprocess.run([program, "--list-langs"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    known = listing.stdout.decode("utf-8", "replace").split()
    return tuple(language for language in _WANTED if language in known)


def read_picture(picture: bytes, seconds: float = PAGE_SECONDS) -> str:
    """The text in a PNG, JPEG, TIFF or PNM; empty where there is none, no Tesseract, or `seconds` did not suffice."""
    if not languages() or seconds <= 0:
        return ""
    command = ["tesseract", "stdin", "stdout", "-l", "+".join(languages()), "--psm", "3"]
    try:
        done = subprocess.run(
            command,
            input=picture,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return _without_noise(done.stdout.decode("utf-8", "replace"))


def read_pictures(container: Container, name: str) -> tuple[str, tuple[Bilingual, ...]]:
    """The text in the pictures of an office file, and what to tell where they could not be read."""
    pictures = [entry for entry in container.names if entry.lower().endswith(_PICTURES)]
    large = [data for entry in pictures[:MAX_PICTURES] if len(data := container.read(entry)) >= _SMALLEST]
    if not large:
        return "", ()
    if not languages():
        return "", (reasons.scanned(name, reasons.INSTALL_TESSERACT).message,)
    deadline = time.monotonic() + FILE_SECONDS
    texts = [read_picture(data, min(PAGE_SECONDS, deadline - time.monotonic())) for data in large]
    return "\n\n".join(filter(None, texts)), ()


def _without_noise(text: str) -> str:
    """Drop lines without a single word of two letters: they are specks read as signs."""
    lines = (line.strip() for line in text.replace("\f", "\n").splitlines())
    kept = [line for line in lines if not line or sum(char.isalnum() for char in line) >= 2]
    found = "\n".join(kept).strip()
    return found if sum(char.isalnum() for char in found) >= _FEWEST_SIGNS else ""
