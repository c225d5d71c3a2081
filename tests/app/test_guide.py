"""The user guide: the same pages in both languages, links that lead somewhere, button names that the program uses."""

import re
from pathlib import Path

import pytest

from app.wording import strings_of
from core.language import Language

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
PAGES = sorted(GUIDE.rglob("*.md"))
# Emphasis that names nothing on the page.
EMPHASIS = {
    "en": {"your", "Jobs.", "Keys.", "Language.", "Looks."},
    "zh": {"您的", "任务。", "快捷键。", "语言。", "外观。"},
}


def test_both_languages_have_the_same_pages():
    english, chinese = ({path.name for path in (GUIDE / language).glob("*.md")} for language in ("en", "zh"))
    assert english == chinese
    assert {"chat.md", "documents.md", "prompts.md", "exam.md", "xray.md", "models.md"} <= english


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_links_and_pictures_are_there(path: Path):
    targets = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).is_file()] == []


def test_both_languages_show_the_same_pictures():
    for path in (GUIDE / "en").glob("*.md"):
        english, chinese = (
            re.findall(r"images/([\w-]+)[\w.]*\.png", (GUIDE / language / path.name).read_text(encoding="utf-8"))
            for language in ("en", "zh")
        )
        assert english == chinese, path.name
        assert english, path.name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_stands_in_bold_is_a_word_of_the_page(path: Path):
    language: Language = "zh" if path.parent.name == "zh" else "en"
    said = {text.rstrip("。.…：:") for text in strings_of(language).values()}
    bold = re.findall(r"\*\*([^*]+)\*\*", path.read_text(encoding="utf-8"))
    unknown = [word for word in bold if word not in EMPHASIS[language] and word.rstrip("。.：:") not in said]
    assert unknown == []
