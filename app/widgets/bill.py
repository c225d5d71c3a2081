"""What an answer stands on and what it took: its grounding, tokens by origin, thoughts, prices to compare with."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from app import session
from app.answer_view import AnswerView, events_of_view
from app.prompt_lab import ANSWERS_OF_A_BILL
from app.widgets.answer_text import plain_label
from core.errors import FourfoldError
from core.grounded_prompt import INSTRUCTION
from core.language import Bilingual, Language
from orchestrator.bill import Bill, Price, bill_of, load_prices, prices_of, same_in_both_languages, save_prices
from orchestrator.grounding import Grounding

_TEXTS = {
    "help": Bilingual("What it stands on, and what it cost", "依据与开销"),
    "stands": Bilingual("Stands on its sources: {meter:.0%}", "来源支撑度：{meter:.0%}"),
    "stands_help": Bilingual(
        "Each source was left out and the answer scored again by the same model.", "逐一去掉来源，用同一模型重新评分。"
    ),
    "weight": Bilingual("[{number}] weighs {nats:.1f} nats", "[{number}] 的权重：{nats:.1f} 奈特"),
    "partly": Bilingual("Not every source was weighed: time ran out.", "时间已到，未能衡量所有来源。"),
    "disagrees": Bilingual(
        "Cited, but the answer leans more on another source: {numbers}", "虽被引用，但回答更多依赖其他来源：{numbers}"
    ),
    "waits": Bilingual("Its sources have not been weighed yet.", "尚未衡量各来源。"),
    "prompt": Bilingual("Read: {tokens:,} tokens", "读入：{tokens:,} 个词元"),
    "cached": Bilingual(", {cached:,} of them known from before", "，其中 {cached:,} 个无需重读"),
    "answer": Bilingual("Written: {tokens:,} tokens", "写出：{tokens:,} 个词元"),
    "thoughts": Bilingual(", {thinking:,} of them thoughts", "，其中 {thinking:,} 个为思考"),
    "took": Bilingual("{seconds:.1f} s, {speed:.0f} tokens a second", "{seconds:.1f} 秒，每秒 {speed:.0f} 个词元"),
    "thought": Bilingual(", {thinking:.1f} s of them thoughts", "，其中思考 {thinking:.1f} 秒"),
    "elsewhere": Bilingual("A thousand such answers elsewhere would cost", "同样的回答在别处一千次的费用"),
    "languages": Bilingual(
        "The instruction of this program takes {en} tokens in English and {zh} in Chinese on this model.",
        "本程序的指令在此模型上：英文 {en} 个词元，中文 {zh} 个词元。",
    ),
    "edit": Bilingual("Edit the prices (per million tokens)", "修改价格（每百万词元）"),
    "save": Bilingual("Keep the prices", "保存价格"),
}
_ORIGINS = {
    "template": Bilingual("template", "模板"),
    "system": Bilingual("instruction", "指令"),
    "history": Bilingual("history", "历史"),
    "source": Bilingual("sources", "来源"),
    "tool": Bilingual("tools", "工具"),
    "question": Bilingual("question", "问题"),
}


def draw_button(view: AnswerView, answer_id: str) -> None:
    """The way to the verdict on the sources and the bill; nothing where there is no finished answer.

    A button and a drawer: the message of a popover that closes takes back a change of page made by the same click.
    """
    box, language = session.container(), session.words().language
    if view.completed is None or not box.is_built or box.problem is not None:
        return
    if not (view.completed.usage.prompt_tokens or view.completed.usage.completion_tokens):
        # Nothing was asked of a model: there is nothing to pay and nothing to weigh.
        return
    st.button(
        ":material/receipt_long:",
        type="tertiary",
        help=title(language),
        key=f"bill_{answer_id}",
        on_click=session.open_panel,
        args=("bill", answer_id),
    )


def title(language: Language) -> str:
    """What the drawer is about."""
    return _say("help", language)


def draw(view: AnswerView, answer_id: str) -> None:
    """The bill itself. Tokens are counted by the model's process: only for the answer that somebody looks at."""
    box, language = session.container(), session.words().language
    try:
        prices = load_prices(box.settings.paths.home)
        bill = bill_of(events_of_view(view), box.parts().engine, prices)
        twins = same_in_both_languages(box.parts().engine, INSTRUCTION)
    except FourfoldError as error:
        st.caption(plain_label(error.message.in_(language), 300))
        return
    _standing(view, language)
    _tokens(bill, language)
    _elsewhere(bill, prices, language)
    st.caption(_say("languages", language, en=twins["en"]["tokens"], zh=twins["zh"]["tokens"]))
    _editor(prices, answer_id, language)


def _standing(view: AnswerView, language: Language) -> None:
    found = view.grounding
    if found is None:
        if view.completed is not None and view.completed.citations:
            st.caption(_say("waits", language))
        return
    st.progress(found.meter, text=_say("stands", language, meter=found.meter), width="stretch")
    st.caption(_say("stands_help", language))
    for line in weight_lines(found, language):
        st.caption(line)


def weight_lines(found: Grounding, language: Language) -> list[str]:
    """The weight of each source, heaviest first, and what disagrees with the citations."""
    ordered = sorted(found.weights.items(), key=lambda item: -item[1])
    lines = [_say("weight", language, number=number, nats=nats) for number, nats in ordered]
    if not found.complete:
        lines.append(_say("partly", language))
    if found.disagreements:
        lines.append(_say("disagrees", language, numbers=", ".join(f"[{number}]" for number in found.disagreements)))
    return lines


def _tokens(bill: Bill, language: Language) -> None:
    cached = _say("cached", language, cached=bill.cached_tokens) if bill.cached_tokens else ""
    st.write(_say("prompt", language, tokens=bill.prompt_tokens) + cached)
    parts = [f"{_ORIGINS[name].in_(language)} {count}" for name, count in bill.prompt_by_origin.items() if count]
    if parts:
        st.caption(" · ".join(parts))
    thoughts = _say("thoughts", language, thinking=bill.thinking_tokens) if bill.thinking_tokens else ""
    st.write(_say("answer", language, tokens=bill.completion_tokens) + thoughts)
    thought = _say("thought", language, thinking=bill.thinking_seconds) if bill.thinking_tokens else ""
    st.caption(_say("took", language, seconds=bill.seconds, speed=bill.tokens_per_second) + thought)


def _elsewhere(bill: Bill, prices: Sequence[Price], language: Language) -> None:
    st.write(_say("elsewhere", language))
    for price in prices:
        spent = bill.costs.get(price.name, 0.0) * ANSWERS_OF_A_BILL
        # A short answer costs fractions of a cent: two figures tell it, whatever it is.
        asked = f"{f'{spent:,.2f}' if spent >= 1 else f'{spent:.2g}'} {price.currency}"
        colon = "：" if language == "zh" else ": "
        st.caption(f"{plain_label(price.name_in(language), 60)}{colon}{plain_label(asked, 40)}")


def _editor(prices: Sequence[Price], answer_id: str, language: Language) -> None:
    if not st.toggle(_say("edit", language), key=f"prices_{answer_id}"):
        return
    rows: Any = st.data_editor([asdict(price) for price in prices], num_rows="dynamic", key=f"table_{answer_id}")
    if st.button(_say("save", language), key=f"keep_prices_{answer_id}"):
        try:
            save_prices(session.container().settings.paths.home, prices_of(rows))
            st.rerun()
        except FourfoldError as error:
            st.error(plain_label(error.message.in_(language), 300))


def _say(name: str, language: Language, **values: object) -> str:
    return _TEXTS[name].in_(language).format(**values)
