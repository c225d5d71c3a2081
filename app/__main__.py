"""The command line: `python -m app` opens the page; `ask`, `doctor` and the rest do the same work in the terminal."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from app import answers_command, launch, models_command, prompt_library, terminal
from app.prompt_library import PromptTemplate
from core.config import Settings, load_settings
from core.errors import FourfoldError, SettingError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION

MODES = ("auto", "prompt", "tools", "rag", "finetuned")
Command = Callable[[Settings, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status: 0 done, 1 failed, 2 wrong use, 130 interrupted, 141 unread."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    command: Command = options.command
    try:
        return command(_settings(options), options)
    except FourfoldError as error:
        return _report(error.message, getattr(options, "json", False))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`); what is still buffered would complain once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _settings(options: argparse.Namespace) -> Settings:
    overrides = {name: getattr(options, name, None) for name in ("host", "port", "home")}
    return load_settings(**{name: value for name, value in overrides.items() if value is not None})


def _report(message: Bilingual, as_json: bool) -> int:
    print(message.in_(terminal.language()), file=sys.stderr)
    if as_json:
        print(json.dumps({"error": message.en, "error_zh": message.zh}, ensure_ascii=False))
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Fourfold: ask your own documents, locally.")
    parser.set_defaults(command=_chat)
    _page_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="")
    _page_options(_command(commands, "chat", _chat, "open the page (the default)"), default=argparse.SUPPRESS)
    ask = _command(commands, "ask", _ask, "answer one question here")
    ask.add_argument("question", help="the question; - reads it from the standard input")
    ask.add_argument("--mode", choices=MODES, default="auto")
    ask.add_argument("--collection", default=DEFAULT_COLLECTION, metavar="NAME")
    ask.add_argument("--weigh", action="store_true", help="find out what the answer stands on, source by source")
    _json(ask)
    answers_command.add_compare_arguments(_command(commands, "compare", _compare, "one question by several modes"))
    answers_command.add_price_arguments(_command(commands, "prices", _prices, "prices to compare the bill with"))
    _json(_command(commands, "doctor", _doctor, "tell what is there and what is missing"))
    _json(_command(commands, "collections", _collections, "list the collections"))
    documents = _command(commands, "documents", _documents, "list the documents of a collection, or remove one")
    documents.add_argument("--collection", default=DEFAULT_COLLECTION, metavar="NAME")
    documents.add_argument("--delete", metavar="ID", help="remove the document with this id")
    _json(documents)
    _prompt_options(_command(commands, "prompts", _prompts, "list the prompt templates, keep one, put one to use"))
    jobs = _command(commands, "jobs", _jobs, "list the long jobs, or stop one")
    jobs.add_argument("--cancel", metavar="ID", help="stop a running job; forget one that ended")
    _json(jobs)
    models = _command(commands, "models", _models, "list the models, get one, put it to use, tune it")
    models_command.add_arguments(models)
    _json(models)
    kept = _command(commands, "conversations", _conversations, "count the conversations, or copy them")
    kept.add_argument("--to", choices=("server", "file"), help="copy them to the server of database_url, or back")
    _json(kept)
    known = _command(commands, "people", _people, "list the people of a shared server; keys for the API; remove one")
    known.add_argument("--key", metavar="NAME", help="make an API key for this person, which ends the one before")
    known.add_argument("--revoke", metavar="NAME", help="end the API key of this person")
    known.add_argument("--remove", metavar="NAME", help="delete everything of this person")
    _json(known)
    serve = _command(commands, "serve", _serve, "offer the HTTP API")
    serve.add_argument("--host", help="address to listen on")
    return parser


def _command(commands: Any, name: str, run: Command, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(command=run)
    return parser


def _page_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    parser.add_argument("--host", default=default, help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=default, help="port of the page (8501)")
    no_browser = default if default is argparse.SUPPRESS else False
    parser.add_argument("--no-browser", action="store_true", default=no_browser, help="do not open a browser window")


def _prompt_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--save", metavar="NAME", help="keep a template under this name")
    parser.add_argument("--instruction", default="", help="its instruction; {name} is a variable")
    parser.add_argument("--pattern", default="{question}", help="what stands around the question")
    parser.add_argument("--use", metavar="NAME", help="put a template to use in the prompt mode; '' for none")
    parser.add_argument("--remove", metavar="NAME", help="delete a template")
    _json(parser)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the last line of the output is one JSON object")


def _chat(settings: Settings, options: argparse.Namespace) -> int:
    port = launch.free_port(settings.host, settings.port)
    if port != settings.port:
        print(f"Port {settings.port} is taken; using {port}.")
    print(f"Fourfold is at http://{settings.host}:{port}   (Ctrl-C ends it)", flush=True)
    launch.serve(settings, port, open_browser=launch.has_display() and not options.no_browser)
    return 0


def _ask(settings: Settings, options: argparse.Namespace) -> int:
    text = sys.stdin.read() if options.question == "-" else options.question
    if not text.strip():
        raise SettingError(Bilingual("The question is empty; write one.", "问题是空的，请写一个。"))
    return terminal.ask(settings, text.strip(), options.mode, options.collection, options.json, options.weigh)


def _compare(settings: Settings, options: argparse.Namespace) -> int:
    terminal.write(answers_command.shown(*answers_command.run_compare(settings, options), options.json))
    return 0


def _prices(settings: Settings, options: argparse.Namespace) -> int:
    terminal.write(answers_command.shown(*answers_command.run_prices(settings, options), options.json))
    return 0


def _doctor(settings: Settings, options: argparse.Namespace) -> int:
    return terminal.doctor(settings, options.json)


def _collections(settings: Settings, options: argparse.Namespace) -> int:
    return terminal.collections(settings, options.json)


def _documents(settings: Settings, options: argparse.Namespace) -> int:
    return terminal.documents(settings, options.collection, options.delete, options.json)


def _prompts(settings: Settings, options: argparse.Namespace) -> int:
    home = settings.paths.home
    if options.save is not None:
        prompt_library.keep(home, PromptTemplate(options.save, options.instruction, options.pattern))
    if options.use is not None:
        prompt_library.use(home, options.use)
    if options.remove is not None:
        prompt_library.remove(home, options.remove)
    return terminal.prompts(settings, options.json)


def _jobs(settings: Settings, options: argparse.Namespace) -> int:
    return terminal.jobs(settings, options.cancel, options.json)


def _models(settings: Settings, options: argparse.Namespace) -> int:
    result = models_command.run(settings, options)
    shown = (
        [json.dumps(result, ensure_ascii=False)] if options.json else models_command.lines(result, terminal.language())
    )
    terminal.write("\n".join(shown))
    return 0


def _conversations(settings: Settings, options: argparse.Namespace) -> int:
    return terminal.conversations(settings, options.to, options.json)


def _people(settings: Settings, options: argparse.Namespace) -> int:
    return terminal.people(settings, options.key, options.revoke, options.remove, options.json)


def _serve(settings: Settings, _options: argparse.Namespace) -> int:
    from app.api import serve

    serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
