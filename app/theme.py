"""The looks: calm colours in light and dark, as Streamlit options, and the few rules of style that themes lack."""

from pathlib import Path

STYLE = Path(__file__).parent / "style.css"
BRAND = Path(__file__).parent / "brand.svg"
WORDMARK = Path(__file__).parent / "wordmark.svg"
# Wide, but no wider than the eye follows.
WIDE = "<style>.stMainBlockContainer { max-width: 76rem; }</style>"
# The quotation marks and dashes of the Latin font are too narrow between Chinese signs: on Chinese pages they come from
# a Chinese font of the system, where there is one.
CHINESE_MARKS = """<style>
@font-face {
  font-family: "Source Sans";
  src: local("PingFang SC"), local("Microsoft YaHei"), local("Noto Sans CJK SC"), local("Noto Sans SC");
  font-weight: 100 900;
  unicode-range: U+2014, U+2018-2019, U+201C-201D, U+2026;
}
</style>"""

_FONT = "'Source Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
_SHARED: dict[str, object] = {
    "font": _FONT,
    "baseRadius": "0.6rem",
    "buttonRadius": "0.6rem",
    "headingFontSizes": ["1.6rem", "1.25rem", "1.05rem", "1rem", "1rem", "1rem"],
    "headingFontWeights": [600, 600, 600, 600, 600, 600],
    "showSidebarBorder": False,
    "paddingTop": "3rem",
}
_LIGHT: dict[str, object] = {
    "primaryColor": "#1d6b57",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f4f3ef",
    "textColor": "#24231f",
    "borderColor": "#dedbd3",
    "chartCategoricalColors": ["#1d8c6c", "#c98a2b", "#6a5acd", "#5b8def"],
    "sidebar.backgroundColor": "#f8f7f4",
    "sidebar.secondaryBackgroundColor": "#eeece6",
}
_DARK: dict[str, object] = {
    "primaryColor": "#3f9d82",
    "backgroundColor": "#191a18",
    "secondaryBackgroundColor": "#262723",
    "textColor": "#e9e7e1",
    "borderColor": "#3b3c37",
    "chartCategoricalColors": ["#3f9d82", "#d9a04a", "#9a8ce8", "#7aa5f5"],
    "sidebar.backgroundColor": "#141513",
    "sidebar.secondaryBackgroundColor": "#242521",
}


def theme_options() -> dict[str, object]:
    """The theme as Streamlit options; which of light and dark is shown follows the person's system."""
    options = {f"theme.{name}": value for name, value in _SHARED.items()}
    options |= {f"theme.light.{name}": value for name, value in _LIGHT.items()}
    return options | {f"theme.dark.{name}": value for name, value in _DARK.items()}
