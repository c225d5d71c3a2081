"""The words that Streamlit itself draws (its toolbars, its upload field) in the language of the page.

Streamlit has no setting for them. A small component of our own replaces those it knows, as they appear, and looks only
into Streamlit's own controls: an answer or a passage is never touched.
"""

import streamlit as st

from core.language import Language

# English, as Streamlit writes it -> Chinese.
CHINESE = {
    "Upload": "选择文件",
    "Show/hide columns": "显示或隐藏列",
    "Download as CSV": "下载为 CSV",
    "Search": "搜索",
    "Fullscreen": "全屏",
    "Close fullscreen": "退出全屏",
    "Close": "关闭",
    "Add row": "添加行",
    "Delete row(s)": "删除所选行",
    "Clear selection": "清除选择",
    "Clear value": "清除",
    "Clear all": "全部清除",
    "Select all": "全选",
    "No results": "没有结果",
    "Choose options": "请选择",
    "Copy to clipboard": "复制",
    "Copied": "已复制",
    "Save as PNG": "存为 PNG",
    "Save as SVG": "存为 SVG",
    "Expand sidebar": "展开侧栏",
    "Collapse sidebar": "收起侧栏",
    "Send message": "发送",
    "Press Enter to apply": "按回车键应用",
    "Press Ctrl+Enter to apply": "按 Ctrl+回车键应用",
    "Press ⌘+Enter to apply": "按 ⌘+回车键应用",
    "Press Enter to submit form": "按回车键提交",
    "Press Ctrl+Enter to submit form": "按 Ctrl+回车键提交",
    "Press ⌘+Enter to submit form": "按 ⌘+回车键提交",
    "Decrement": "减少",
    "Increment": "增加",
    "Thumbs up": "赞",
    "Thumbs down": "踩",
    "Running...": "运行中…",
}
_TAGS: dict[Language, str] = {"en": "en", "zh": "zh-Hans"}
PER_FILE = "每个文件最大 "

_SCRIPT = """
const TEXTS = '[data-testid="stFileUploader"], [data-testid="InputInstructions"], [data-testid="stTooltipContent"], '
  + '[data-testid="stTooltipErrorContent"], .vega-actions, [data-testid="stSelectboxVirtualDropdownEmpty"], '
  + '[data-baseweb="popover"] [role="listbox"], [data-testid="stStatusWidget"]';
const NAMED = 'button[aria-label], input[aria-label], [role="button"][aria-label]';
export default function({ data }) {
  // Screen readers speak, and browsers choose glyphs, by the language of the page.
  document.documentElement.lang = data.language;
  const words = new Map(Object.entries(data.words));
  const translated = (text) => {
    const plain = text.trim();
    const size = data.per_file && /^(\\S+) per file$/.exec(plain);
    return size ? data.per_file + size[1] : words.get(plain);
  };
  const text = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const found = translated(node.nodeValue);
      if (found) node.nodeValue = found;
    }
  };
  const name = (element) => {
    const found = words.get(element.getAttribute("aria-label"));
    if (found) element.setAttribute("aria-label", found);
  };
  const look = (element) => {
    if (element.closest(TEXTS)) text(element);
    element.querySelectorAll(TEXTS).forEach(text);
    if (element.matches(NAMED)) name(element);
    element.querySelectorAll(NAMED).forEach(name);
  };
  const seen = (changes) => changes.forEach((change) => {
    if (change.type === "attributes" && change.target.matches(NAMED)) name(change.target);
    change.addedNodes.forEach((node) => {
      const element = node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement;
      if (element) look(element);
    });
  });
  look(document.body);
  const observer = new MutationObserver(seen);
  observer.observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["aria-label"],
  });
  return () => observer.disconnect();
}
"""


def draw(language: Language) -> None:
    """Say Streamlit's own words in `language`; in English they are said by themselves."""
    # After a switch of the language the words of before are told back.
    words = CHINESE if language == "zh" else {chinese: english for english, chinese in CHINESE.items()}
    component = st.components.v2.component("fourfold_native_words", js=_SCRIPT)
    said = {"words": words, "per_file": PER_FILE if language == "zh" else "", "language": _TAGS[language]}
    component(key="native_words", data=said, height=1)
