"""The words by which people ask of tables, in English and Chinese, and how a heading is found in a sentence."""

import re

AGGREGATES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("avg", re.compile(r"\b(?:average|mean|avg)\b|平均|均值")),
    ("sum", re.compile(r"\b(?:total|sum|altogether|in all|add up)\b|总|合计|一共|求和")),
    (
        "count",
        re.compile(r"\b(?:how many|number of|count)\b|[多几][少]?[个条行人笔家次种名位项]|数量是多少|计数|有多少"),
    ),
    (
        "max",
        re.compile(
            r"\b(?:highest|maximum|max|largest|biggest|greatest|most|latest|longest|best)\b"
            r"|最高|最大|最多|最贵|最长|最晚|最新"
        ),
    ),
    (
        "min",
        re.compile(
            r"\b(?:lowest|minimum|min|smallest|least|cheapest|earliest|shortest|worst)\b"
            r"|最低|最小|最少|最便宜|最短|最早"
        ),
    ),
)
_COUNT = r"(\d{1,3}|two|three|four|five|ten)\b"
_HAN_COUNT = r"(\d{1,3}|[两二三四五六七八九十])"
TOP = re.compile(rf"\b(?:top|first|best|largest|highest)\s+{_COUNT}|前\s*{_HAN_COUNT}")
BOTTOM = re.compile(rf"\b(?:bottom|lowest|smallest)\s+{_COUNT}|(?:后|倒数)\s*{_HAN_COUNT}")
PER = re.compile(
    r"\b(?:per|by|for each|for every|in each|grouped by|each|every)\s+(?P<en>.+)"
    r"|(?:按照|按|每个|每种|每一|各个|各|每)(?P<zh>.+)"
)
DISTINCT = re.compile(r"\b(?:different|distinct|unique)\b|不同|多少种|几种")
ROWS = re.compile(r"\b(?:rows?|records?|entries|lines)\b|[行条]|记录")
WHICH = re.compile(r"\b(?:which|who|whose|what \w+ (?:has|had|have))\b|哪|谁")
COMPARISONS: tuple[tuple[str, str], ...] = (
    (">=", r"(?:at least|no less than|>=|≥|不少于|不低于|至少)\s*"),
    ("<=", r"(?:at most|no more than|<=|≤|不超过|不高于|至多)\s*"),
    (">", r"(?:more than|greater than|over|above|exceed(?:s|ing)?|higher than|older than|>|大于|超过|高于|多于)\s*"),
    ("<", r"(?:less than|fewer than|under|below|lower than|younger than|smaller than|<|小于|低于|少于|不到)\s*"),
)
NUMBER = r"[$€£¥￥]?\s*(\d[\d,]*(?:\.\d+)?)"
_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "ten": 10, "两": 2}
_NUMBERS |= {character: number for number, character in enumerate("零一二三四五六七八九十")}
# What people ask for in one language and spreadsheets head in the other.
_SYNONYMS = """
amount 金额 数额 销售额; sales 销售额 销量 销售; price 价格 单价; quantity qty 数量 件数; city 城市; country 国家;
name 姓名 名称 名字; age 年龄; date 日期; year 年份 年; month 月份 月; product 产品 商品; category 类别 分类 种类;
customer 客户 顾客; region 地区 区域; department 部门; salary 工资 薪水 薪资; score 分数 成绩 得分; cost 成本 费用;
profit 利润; revenue 收入 营收; order 订单; employee 员工 职员; population 人口; weight 重量 体重; height 高度 身高;
status 状态; type 类型; student 学生; team 团队 球队; rating 评分; gender 性别; discount 折扣; stock 库存
"""
_SAME: dict[str, frozenset[str]] = {}
for _line in _SYNONYMS.split(";"):
    _SAME.update(dict.fromkeys(_line.split(), frozenset(_line.split())))


def number_of(word: str) -> int:
    """A small number as a word or in digits."""
    return _NUMBERS.get(word) or int(word)


def words_of(name: str) -> frozenset[str]:
    """The words of a heading in lower case: `unitPrice`, `unit_price` and `Unit price` have the same two."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return frozenset(word for word in re.split(r"[\W_]+", spaced.lower()) if word)


def place_of(name: str, text: str) -> int | None:
    """Where the lower-case `text` names the heading: the first of its words, all of which must stand there."""
    places = [_first_place(word, text) for word in words_of(name)]
    if not places or any(place is None for place in places):
        return None
    return min(place for place in places if place is not None)


def stands_in(value: str, text: str) -> bool:
    """Whether `text` holds `value` as whole words (both in lower case)."""
    if value.isascii():
        return bool(re.search(rf"(?<![a-z0-9]){re.escape(value)}(?![a-z0-9])", text))
    return value in text


def _first_place(word: str, text: str) -> int | None:
    alternatives = _SAME.get(word, frozenset()) | _SAME.get(_singular(word), frozenset()) | {word}
    return min((place for other in alternatives if (place := _find(other, text)) is not None), default=None)


def _find(word: str, text: str) -> int | None:
    if not word.isascii():
        place = text.find(word)
        return place if place >= 0 else None
    stem = re.escape(_singular(word))
    stem = stem[:-1] + "(?:y|ies)" if stem.endswith("y") else stem + "(?:s|es)?"
    match = re.search(rf"(?<![a-z0-9]){stem}(?![a-z0-9])", text)
    return match.start() if match else None


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
