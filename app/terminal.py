"""The commands that answer in the terminal: they print what the page draws."""

import dataclasses
import json
import locale
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from app import answers_command, prompt_library
from app.answer_view import AnswerView, fold
from core.config import Settings
from core.errors import SettingError
from core.language import Bilingual, Language
from core.types import EMBEDDED_SHARE, Mode, Question, Scope
from orchestrator.events import AnswerEvent, QueryRewritten, RouteChosen, SourcesFound, TextDelta, ToolFinished
from orchestrator.serialise import plain

if TYPE_CHECKING:
    from retrieval.library import Library

_BY_MEANING = Bilingual(
    en="{share:.0%} of the passages can be searched by meaning so far; running `python -m app` completes them",
    zh="目前有 {share:.0%} 的段落可按语义检索；运行 `python -m app` 会补全其余段落",
)
_TITLES = {"ok": "ok", "optional": "--", "missing": "!!"}


def language() -> Language:
    """The language of the terminal, by its locale."""
    return "zh" if (locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


def write(text: str = "", end: str = "\n") -> None:
    """Print to the standard output at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def ask(settings: Settings, text: str, mode: Mode, collection: str, as_json: bool, weigh: bool = False) -> int:
    """Answer one question, streaming; return 0, or 1 where no answer could be given."""
    from app.container import build_parts, prepare

    parts = build_parts(settings)
    prepare(parts, settings, collection)
    asked = prompt_library.shaped(settings.paths.home, Question(text, mode=mode, scope=Scope(collection=collection)))
    view, streamed = AnswerView(), ""
    try:
        for event in parts.assistant.answer(asked):
            view = fold(view, event)
            streamed += event.text if isinstance(event, TextDelta) else ""
            if not as_json:
                _print_event(event)
        beside = answers_command.facts(view, parts.engine, settings, weigh) if view.completed is not None else {}
    finally:
        parts.assistant.close()
    if as_json:
        write(json.dumps({**answer_json(view), **beside}, ensure_ascii=False))
    else:
        _print_end(view, streamed)
        for line in answers_command.lines_beside(beside, language()) if beside else ():
            write(line)
    return 1 if view.failed is not None else 0


def answer_json(view: AnswerView) -> dict[str, Any]:
    """An answer as plain JSON: text, kind, mode, sources, citations, usage, timings."""
    if view.failed is not None or view.completed is None:
        message = view.failed or Bilingual("The answer broke off.", "回答中断。")
        return {"error": message.en, "error_zh": message.zh, "partial": view.text}
    sources = [
        {
            "number": source.number,
            "title": source.chunk.chunk.title,
            "uri": source.chunk.chunk.uri,
            "page": source.chunk.chunk.page,
            "text": source.chunk.chunk.text,
        }
        for source in view.used_sources
    ]
    mode = view.route.mode if view.route else ""
    evidence = view.found.evidence.level if view.found else None
    return {"mode": mode, "evidence": evidence, **plain(view.completed), "sources": sources}


def _print_event(event: AnswerEvent) -> None:
    match event:
        case RouteChosen():
            write(f"[{event.route.mode}]", end=" ")
        case QueryRewritten():
            write(f"({event.rewritten})", end=" ")
        case SourcesFound():
            used = sum(source.used for source in event.sources)
            write(f"searched {event.searched:,} → {len(event.sources)} → {used} used · {event.evidence.level}")
            if EMBEDDED_SHARE in event.evidence.signals:
                write(_BY_MEANING.in_(language()).format(share=event.evidence.signals[EMBEDDED_SHARE]))
        case ToolFinished():
            write(f"{event.call.name}({json.dumps(dict(event.call.arguments), ensure_ascii=False)}) = {event.result}")
        case TextDelta():
            write(event.text, end="")


def _print_end(view: AnswerView, streamed: str) -> None:
    if view.failed is not None:
        write("\n" + view.failed.in_(language()))
        return
    completed = view.completed
    if completed is None:
        return
    # A check may have changed what was streamed; the checked text is the answer.
    write("" if completed.text.strip() == streamed.strip() else f"\n→ {completed.text}")
    for number in sorted({citation.number for citation in completed.citations}):
        source = view.source(number)
        if source is not None:
            chunk = source.chunk.chunk
            write(f"[{number}] {chunk.title or chunk.uri}" + (f", p. {chunk.page}" if chunk.page else ""))
    for notice in completed.notices:
        write(f"({notice.in_(language())})")


def doctor(settings: Settings, as_json: bool) -> int:
    """Print every check; return 1 where something needed is missing."""
    from app.doctor import examine

    found = []
    for check in examine(settings):
        found.append(check)
        if not as_json:
            said = "  ".join(part for part in (check.detail.in_(language()), check.remedy.in_(language())) if part)
            write(f"{_TITLES[check.state]}  {check.name.in_(language()):<24} {said}")
    missing = sum(check.state == "missing" for check in found)
    if as_json:
        write(
            json.dumps(
                {"missing": missing, "checks": [dataclasses.asdict(check) for check in found]}, ensure_ascii=False
            )
        )
    return 1 if missing else 0


def collections(settings: Settings, as_json: bool) -> int:
    """List the collections with their counts."""
    from app.library import summaries

    found = summaries(_library(settings))
    if as_json:
        write(json.dumps({"collections": [dataclasses.asdict(summary) for summary in found]}, ensure_ascii=False))
        return 0
    for summary in found:
        write(f"{summary.name:<24} {summary.documents:>6} documents {summary.chunks:>8} passages")
    return 0


def documents(settings: Settings, collection: str, delete: str | None, as_json: bool) -> int:
    """List the documents of a collection, or remove one of them; return 1 where nothing has that id."""
    library = _library(settings)
    if delete is not None:
        with library.writer(collection) as store:
            removed = store.remove_document(delete)
        write(json.dumps({"removed": removed}) if as_json else "removed" if removed else f"no document {delete}")
        return 0 if removed else 1
    with closing(library.reader(collection)) as store:
        records = store.documents()
    if as_json:
        write(json.dumps({"documents": [plain(record) for record in records]}, ensure_ascii=False))
        return 0
    for record in records:
        write(f"{record.id}  {record.chunks:>6}  {record.status:<8} {record.uri}")
    return 0


def prompts(settings: Settings, as_json: bool) -> int:
    """List the prompt templates; a star stands before the one in use."""
    shelf = prompt_library.load(settings.paths.home)
    if as_json:
        write(json.dumps(dataclasses.asdict(shelf), ensure_ascii=False))
        return 0
    for template in shelf.templates:
        write(f"{'*' if template.name == shelf.in_use else ' '} {template.name:<24} {template.instruction}")
    return 0


def jobs(settings: Settings, cancel: str | None, as_json: bool) -> int:
    """List the long jobs, newest first, or stop one; return 1 where nothing has that id."""
    from app import works

    if cancel is not None:
        stopped = works.cancel(settings, cancel)
        write(json.dumps({"cancelled": stopped}) if as_json else "asked to stop" if stopped else f"no job {cancel}")
        return 0 if stopped else 1
    found = works.all_jobs(settings)
    if as_json:
        write(json.dumps({"jobs": [dataclasses.asdict(job) for job in found]}, ensure_ascii=False))
        return 0
    for job in found:
        share = f"{job.share:4.0%}" if job.share is not None and job.is_running else "    "
        write(f"{job.id}  {job.kind:<8} {job.state:<11} {share}  {job.title}  {job.detail.in_(language())}")
    return 0


def people(settings: Settings, key: str | None, revoke: str | None, remove: str | None, as_json: bool) -> int:
    """List the people of a shared server, make or end an API key of one, or delete everything of one."""
    from app import people as served

    done: dict[str, object] = {}
    if key is not None:
        done["key"] = served.make_key(settings, served.find(settings, key))
    if revoke is not None:
        served.revoke_key(settings, served.find(settings, revoke))
        done["revoked"] = revoke
    if remove is not None:
        served.remove(settings, served.find(settings, remove))
        done["removed"] = remove
    if not done:
        done["people"] = [dataclasses.asdict(one) for one in served.known(settings)]
    if as_json:
        write(json.dumps(done, ensure_ascii=False))
        return 0
    for one in served.known(settings) if "people" in done else ():
        since = time.strftime("%Y-%m-%d", time.localtime(one.since))
        write(f"{one.person.key}  {since}  {'key' if one.has_key else '   '}  {one.person.name}")
    for name, value in done.items():
        if name != "people":
            write(f"{name}: {value}")
    return 0


def conversations(settings: Settings, to: str | None, as_json: bool) -> int:
    """Count the conversations where they lie, or copy them from the file to the server or back, of everybody."""
    from app import people as served
    from orchestrator.history import History, open_history

    owners = [settings, *(served.settings_of(settings, one.person.key) for one in served.known(settings))]
    if to is not None and not settings.database_url:
        raise SettingError(Bilingual("Set FOURFOLD_DATABASE_URL first.", "请先设置 FOURFOLD_DATABASE_URL。"))
    copied = counted = 0
    for owner in owners:
        here, there = History(owner.paths.conversations_file), open_history(owner)
        if to is not None:
            copied += there.take_over(here) if to == "server" else here.take_over(there)
        counted += len((here if to == "file" else there).conversations(10_000_000))
    done = {"people": len(owners), "conversations": counted, "rows_copied": copied}
    write(json.dumps(done) if as_json else "  ".join(f"{name}: {value}" for name, value in done.items()))
    return 0


def _library(settings: Settings) -> "Library":
    from retrieval.embedder import open_embedder
    from retrieval.library import Library

    # The encoder is named, not loaded: nothing is searched here.
    return Library(settings, open_embedder(settings))
