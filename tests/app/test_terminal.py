"""The first question in a terminal, in an empty data folder and with the real models."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.slow


def test_a_new_user_sees_what_the_readme_shows(tmp_path: Path):
    found = re.search(r'-m app ask "([^"]+)"\n(.+?)\n```', README, re.DOTALL)
    assert found is not None
    question, shown = found[1], found[2].splitlines()
    command = [sys.executable, "-m", "app", "ask", question]
    environment = {**os.environ, "FOURFOLD_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    first, *others = said.splitlines()
    assert re.fullmatch(r"\[rag\] searched \d+ → \d+ → 1 used · strong", first)
    assert others == shown[1:]
