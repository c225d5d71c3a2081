"""The rows of a labelling task are disjoint and the same every time."""

import json
from pathlib import Path

from evaluation.classification import split_rows


def test_rows_are_disjoint_and_drawn_the_same_every_time(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    rows = [{"text": f"text {n % 50}", "label": ("ham", "spam")[n % 2]} for n in range(100)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    known, asked = split_rows(path, 30, 15)
    assert (len(known), len(asked)) == (30, 15)
    assert not {row.question for row in known} & {row.question for row in asked}
    assert split_rows(path, 30, 15) == (known, asked)
    assert all("ham, spam" in row.question for row in known)
