"""`python -m tools`: list the tools, call one, or fill in its form, without any model writing the call."""

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any, TextIO

from core.config import Settings, load_settings
from core.errors import FourfoldError, ToolError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION, Scope, ToolCall
from tools.base import ToolEntry, ToolOutcome
from tools.forms import FormField, form_fields, read_field
from tools.registry import ToolRegistry


def main(arguments: list[str] | None = None, typed: TextIO | None = None) -> int:
    """Run one command, a form read from `typed`; exit status 0: done, 1: the tool failed or there is none."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, load_settings(), typed or sys.stdin)
    except FourfoldError as error:
        print(f"{error.message.en}\n{error.message.zh}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools", description="The tools that a model may call.")
    commands = parser.add_subparsers(dest="command", required=True)
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--collection", default=DEFAULT_COLLECTION, help="whose documents and tables are meant")
    everywhere.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    commands.add_parser("list", parents=[everywhere], help="the tools, their risks and where they come from")
    call = commands.add_parser("call", parents=[everywhere], help="call a tool")
    call.add_argument("name")
    call.add_argument("arguments", nargs="?", default="{}", help='a JSON object, such as \'{"expression": "2+3"}\'')
    form = commands.add_parser("form", parents=[everywhere], help="fill in the form of a tool, line by line")
    form.add_argument("name")
    for command in (call, form):
        command.add_argument("--yes", action="store_true", help="also where the tool does more than read")
    return parser


def _run(options: argparse.Namespace, settings: Settings, typed: TextIO) -> int:
    from inference.runtime import open_engine
    from retrieval.embedder import open_embedder
    from retrieval.library import Library
    from tools.library_parts import library_parts

    with closing(open_engine(settings)) as engine:
        registry = ToolRegistry(settings, library_parts(Library(settings, open_embedder(settings)), engine))
        scope = Scope(collection=options.collection)
        if options.command == "list":
            return _list(registry, scope, options.json)
        entry = _entry(registry, scope, options.name)
        given = _filled(entry, typed) if options.command == "form" else _parsed(options.arguments)
        approved = options.yes or _agreed(entry, typed)
        outcome = registry.executor((entry,)).run(ToolCall("by-hand", entry.name, given), approved=approved)
    return _report(outcome, options.json)


def _list(registry: ToolRegistry, scope: Scope, as_json: bool) -> int:
    entries = registry.active(scope)
    for entry in entries:
        print(f"{entry.name:28} {entry.risk:8} {entry.description.en} ({entry.origin})")
    for problem in registry.problems:
        print(f"! {problem.origin}: {problem.message.en}", file=sys.stderr)
    if as_json:
        print(json.dumps({"tools": [entry.schema()["function"] for entry in entries]}, ensure_ascii=False))
    return 0


def _entry(registry: ToolRegistry, scope: Scope, name: str) -> ToolEntry:
    entries = {entry.name: entry for entry in registry.active(scope)}
    if name not in entries:
        known = ", ".join(sorted(entries))
        raise ToolError(
            Bilingual(
                f"There is no tool {name!r}. The tools are: {known}.", f"没有工具 {name!r}。可用的工具：{known}。"
            )
        )
    return entries[name]


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ToolError(Bilingual(f"The arguments {text!r} are not a JSON object.", f"参数 {text!r} 不是 JSON 对象。"))
    return value


def _filled(entry: ToolEntry, typed: TextIO) -> dict[str, Any]:
    """Ask for each argument in turn; an empty line leaves an optional one out, a wrong one is asked for again."""
    filled: Mapping[str, Any] = {field.name: _asked(field, typed) for field in form_fields(entry.parameters)}
    return {name: value for name, value in filled.items() if value is not None}


def _asked(field: FormField, typed: TextIO) -> Any:
    about = ", ".join(filter(None, [field.kind, field.hint, "" if field.required else "empty: left out"]))
    while True:
        print(f"{field.name} ({about}): ", end="", file=sys.stderr, flush=True)
        line = typed.readline()
        if not line:
            raise ToolError(Bilingual(f"The form ended before {field.name}.", f"表单在 {field.name} 之前结束。"))
        if not line.strip() and not field.required:
            return None
        try:
            return read_field(field, line.rstrip("\n"))
        except ToolError as error:
            print(error.message.en, file=sys.stderr)


def _agreed(entry: ToolEntry, typed: TextIO) -> bool:
    if not entry.needs_approval or not typed.isatty():
        return False
    print(f"{entry.name} ({entry.risk}). Run it? / 运行？ [y/N] ", end="", file=sys.stderr, flush=True)
    return typed.readline().strip().lower() in ("y", "yes", "是")


def _report(outcome: ToolOutcome, as_json: bool) -> int:
    print(outcome.text, file=sys.stderr if outcome.failed else sys.stdout)
    if as_json:
        row = {"result": outcome.text, "failure": outcome.failure, "details": dict(outcome.details)}
        print(json.dumps(row, ensure_ascii=False, default=str))
    return int(outcome.failed)


if __name__ == "__main__":
    sys.exit(main())
