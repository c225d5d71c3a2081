"""`python -m training`: train, jobs, resume, cancel; list, show, delete, import; exam, prompts, labels."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from core.config import Settings, load_settings
from core.errors import FourfoldError
from core.language import Bilingual
from core.types import Chunk, Scope
from inference.runtime import open_engine
from retrieval.embedder import open_embedder
from retrieval.library import Library
from training.adapters import AdapterLibrary
from training.checks import PreparedData, prepare
from training.dataset import LoadedData, load_data
from training.estimate import default_threads, estimate, refuse_too_large, within_memory
from training.exam import hold_exam
from training.examples import Example, write_examples
from training.feedback import read_feedback
from training.gguf_model import GgufModel, base_path, check_trainable, read_model, same_vocabulary
from training.grounded import grounded_examples, wide_examples, written_examples
from training.jobs import ENDED, Job, JobBoard, JobSpec
from training.labels import from_documents, from_feedback, from_teacher, is_supported
from training.lora import load_tokenizer
from training.packing import make_packs
from training.peft_import import import_peft
from training.prompt_search import search
from training.recipe import PRECISIONS, TrainingRecipe
from training.rendering import ChatFormat, Piece
from training.runner import JobRunner, describe_status, exam_contestants
from training.tool_rows import tool_examples

SHOWN = 5
SHOWN_CHARACTERS = 700


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 where it did what was asked."""
    options = _parser().parse_args(arguments)
    language = options.language
    try:
        settings = load_settings(**({"model": options.base} if getattr(options, "base", "") else {}))
        return int(options.run(options, settings) or 0)
    except FourfoldError as error:
        print(error.message.in_(language), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("train", help="train an adapter from a file of labelled examples")
    one.set_defaults(run=_train)
    one.add_argument("--data", type=Path, required=True, help="JSONL, JSON, CSV or TSV")
    one.add_argument("--name", required=True, help="name of the adapter")
    one.add_argument("--base", default="", help="path of a GGUF (default: the chat model of the settings)")
    one.add_argument("--limit", type=int, default=0, help="use the first N examples only")
    one.add_argument("--check", action="store_true", help="check and estimate only")
    one.add_argument("--exam-rows", type=int, default=-1, help="rows of the exam at most; 0: no exam")
    one.add_argument("--go-on", default="", metavar="ADAPTER", help="go on from this adapter, with its rank")
    one.add_argument("--detach", action="store_true", help="return as soon as it runs")
    _add_recipe(one)
    _add_job_commands(commands)
    _add_library_commands(commands)
    return parser


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    plain = TrainingRecipe()
    for name, value in asdict(plain).items():
        if name not in ("threads", "warm_up", "checks_per_epoch", "precision"):
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--threads", type=int, default=0, help="0: chosen for the machine")
    parser.add_argument("--precision", choices=PRECISIONS, default=plain.precision, help="of the frozen matrices")


def _add_job_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, run, text in (
        ("jobs", _jobs, "list the training jobs"),
        ("resume", _resume, "go on from the last checkpoint"),
        ("cancel", _cancel, "stop a job and remove everything of it"),
        ("run-job", _run_job, ""),
    ):
        # Without a help text it is not listed: only the program itself calls it.
        one = commands.add_parser(name, help=text) if text else commands.add_parser(name)
        one.set_defaults(run=run)
        if name != "jobs":
            one.add_argument("job")


def _add_library_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("list", help="list the adapters").set_defaults(run=_list)
    for name, run, text in (("show", _show, "show an adapter's card"), ("delete", _delete, "delete an adapter")):
        one = commands.add_parser(name, help=text)
        one.set_defaults(run=run)
        one.add_argument("name")
    imported = commands.add_parser("import", help="take in a LoRA adapter: a GGUF file or a peft folder")
    imported.set_defaults(run=_import)
    _add_comparing_commands(commands)
    imported.add_argument("path", type=Path)
    imported.add_argument("--name", required=True)
    imported.add_argument("--base", default="")


def _add_comparing_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, run, text in (
        ("exam", _exam, "base, cheap alternatives and an adapter on the exam part of a file"),
        ("prompts", _prompts, "search the best prompt for a task, no training"),
    ):
        one = commands.add_parser(name, help=text)
        one.set_defaults(run=run)
        one.add_argument("--data", type=Path, required=True)
        one.add_argument("--base", default="")
        one.add_argument("--limit", type=int, default=60, help="rows of the exam")
        one.add_argument("--adapter", default="", help="an adapter to examine" if name == "exam" else argparse.SUPPRESS)
    grounded = commands.add_parser("grounded", help="write the rows that the bundled adapter `grounded` is trained on")
    grounded.set_defaults(run=_grounded)
    grounded.add_argument("--qa", type=Path, required=True, help="folder with xquad_en, clapnq and pubmedqa")
    grounded.add_argument("--out", type=Path, required=True)
    grounded.add_argument("--seed", type=int, default=42)
    kinds = grounded.add_mutually_exclusive_group()
    kinds.add_argument("--wide", action="store_true", help="many passages, questions made by rule")
    kinds.add_argument("--written", action="store_true", help="the questions written for it (written_questions.jsonl)")
    tools = commands.add_parser("tools", help="write the rows that the bundled adapter `tools` is trained on")
    tools.set_defaults(run=_tools)
    tools.add_argument("--tools", type=Path, required=True, help="folder with seal_tools, glaive and the others")
    tools.add_argument("--out", type=Path, required=True)
    tools.add_argument("--seed", type=int, default=42)
    labels = commands.add_parser("labels", help="labelled rows from documents, the chat, or a teacher")
    labels.set_defaults(run=_labels)
    labels.add_argument("--out", type=Path, required=True)
    labels.add_argument("--collection", default="", help="questions with passages and cited answers (RAFT)")
    labels.add_argument("--from-history", action="store_true", help="answers that you corrected or liked in the chat")
    labels.add_argument("--teacher", default="", help="a larger GGUF that answers the questions of --data")
    labels.add_argument("--data", type=Path, help="questions for the teacher, in any of the known forms")
    labels.add_argument("--top", type=int, default=8, help="likely tokens kept where the teacher's vocabulary agrees")
    labels.add_argument("--limit", type=int, default=300)
    labels.add_argument("--check", action="store_true", help="keep what loses its answer without its passage (slow)")


def _train(options: argparse.Namespace, settings: Settings) -> int:
    base = read_model(base_path(settings))
    check_trainable(base)
    recipe = within_memory(base, _recipe(options))
    data = load_data(options.data)
    if options.limit:
        data = replace(data, examples=data.examples[: options.limit])
    prepared = _limited_exam(_prepare_and_show(data, base, recipe, options.language), options.exam_rows)
    if options.check:
        return 0
    board = JobBoard(settings)
    start = str(AdapterLibrary(settings).get(options.go_on).path) if options.go_on else ""
    exam = options.exam_rows != 0
    spec = JobSpec(options.name, str(base.path.absolute()), recipe, kind=data.format, exam=exam, start_from=start)
    job = board.create(spec, prepared)
    print(f"job {job.id}")
    return _follow(board, job, options)


def _limited_exam(prepared: PreparedData, rows: int) -> PreparedData:
    """The same with at most `rows` in the exam (negative: all); what the exam does not need is learned from."""
    if rows < 0:
        return prepared
    return replace(prepared, train=(*prepared.train, *prepared.exam[rows:]), exam=prepared.exam[:rows])


def _recipe(options: argparse.Namespace) -> TrainingRecipe:
    chosen = {name: getattr(options, name) for name in asdict(TrainingRecipe()) if hasattr(options, name)}
    return TrainingRecipe(**{**chosen, "threads": options.threads or default_threads()})


def _prepare_and_show(data: LoadedData, base: GgufModel, recipe: TrainingRecipe, language: str) -> PreparedData:
    chat = ChatFormat(load_tokenizer(base.path))
    prepared = prepare(data, lambda one: len(chat.row(one).ids), recipe.max_tokens, recipe.held_out_share, recipe.seed)
    report = prepared.report
    print(
        f"{data.path.name}: {data.format}, {report.rows} rows, {report.duplicates} repeated, {report.too_long} too long"
    )
    print(f"{len(prepared.train)} train · {len(prepared.held_out)} held out · {len(prepared.exam)} exam")
    print(f"tokens: median {report.median_tokens}, longest {report.longest_tokens} · {dict(report.languages)}")
    if report.labels:
        print(f"labels: {dict(report.labels)}")
    for notice in report.notices:
        print(f"! {notice.in_(language)}")
    for example in prepared.train[:SHOWN]:
        print(_shown(chat.pieces(example)))
    rows = [chat.row(example) for example in prepared.train]
    needed = estimate(
        base, recipe, make_packs(rows, recipe.pack_tokens, recipe.seed), sum(len(row.ids) for row in rows)
    )
    saved = f"{needed.saved:.0%} saved by shared beginnings"
    print(f"{needed.tokens:,} tokens ({saved}), about {needed.seconds / 60:.1f} min, {needed.bytes / 1e9:.1f} GB")
    refuse_too_large(needed)
    return prepared


def _shown(pieces: tuple[Piece, ...]) -> str:
    """A rendered example with the trained part between marks."""
    text = "".join(f"⟦{piece.text}⟧" if piece.trained else piece.text for piece in pieces)
    return "-" * 60 + "\n" + (text if len(text) <= SHOWN_CHARACTERS else "…" + text[-SHOWN_CHARACTERS:])


def _follow(board: JobBoard, job: Job, options: argparse.Namespace) -> int:
    process = board.start(job)
    if getattr(options, "detach", False):
        return 0
    state = ""
    try:
        for status in board.follow(job, process):
            print(describe_status(status)(options.language), flush=True)
            state = status.state
    except KeyboardInterrupt:
        print(Bilingual("Stopping; nothing is left behind.", "正在停止，不留下任何文件。").in_(options.language))
        job.cancel()
        return 130
    if state != "finished":
        return 1
    job.remove()
    _show(argparse.Namespace(name=job_name(options, job)), load_settings())
    return 0


def job_name(options: argparse.Namespace, job: Job) -> str:
    """The name of the adapter that the job made."""
    return str(getattr(options, "name", "") or job.spec().name)


def _run_job(options: argparse.Namespace, settings: Settings) -> int:
    if hasattr(os, "setpriority"):
        # Training yields to the model that answers, and to everything else.
        os.setpriority(os.PRIO_PROCESS, 0, max(10, os.getpriority(os.PRIO_PROCESS, 0)))
    return 0 if JobRunner(settings, Job(Path(options.job))).run() else 1


def _jobs(_options: argparse.Namespace, settings: Settings) -> None:
    for job in JobBoard(settings).list():
        status = job.status()
        started = time.strftime("%H:%M", time.localtime(status.started))
        print(f"{job.id}  {job.spec().name}  {status.state}  {started}")


def _resume(options: argparse.Namespace, settings: Settings) -> int:
    board = JobBoard(settings)
    job = board.get(options.job)
    if job.status().state not in ENDED:
        print(Bilingual("It runs already.", "该任务正在运行。").in_(options.language))
        return 1
    options.name = job.spec().name
    return _follow(board, job, options)


def _cancel(options: argparse.Namespace, settings: Settings) -> None:
    JobBoard(settings).get(options.job).cancel()


def _exam(options: argparse.Namespace, settings: Settings) -> None:
    if options.adapter:
        AdapterLibrary(settings).get(options.adapter)
    prepared = _split_whole(options.data)
    rows = prepared.exam[: options.limit]
    engine = open_engine(settings)
    try:
        contestants = exam_contestants(engine, settings, prepared.train, rows, options.adapter)
        report = hold_exam(contestants, rows, sorted({row.label for row in prepared.train if row.label}))
    finally:
        engine.close()
    for result in report.results:
        print(f"{result.title.in_(options.language):40} {report.metric} {result.score}")
    if options.adapter:
        print(report.advice.in_(options.language))


def _prompts(options: argparse.Namespace, settings: Settings) -> None:
    prepared = _split_whole(options.data)
    engine = open_engine(settings)
    try:
        report = search(
            engine,
            prepared.train,
            prepared.held_out,
            prepared.exam[: options.limit],
            on_round=lambda count, rows: print(f"{count} prompts on {rows} rows", flush=True),
        )
    finally:
        engine.close()
    for one in report.ranking:
        print(f"{one.variant.name:32} {one.score}")
    print(f"held out: plain prompt {report.plain} -> {report.winner.name}: {report.best}")


def _split_whole(path: Path) -> PreparedData:
    """The parts of a file as training would cut them, lengths aside."""
    plain = TrainingRecipe()
    return prepare(load_data(path), lambda example: 1, plain.max_tokens, plain.held_out_share, plain.seed)


def _tools(options: argparse.Namespace, _settings: Settings) -> None:
    made = tool_examples(options.tools, options.seed)
    print(f"{options.out}: {len(made)} rows, sha256 {write_examples(options.out, made)}")


def _grounded(options: argparse.Namespace, _settings: Settings) -> None:
    make = wide_examples if options.wide else written_examples if options.written else grounded_examples
    made = make(options.qa, options.seed)
    print(f"{options.out}: {len(made)} rows, sha256 {write_examples(options.out, made)}")


def _labels(options: argparse.Namespace, settings: Settings) -> int:
    sources = [bool(options.collection), bool(options.teacher and options.data), options.from_history]
    if sum(sources) != 1:
        print("Give one of --collection, --from-history, or --teacher with --data.", file=sys.stderr)
        return 2
    made = (_from_collection, _from_teacher, _from_history)[sources.index(True)](options, settings)
    written = list(islice(made, options.limit))
    write_examples(options.out, written)
    print(f"{options.out}: {len(written)}")
    return 0


def _from_history(_options: argparse.Namespace, settings: Settings) -> Iterator[Example]:
    return iter(from_feedback(read_feedback(settings)))


def _from_collection(options: argparse.Namespace, settings: Settings) -> Iterator[Example]:
    library = Library(settings, open_embedder(settings))
    searcher = library.searcher()
    scope = Scope(options.collection)

    def near(question: str) -> list[Chunk]:
        return [found.chunk for found in searcher.retrieve(question, scope, settings.top_k).chunks]

    with library.reader(options.collection) as store:
        made = from_documents([chunk for _number, chunk in store.iter_chunks()], near)
        if not options.check:
            yield from made
            return
        engine = open_engine(settings)
        try:
            yield from (example for example in made if is_supported(engine, example))
        finally:
            engine.close()


def _from_teacher(options: argparse.Namespace, settings: Settings) -> Iterator[Example]:
    questions = load_data(options.data).examples
    larger = settings.model_copy(update={"model": options.teacher})
    agree = options.top > 0 and same_vocabulary(base_path(settings), base_path(larger))
    print(("the answers with the likeliest tokens" if agree else "the answers") + f" of {Path(options.teacher).name}")
    teacher = open_engine(larger)
    try:
        prompts = (example.prompt for example in questions)
        yield from from_teacher(teacher, prompts, settings.max_tokens, options.top if agree else 0)
    finally:
        teacher.close()


def _list(_options: argparse.Namespace, settings: Settings) -> None:
    for adapter in AdapterLibrary(settings).list():
        size = adapter.path.stat().st_size / 1e6
        came = "bundled" if adapter.bundled else ""
        print(f"{adapter.name:20} {size:5.1f} MB  {adapter.base_name}  {adapter.base_sha256[:8]}  {came}")


def _show(options: argparse.Namespace, settings: Settings) -> None:
    adapter = AdapterLibrary(settings).get(options.name)
    print(f"{adapter.name} · {adapter.base_name} · {adapter.path}")
    exam = adapter.card.exam
    for row in exam.get("results", ()):
        score = row["score"]
        print(f"  {row['title']['en']:38} {score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}] n={score['n']}")
    for key, title in (("general_before", "general knowledge, base"), ("general_after", "general knowledge, adapter")):
        if exam.get(key):
            print(f"  {title:38} {exam[key]['mean']:.3f}")
    for row in exam.get("worse", ())[:3]:
        print(f"  worse: {row['question'][-80:]!r} wanted {row['wanted']!r}: {row['base']!r} -> {row['adapter']!r}")


def _delete(options: argparse.Namespace, settings: Settings) -> None:
    AdapterLibrary(settings).delete(options.name)


def _import(options: argparse.Namespace, settings: Settings) -> None:
    library = AdapterLibrary(settings)
    base = base_path(settings)
    if options.path.is_dir():
        adapter = import_peft(library, options.path, options.name, read_model(base))
    else:
        adapter = library.import_gguf(options.path, options.name, base)
    print(f"{adapter.name}: {adapter.path}")


if __name__ == "__main__":
    sys.exit(main())
