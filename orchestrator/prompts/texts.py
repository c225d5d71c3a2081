"""Instructions to the model and sentences to the person, in both languages."""

from core.language import Bilingual

PROMPT_SYSTEM = Bilingual(
    en="You are a helpful assistant. Answer clearly and briefly, in English. Say so when you do not know.",
    zh="你是一个乐于助人的助手。请用中文清楚、简短地回答。不知道时请直说。",
)
STEP_BY_STEP = Bilingual(
    en="Think step by step: write your reasoning between <think> and </think>, then the answer.",
    zh="请逐步思考：先把推理过程写在 <think> 和 </think> 之间，然后给出答案。",
)
NO_EVIDENCE = Bilingual(
    en="The documents do not hold an answer to this question, so none is given. The closest passages are listed below; "
    "you can read them, or ask for an answer from general knowledge.",
    zh="文档中没有这个问题的答案，因此不作回答。下面列出最接近的段落，您可以查看，或改为用通用知识回答。",
)
NOT_IN_PASSAGES = Bilingual(
    en="The passages that were found do not answer this question. The closest ones are listed below; you can read "
    "them, or ask for an answer from general knowledge.",
    zh="找到的段落没有回答这个问题。下面列出最接近的段落，您可以查看，或改为用通用知识回答。",
)
EMPTY_COLLECTION = Bilingual(
    en="The collection “{name}” holds no documents yet. Add some, or ask for an answer from general knowledge.",
    zh="文档集“{name}”中还没有文档。请先添加文档，或改为用通用知识回答。",
)
EXTRACTIVE_CHOSEN = Bilingual(
    en="Sentences from the documents, word for word; no model wrote this.",
    zh="以下为文档原文摘句，并非模型生成。",
)
EXTRACTIVE_LANGUAGE = Bilingual(
    en="The loaded model does not write this language: these are sentences from the documents, word for word.",
    zh="当前模型不会书写这种语言：以下为文档原文摘句，并非模型生成。",
)
EXTRACTIVE_FALLBACK = Bilingual(
    en="The model's answer was not supported by the documents: these are their sentences, word for word.",
    zh="模型的回答得不到文档支持：以下为文档原文摘句。",
)
GENERAL_KNOWLEDGE = Bilingual(
    en="From the model's general knowledge, without your documents.",
    zh="来自模型的通用知识，未使用您的文档。",
)
CLAIMED_DOCUMENTS = Bilingual(
    en="The answer speaks of documents, but none were shown to the model.",
    zh="回答声称依据文档，但实际上没有向模型提供任何文档。",
)
FINETUNED = Bilingual(
    en="Written by the base model with the adapter “{name}”, without your documents.",
    zh="由基础模型加适配器“{name}”生成，未使用您的文档。",
)
LANGUAGE_NOT_WRITTEN = Bilingual(
    en="This model does not write the language of the question well; another can be chosen under Models & settings.",
    zh="当前模型不擅长书写这种语言；可在“模型与设置”中换用支持该语言的模型。",
)
LANGUAGE_UNKNOWN = Bilingual(
    en="The loaded model cannot write the language of this question, so it was not asked. Questions about your "
    "documents are answered in their own words; a model that writes it can be chosen under Models & settings.",
    zh="当前模型不会书写这种语言，因此没有让它作答。关于文档的问题会以文档原文回答；"
    "可在“模型与设置”中换用会书写该语言的模型。",
)
DROPPED_CITATIONS = Bilingual(
    en="Citations of sources that do not exist were taken out: {numbers}.",
    zh="已删去指向不存在来源的引用：{numbers}。",
)
PLACED_CITATIONS = Bilingual(
    en="Citations placed by comparing sentences with sources, where the model wrote none or a wrong one: {count}.",
    zh="由程序比对来源后补上的引用（模型未写出或写错）：{count} 处。",
)
STORED_PASSAGES = Bilingual(
    en="{tokens} tokens of passages were put together from earlier readings, not read again (stored_passages).",
    zh="段落中有 {tokens} 个词元由先前的读取结果拼接而成，未重新读取（stored_passages）。",
)
CUT_AT_LIMIT = Bilingual(
    en="The answer was cut at {tokens} tokens; the limit is a setting (max_tokens).",
    zh="回答在 {tokens} 个词元处被截断；上限可在设置中调整（max_tokens）。",
)
USED = Bilingual(en="used", zh="已使用")
USED_WHOLE = Bilingual(en="used: the whole document, because it fits", zh="已使用：文档较短，整篇放入")
USED_PART = Bilingual(
    en="used: the sentences around the best one, which a small model reads better",
    zh="已使用：最佳句子及其前后句（小模型读短文更准确）",
)
PART_OF_WHOLE = Bilingual(en="part of [{number}], which is shown whole", zh="属于已整篇放入的 [{number}]")
CLOSEST = Bilingual(en="closest passage; not close enough to answer", zh="最接近的段落，但不足以回答")
BELOW_TOP = Bilingual(en="ranked below what was used", zh="排在所用段落之后")
NO_ROOM = Bilingual(en="does not fit the budget of {tokens} tokens", zh="超出 {tokens} 个词元的预算")
MERGED = Bilingual(en="joined with its neighbour [{number}]", zh="已与相邻段落 [{number}] 合并")
TOOLS_SYSTEM = Bilingual(
    en="Answer the question with the help of the functions. When you have a result, answer in one short sentence.",
    zh="请借助函数回答问题。得到结果后，用一句简短的中文作答。",
)
TOOL_RESULT_ITSELF = Bilingual(en="The tool's result as it is.", zh="以下为工具的原始结果。")
NO_TOOL_FITS = Bilingual(
    en="None of the tools that are switched on fits this question. Ask more plainly, or choose another mode.",
    zh="已启用的工具都不适合这个问题。请换一种更直白的问法，或选择其他模式。",
)
TOO_MANY_STEPS = Bilingual(
    en="Stopped after {steps} rounds of tool calls without an answer.", zh="已进行 {steps} 轮工具调用仍无回答，已停止。"
)
WAITS_FOR_A_PERSON = Bilingual(
    en="Waiting for your decision: this call does more than read.", zh="等待您的决定：该调用不只是读取数据。"
)
CLAIMED_WITHOUT_CALL = Bilingual(
    en="The answer speaks of having used a tool, but none was called.",
    zh="回答声称使用了工具，但实际上没有调用任何工具。",
)
TOOLS_MISSING = Bilingual(
    en="The tools mode has no tools to call here. Switch tools on, or choose another mode.",
    zh="工具模式下没有可调用的工具。请启用工具，或选择其他模式。",
)
ADAPTER_MISSING = Bilingual(
    en="The fine-tuned mode needs an adapter, and none is there for this model. Train one (page “Fine-tune”, or "
    "`python -m training`), or choose another mode.",
    zh="微调模式需要适配器，而当前模型没有。请训练一个（“微调”页面，或 `python -m training`），或选择其他模式。",
)


def fill(template: Bilingual, **values: object) -> Bilingual:
    """Return `template` with its places filled in both languages."""
    return Bilingual(template.en.format(**values), template.zh.format(**values))
