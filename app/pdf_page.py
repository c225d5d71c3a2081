"""A picture of one PDF page with a passage marked, drawn in a child process: a damaged file ends only the child."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from core.child_environment import without_secrets

SECONDS = 20.0
SCALE = 1.6
# Words at both ends of a passage: enough to find it, few enough to survive a hyphen in between.
WORDS = 6
MARKS = ((240, 190, 60, 90), (90, 150, 240, 80))


def page_picture(path: Path, page: int, *passages: str) -> bytes | None:
    """PNG of page `page` (from 1) with `passages` marked where they are found; None where no picture can be made."""
    command = [sys.executable, "-m", "app.pdf_page", str(path), str(page), *passages]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, env=without_secrets({}))
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout if done.returncode == 0 and done.stdout.startswith(b"\x89PNG") else None


def draw(path: Path, page: int, *passages: str) -> bytes:
    """The same, in this process. Neighbours have different colours."""
    import pypdfium2
    from PIL import Image, ImageDraw

    document = pypdfium2.PdfDocument(str(path))
    leaf = document[page - 1]
    picture = leaf.render(scale=SCALE).to_pil().convert("RGBA")
    layer = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(layer)
    height = leaf.get_height()
    text_page = leaf.get_textpage()
    for place, passage in enumerate(passages):
        for left, bottom, right, top in _rectangles(text_page, passage):
            box = [left * SCALE, (height - top) * SCALE, right * SCALE, (height - bottom) * SCALE]
            pen.rectangle(box, fill=MARKS[place % len(MARKS)])
    out = io.BytesIO()
    Image.alpha_composite(picture, layer).convert("RGB").save(out, "PNG")
    return out.getvalue()


def _rectangles(text_page: Any, passage: str) -> list[tuple[float, float, float, float]]:
    """Rectangles (left, bottom, right, top) in points around the passage on the page; empty where it is not found."""
    text = text_page.get_text_range()
    span = find_span(text, passage)
    if span is None:
        return []
    count = text_page.count_rects(span[0], span[1] - span[0])
    return [text_page.get_rect(number) for number in range(count)]


def find_span(text: str, passage: str) -> tuple[int, int] | None:
    """Where `passage` stands in `text`, white space aside; its last words are looked for after its first ones."""
    words = passage.split()
    if not words:
        return None
    first = re.search(_loose(words[:WORDS]), text)
    if first is None:
        return None
    last = re.compile(_loose(words[-WORDS:])).search(text, first.start())
    longest = first.start() + 2 * len(passage) + 80
    return (first.start(), last.end()) if last and last.end() <= longest else first.span()


def _loose(words: list[str]) -> str:
    return r"\s+".join(re.escape(word) for word in words)


if __name__ == "__main__":
    sys.stdout.buffer.write(draw(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
