"""Whether an answer says that a tool was used."""

import re
from collections.abc import Collection

_CLAIM = re.compile(
    r"\bI(?:'ve| have)?(?: just)? (?:used|called|ran|queried|searched|looked up|checked|executed|calculated)\b"
    r"|\b(?:according to|based on|using|the result of|the output of) (?:the |a |my )?"
    r"(?:tool|function|calculator|search|query)"
    r"|\b(?:tool|function) (?:returned|says|shows|call)"
    r"|我(?:已经|已|刚刚|刚)?(?:使用|调用|查询|搜索|检索|运行|执行)了"
    r"|(?:根据|通过)(?:工具|函数|计算器|搜索|查询)(?:的)?结果|工具(?:返回|显示)",
    re.IGNORECASE,
)


def claims_a_tool(text: str, names: Collection[str] = ()) -> bool:
    """Whether `text` speaks of having called, searched or computed with a tool, or names one of `names` as used."""
    used = any(re.search(rf"\b(?:used|called|via|using)\s+`?{re.escape(name)}\b", text) for name in names)
    return used or bool(_CLAIM.search(text))
