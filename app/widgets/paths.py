"""Paths as a person reads them: from their own folder, or from that of the program."""

from pathlib import Path

import app
from app.widgets.answer_text import plain_label

PROGRAM = Path(app.__file__).resolve().parents[1]


def shown_path(path: str | Path, longest: int = 200) -> str:
    """A path for a widget's label; what the path of the home or of the program would only make long is said shortly."""
    for folder, name in ((PROGRAM, "Fourfold"), (Path.home(), "~")):
        if Path(path).is_relative_to(folder):
            return plain_label(str(Path(name, Path(path).relative_to(folder))), longest)
    return plain_label(str(path), longest)
