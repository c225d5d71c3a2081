"""The guided tour: one sentence a step, in both languages, with what the picture is evidence of and what it is not."""

from dataclasses import dataclass

import numpy as np

from core.language import Bilingual
from core.types import SamplingSettings
from interpretability.model_file import Floats
from interpretability.sampling_steps import sampling_stages, softmax


@dataclass(frozen=True)
class Stop:
    """One stop of the tour. `key` names the part of the X-ray; `caution` says how far the picture may be trusted."""

    key: str
    sentence: Bilingual
    caution: Bilingual


TOUR = (
    Stop(
        "tokens",
        Bilingual(
            "The model never sees letters: your text is cut into tokens from a fixed list, and each one is billed.",
            "模型看不到字母：文本被切成固定词表中的词元，并按词元计费。",
        ),
        Bilingual(
            "Exact: these are the ids that are computed. A token is not a word: other models cut elsewhere.",
            "精确：参与计算的就是这些编号。词元不是词，其他模型的切法不同。",
        ),
    ),
    Stop(
        "embeddings",
        Bilingual(
            "Each token is looked up as a row of numbers; rows with a small angle were used alike in training.",
            "每个词元对应表中的一行数字；夹角小的两行，在训练中用法相近。",
        ),
        Bilingual(
            "The rows are exact. The flat map keeps only a part of the distances: read the angles instead.",
            "各行数字精确。平面图只保留部分距离，请以夹角为准。",
        ),
    ),
    Stop(
        "positions",
        Bilingual(
            "The rows form the input matrix; their order enters later, when queries and keys are turned by position.",
            "这些行组成输入矩阵；顺序稍后才进入：查询和键按位置旋转。",
        ),
        Bilingual(
            "Exact. Turning never changes a vector's length, only its angle to the others.",
            "精确。旋转不改变向量长度，只改变它与其他向量的夹角。",
        ),
    ),
    Stop(
        "attention",
        Bilingual(
            "Every head mixes what earlier tokens hold into this one, by weights that sum to 1; the future is closed.",
            "每个注意力头按权重混入前面的词元，权重之和为 1；未来不可见。",
        ),
        Bilingual(
            "The weights are exact, but a high one shows where a head looked, not what the answer was made from.",
            "权重精确，但权重高只说明该头看向哪里，并不说明答案由什么得来。",
        ),
    ),
    Stop(
        "layers",
        Bilingual(
            "Layer after layer the vector is changed; the lens reads each stage as if the model stopped there.",
            "向量逐层改变；透镜把每一层当作模型的终点来读。",
        ),
        Bilingual(
            "At the last layer the lens is the model's own answer; before it, a reading it was never trained to give.",
            "最后一层的读数就是模型自己的答案；之前各层的读数，模型并未为此训练。",
        ),
    ),
    Stop(
        "sampling",
        Bilingual(
            "The output is a probability for every token; temperature and the cuts decide how one is drawn.",
            "输出是每个词元的概率；温度与各种截断决定如何抽取一个。",
        ),
        Bilingual(
            "Exact to the token drawn. Top-k is not temperature: one removes candidates, the other changes ratios.",
            "精确到抽出的词元。top-k 不是温度：前者去掉候选，后者改变比例。",
        ),
    ),
    Stop(
        "loop",
        Bilingual(
            "The token drawn is appended and everything begins again; choose another candidate and the text branches.",
            "抽出的词元接在后面，一切重新开始；另选一个候选，文本便分叉。",
        ),
        Bilingual(
            "The model plans nothing you can see here: each step is a new computation over the whole text.",
            "这里看不到模型的计划：每一步都是对全文的一次新计算。",
        ),
    ),
    Stop(
        "passages",
        Bilingual(
            "Which passage did the answer use? Leave each one out and see how much less likely the answer becomes.",
            "要知道答案用了哪个段落，就逐一去掉段落，看答案的可能性降低多少。",
        ),
        Bilingual(
            "Leaving out is the verdict, attention only a picture. Two passages that say the same can hide each other.",
            "去掉段落的结果是结论，旁边的注意力只是图像。内容相同的两段会互相掩盖。",
        ),
    ),
    Stop(
        "compare",
        Bilingual(
            "An adapter, another model, or a push along a direction: the same prompt shows what each one changes.",
            "适配器、另一个模型，或沿某个方向推一把：同一提示显示各自改变了什么。",
        ),
        Bilingual(
            "Exact for this prompt only. A steering direction is a habit of the examples, not a concept.",
            "差异只对这个提示精确。引导方向反映的是例句的习惯，不是一个概念。",
        ),
    ),
    Stop(
        "dog",
        Bilingual(
            "The smallest language model counts which word follows which: P(eat | run) is a fraction of two counts.",
            "最小的语言模型只数哪个词跟着哪个词：P(eat | run) 是两个计数之比。",
        ),
        Bilingual(
            "It has the same task as the large model but cannot tell anything it never counted.",
            "它与大模型任务相同，但没数过的就说不出来。",
        ),
    ),
    Stop(
        "parameters",
        Bilingual(
            "All that the model has learned lies in these numbers; using it changes none of them.",
            "模型学到的一切都在这些数字里；使用它不会改变任何一个。",
        ),
        Bilingual(
            "Sizes are read from the file. Its hash before and after, below, shows that using it changed nothing.",
            "大小读自文件。下方使用前后的文件哈希表明：使用没有改变它。",
        ),
    ),
)


