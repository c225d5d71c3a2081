"""The patterns of a question by which it is routed, in both languages, each with its sentence for the receipt.

Latin patterns end at the ends of words: no keyword inside another word decides anything.
"""

import re
from collections.abc import Mapping

from core.language import Bilingual

_UNITS = (
    r"(?:miles?|km|(?:kilo|centi|milli)?(?:met(?:re|er)s?|grams?|lit(?:re|er)s?)|cm|mm|inch(?:es)?|feet|foot|yards?|kg|"
    r"kilos?|ounces?|oz|pounds?|lbs?|stones?|tons?|tonnes?|gallons?|pints?|quarts?|cups?|(?:tea|table)spoons?|celsius|"
    r"fahrenheit|kelvin|°[cf]|kwh|joules?|calories|bytes?|[kmgt]i?b|hectares?|acres?|knots?|mph|km/h)"
)
_NUMBER = r"\d[\d.,]*"
# Numbers as people say them: "seventeen plus three", "a hundred kilometers".
_SPOKEN = (
    r"(?:\d[\d.,]*|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|"
    r"nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million|half)"
)
_TIME_UNITS = r"(?:hour|minute|second|week|month)s?"
_UNITS_ZH = (
    r"(?:英里|公里|千米|米|厘米|英寸|英尺|克|千克|公斤|斤|两|盎司|磅|升|毫升|加仑|摄氏度?|华氏度?|亩|公顷|平方米)"
)

# The same as single words: a unit of measure, a number that is written out.
UNIT = re.compile(rf"(?:{_UNITS}|ml|{_TIME_UNITS})", re.I)
NUMBER_WORD = re.compile(_SPOKEN.replace("an?|", ""), re.I)


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(alternatives)})(?![A-Za-z0-9_-])", re.I)