@dataclass(frozen=True)
class Myth:
    """A popular explanation that is wrong, and what the data of this very prompt say instead."""

    claim: Bilingual
    answer: Bilingual


def unchanged_by_use(before: str, after: str) -> Myth:
    """Does a model learn from being used? SHA-256 of its file before and after says no."""
    same = before == after
    return Myth(
        Bilingual("The model learns from what I ask it.", "我问什么，模型就学到什么。"),
        Bilingual(
            f"The file's SHA-256 was {before[:12]}… before this X-ray and is {'the same' if same else 'another'} now.",
            f"做这次 X 光之前文件的 SHA-256 为 {before[:12]}…，现在{'没有变化' if same else '不同了'}。",
        ),
    )


def top_k_is_not_temperature(logits: Floats) -> Myth:
    """Both make text tamer; by what they do to the first two candidates of this prompt they are different things."""
    raw = softmax(logits)
    first, second = np.argsort(-raw, kind="stable")[:2]
    open_settings = SamplingSettings(temperature=0.5, top_k=0, top_p=1.0, min_p=0.0)
    cool = sampling_stages(logits, open_settings)[-1].probabilities
    ratio, cooled = float(raw[first] / raw[second]), float(cool[first] / cool[second])
    return Myth(
        Bilingual("Top-k and temperature are two names for the same thing.", "top-k 和温度是一回事。"),
        Bilingual(
            f"Here the first candidate is {ratio:.2f} times as likely as the second. Top-k leaves that ratio alone; "
            f"temperature 0.5 makes it {cooled:.2f} and removes nobody.",
            f"此处第一候选的概率是第二候选的 {ratio:.2f} 倍。top-k 无论取几都不改变这个比例；"
            f"温度 0.5 使它变为 {cooled:.2f}，但不去掉任何候选。",
        ),
    )


def attention_is_not_use(by_leaving_out: int | None, by_attention: int) -> Myth:
    """Does attention show what was used? The number of the passage that it names, and of the one leaving out names."""
    said = Bilingual("Attention shows what the answer was made from.", "注意力显示答案由什么得来。")
    if by_leaving_out == by_attention:
        both = Bilingual(
            f"Here both leaving out and the mean attention name passage {by_attention}. Trust the first all the same.",
            f"此处逐一去掉与平均注意力都得出段落 {by_attention}；仍应以前者为准。",
        )
        return Myth(said, both)
    verdict = Bilingual("no passage", "没有任何段落")
    if by_leaving_out is not None:
        verdict = Bilingual(f"passage {by_leaving_out}", f"段落 {by_leaving_out}")
    return Myth(
        said,
        Bilingual(
            f"Leaving out names {verdict.en}, the mean attention passage {by_attention}. Trust the first.",
            f"逐一去掉得出：{verdict.zh}；平均注意力得出：段落 {by_attention}。应以前者为准。",
        ),
    )


def sums_name_their_own_words(nearest: str, is_input: bool) -> Myth:
    """Does king - man + woman give queen? Only where the words that went in may not come out."""
    return Myth(
        Bilingual(
            "Words can be calculated with, and the sum lies nearest to the answer.", "词可以加减，结果最靠近答案。"
        ),
        Bilingual(
            f"Here the token nearest to the sum is {nearest!r}, a word that went in: the list above leaves those out."
            if is_input
            else f"Here that is so: {nearest!r} is nearest even if the words that went in may come out.",
            f"这里最靠近结果的是 {nearest!r}，正是输入的词之一：上面的列表已把输入的词去掉。"
            if is_input
            else f"这里确实如此：即使不排除输入的词，最近的也是 {nearest!r}。",
        ),
    )


def tokens_are_not_words(here: tuple[int, int], example: tuple[int, int]) -> Myth:
    """Is a token a word? (words, tokens) of this text, and of the English example where the two differ."""
    return Myth(
        Bilingual("A token is a word.", "词元就是词。"),
        Bilingual(
            f"This text has {here[0]} words between blanks and {here[1]} tokens; "
            f"the English sentence above has {example[0]} and {example[1]}.",
            f"这段文本按空格有 {here[0]} 个词、{here[1]} 个词元；"
            f"上面的英文句子有 {example[0]} 个词、{example[1]} 个词元。",
        ),
    )