PATTERNS: Mapping[str, tuple[tuple[re.Pattern[str], ...], Bilingual]] = {
    "arithmetic": (
        (
            re.compile(rf"{_NUMBER}\s*[-+*/×÷^]\s*\(?\s*{_NUMBER}|\)\s*[-+*/×÷]\s*\d"),
            re.compile(rf"{_NUMBER}\s*(?:%|percent|per cent)\s*(?:of|off|discount)", re.I),
            re.compile(rf"\b{_SPOKEN} (?:plus|minus|times|over|added to|squared|cubed|to the power)\b", re.I),
            re.compile(rf"\b(?:divide|multiply|add|subtract|factor) {_SPOKEN}\b.{{0,30}}\b(?:by|to|from|and)\b", re.I),
            _words(
                r"square root",
                r"cube root",
                r"divided by",
                r"multiplied by",
                r"times \d+",
                r"split .* (?:between|among)",
            ),
            re.compile(
                rf"{_NUMBER}\s*(?:乘以|除以|加上|减去|加|减|乘|除|的\s*\d+\s*[%％])\s*\d*|"
                r"平方根|立方根|次方|打[一二三四五六七八九]折"
            ),
            re.compile(rf"(?:再|然后)?(?:乘以|除以|加上|减去)\s*{_NUMBER}"),
            re.compile(rf"(?:falls?|rises?|drops?|grows?|increased?|reduced?)\s+by\s+{_NUMBER}\s*(?:%|percent)", re.I),
            re.compile(rf"每[人个件份箱].{{0,8}}{_NUMBER}.{{0,12}}(?:一共|总共|共)"),
        ),
        Bilingual(en="it asks for a sum", zh="需要计算"),
    ),
    "conversion": (
        (
            re.compile(rf"{_NUMBER}\s*{_UNITS}\b.{{0,20}}\b(?:to|in|into|as)\b\s+{_UNITS}\b", re.I),
            re.compile(rf"how many {_UNITS} (?:are|is|in|make|equals?|will|do|does|per)\b", re.I),
            re.compile(rf"\b{_SPOKEN} {_UNITS}\b.{{0,12}}\b(?:to|in|into|as|equals?)\b.{{0,12}}\b{_UNITS}\b", re.I),
            re.compile(
                rf"\b(?:convert|change|turn|between|from)\b.{{0,12}}\b{_UNITS} (?:to|into|and|from) {_UNITS}\b", re.I
            ),
            re.compile(rf"{_NUMBER}\s*{_UNITS_ZH}.{{0,8}}(?:多少|换算|等于|是几|转换|合)"),
            re.compile(rf"换算.{{0,10}}{_UNITS_ZH}"),
        ),
        Bilingual(en="it asks for a conversion of units", zh="需要换算单位"),
    ),
    "clock": (
        (
            _words(r"what(?:'s| is) the (?:time|date)", r"what time is it", r"current (?:time|date)", r"today'?s date"),
            _words(
                r"(?:what|which) (?:day|weekday|date) is (?:it|today)",
                r"time (?:is it )?(?:now )?in [A-Z][a-z]+ (?:right )?now",
            ),
            _words(r"\d{1,2}(?::\d\d)?\s*(?:am|pm)?\s+.{0,25}time (?:to|in) .*", r"it'?s \d{1,2}:\d\d in .*time.*"),
            _words(r"time ?zones?", r"(?:tell|give|let) me (?:know )?the time", r"(?:do|you) (?:you )?have the time"),
            _words(
                r"what time (?:it )?is(?: it)?", r"what day (?:it )?is(?: it)?", r"what(?:'s| is)? the (?:\w+ )?date"
            ),
            _words(
                r"(?:the|full|today'?s|current) (?:\w+ )?date (?:is )?(?:today|tomorrow|for today|yesterday|it will be)"
            ),
            _words(
                r"what (?:date|day) (?:will it be|is (?:today|tomorrow)|was yesterday)",
                r"date (?:is )?(?:it )?tomorrow",
            ),
            re.compile(r"时区|(?:明天|后天|昨天)(?:是)?(?:几号|星期几|周几|几月几号)"),
            re.compile(
                r"现在(?:是)?(?:几点|什么时间)|几点了|当前时间|今天(?:是)?(?:几号|星期几|周几|几月几号)|时间.{1,12}点.{0,4}是.{0,8}几点|"
                r"把.{2,6}时间.{1,10}换成"
            ),
        ),
        Bilingual(en="it asks for the time or the date", zh="询问时间或日期"),
    ),
    "dates": (
        (
            _words(r"how many (?:days|weeks|months) (?:are there )?(?:between|until|till|since|from)"),
            _words(r"\d+ (?:days|weeks|months|years) (?:from|after|before) (?:today|now|tomorrow|\d.*)"),
            re.compile(
                r"(?:距离?|离).{0,10}还有(?:几|多少)天|(?:从|到).{0,24}(?:一共|总共|相隔|有)(?:几|多少)天|"
                r"\d+天(?:之?后|以后|之?前).{0,4}(?:几月|几号|哪天|是)"
            ),
            re.compile(r"之后[一二两三四五六七八九十\d]+(?:天|周|个月|年)是"),
        ),
        Bilingual(en="it asks to count days", zh="需要推算日期"),
    ),
    "tables": (
        (
            _words(
                r"spreadsheets?",
                r"excel",
                r"csv",
                r"(?:the|my|our|orders?|sales) (?:\w+ )?(?:table|sheet)",
                r"timesheets?",
            ),
            re.compile(r"\bSELECT\b.+\bFROM\b"),
            re.compile(r"表格|(?:销售|订单|工时|库存|数据|明细|统计|客户)表|这张表|(?:^|[的在，])表[里中]"),
        ),
        Bilingual(en="it asks about a table", zh="询问表格数据"),
    ),
    "aggregate": (
        (
            _words(
                r"total",
                r"sum",
                r"average",
                r"the mean of",
                r"maximum",
                r"minimum",
                r"highest",
                r"lowest",
                r"top \d+",
                r"columns?",
                r"rows?",
                r"group by",
            ),
            re.compile(r"总和|合计|平均|最高|最低|最大|最小|汇总|排名|多少行|多少条|有几条|一列|哪些列|统计"),
        ),
        Bilingual(en="it asks for a total, an average or a ranking", zh="询问总和、平均或排名"),
    ),
    "model_internals": (
        (
            _words(
                r"tokens?",
                r"tokeni[sz]e[ds]?",
                r"embeddings?",
                r"nearest (?:words?|to)",
                r"how similar",
                r"next[- ]tokens?",
                r"similarity",
            ),
            re.compile(r"词元|分词|向量|相似度|词向量|下一个词"),
        ),
        Bilingual(en="it asks about tokens, vectors or probabilities", zh="询问词元、向量或概率"),
    ),
    "literal_search": (
        (
            _words(r"grep", r"literally", r"(?:find|list) (?:every|all) (?:places?|occurrences?|mentions?)"),
            re.compile(r"逐字|全文(?:搜索?|查找|检索)|出现的?(?:所有|全部)?(?:位置|地方|在哪)"),
        ),
        Bilingual(en="it asks where a text stands literally", zh="逐字查找文本"),
    ),
    "compute_verb": (
        (
            _words(r"compute", r"calculate", r"convert", r"how much is \d.*"),
            re.compile(r"^(?:请|帮我)?(?:计算|算一?下|换算|求)"),
        ),
        Bilingual(en="it asks to calculate", zh="要求计算"),
    ),
    "creation": (
        (
            re.compile(
                r"^\W*(?:please |can you |could you |help me )?"
                r"(?:write|draft|compose|brainstorm|suggest|recommend|imagine|continue|act as|tell me a|"
                r"give me (?:a |an |some |five |ten |tips|ideas)|create|invent)\b",
                re.I,
            ),
            re.compile(r"^\W*(?:请|帮我|给我|能不能)?(?:写|想|起|推荐|续写|扮演|编|创作|构思|对联|讲个|讲一个|来一首)"),
            _words(r"poem", r"limerick", r"story", r"haiku", r"joke", r"recipe", r"itinerary"),
            re.compile(r"[首写].{0,6}诗(?!人)|笑话|食谱|文案|对联"),
        ),
        Bilingual(en="it asks for something new to be written", zh="要求创作"),
    ),
    "text_task": (
        (
            re.compile(
                r"^\W*(?:please )?(?:translate|correct the|proofread|paraphrase|summari[sz]e the plot|"
                r"fix the grammar)\b",
                re.I,
            ),
            re.compile(r"\b(?:how (?:would|do|can|should) (?:i|you|they|we)|the (?:word|way)).{0,6} say\b", re.I),
            re.compile(r"翻译成|译成|改正|病句|语病|润色|用.{1,4}[语文]怎么说"),
            _words(r"shorter", r"longer", r"another one", r"once more"),
            re.compile(r"^(?:再短|再长|再来|换一个|再简短)"),
        ),
        Bilingual(en="it asks to work on a text", zh="要求处理文字"),
    ),
    "explanation": (
        (
            re.compile(
                r"^\W*(?:explain|what (?:is|are|causes|makes|would)|why (?:is|are|do|does)|how (?:do|does|can)|"
                r"compare|who (?:are you|wrote))\b",
                re.I,
            ),
            re.compile(r"\bwhat (?:does )?[\w' ]{1,30} means?\b|\bthe meaning of\b|\bdefin(?:e|ition)\b", re.I),
            re.compile(
                r"^(?:什么是|怎样|为什么|解释|举例|用简单|比较|概括|初学者)|是怎么[^样]|有什么区别|有哪些利弊|是什么意思"
            ),
        ),
        Bilingual(en="it asks for general knowledge", zh="询问通用知识"),
    ),
    "small_talk": (
        (
            re.compile(
                r"^\W*(?:hi|hello|hey|thanks?|thank you|good (?:morning|evening)|bye)\b[\w\s,'!.?]{0,30}$", re.I
            ),
            re.compile(r"^\W*(?:你好|您好|谢谢|多谢|早上好|晚上好|再见|嗨)"),
            re.compile(r"\bwho are you\b|\bwhat can you do\b|你是谁|你能做什么", re.I),
        ),
        Bilingual(en="small talk needs no documents", zh="寒暄不需要文档"),
    ),
    "own_documents": (
        (
            _words(
                r"according to",
                r"handbook",
                r"manual",
                r"our (?:documents?|company|policy|files?)",
                r"at our",
                r"my documents?",
            ),
            _words(r"release notes", r"data sheet", r"the (?:documents?|report|policy|contract|guide)", r"on site"),
            re.compile(
                r"根据|按照?(?:手册|文件|规定|制度)|我们公司|公司(?:规定|制度|文件|数据)|文档|手册|说明书|规定|制度"
            ),
        ),
        Bilingual(en="it speaks of documents of your own", zh="提到您自己的文档"),
    ),
    "label_or_style": (
        (
            _words(
                r"label(?:led|s|ling)?",
                r"classify",
                r"categori[sz]e",
                r"tag",
                r"(?:our|company'?s|house) style",
                r"(?:this|the|a|support|customer'?s?) ticket",
                r"topic of (?:this|the)",
                r"(?:what|which|right|correct|the) (?:category|class)",
            ),
            re.compile(r"\bcategory\s*[?:)]|\bsort (?:this|it|these|them)\b.{0,30}\binto\b", re.I),
            re.compile(
                r"打(?:上)?标签|贴标签|分类|归类|归到|归入|哪一?类|标注|(?:公司|我们)的?(?:风格|文风)|工单|标签"
            ),
            re.compile(r"类别\s*[：:？?）)]|(?:什么|一个|哪个|合适的|正确的)(?:类别|类目)"),
        ),
        Bilingual(en="it asks for a label or a style", zh="要求打标签或改写风格"),
    ),
    "company_fact": (
        (
            re.compile(r"\b(?:do i|can i|may i|must i|should i|am i|my \w+ shows|i lost|we|our)\b", re.I),
            re.compile(r"谁(?:审批|负责|签字)|审批|几天内|多久之内|(?:故障|错误)代码|几级"),
        ),
        Bilingual(en="it asks what holds for you", zh="询问与您相关的规定"),
    ),
}

TOOL_TASKS = ("arithmetic", "conversion", "clock", "dates", "aggregate", "model_internals", "literal_search")
