"""What the process of a training job does: train, export, examine, put the adapter into the library."""

import os
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.config import Settings
from core.errors import FourfoldError, TrainingError
from core.language import Bilingual
from inference.protocol import ChatEngine
from inference.runtime import open_engine
from retrieval.embedder import open_embedder
from training.adapters import AdapterCard, AdapterLibrary
from training.contestants import Contestant, Reply, adapted, base_model, few_shot, logistic_regression, nearest
from training.exam import ExamReport, general_knowledge, hold_exam, longest_answer
from training.examples import Example, read_examples
from training.export import AdapterOrigin, read_adapter, write_adapter
from training.gguf_model import GgufModel, read_model
from training.jobs import Job, JobSpec, JobState, JobStatus, disk_error
from training.lora import LoraModel, LoraWeights, load_tokenizer
from training.rendering import ChatFormat
from training.trainer import BEST_FILE, CHECKPOINT_FILE, Progress, Run, train

_STATES: dict[JobState, Bilingual] = {
    "preparing": Bilingual("preparing", "准备中"),
    "training": Bilingual("training", "训练中"),
    "exporting": Bilingual("exporting", "导出中"),
    "exam": Bilingual("exam", "考试"),
    "finished": Bilingual("finished", "已完成"),
    "failed": Bilingual("stopped with an error:", "出错停止："),
    "cancelled": Bilingual("cancelled", "已取消"),
}
_NEARLY = Bilingual("less than a minute left", "剩余不到 1 分钟")


class JobCancelledError(Exception):
    """Somebody asked the job to stop."""


class JobRunner:
    """Runs one job, from its last checkpoint where it has one, and keeps its status true."""

    def __init__(self, settings: Settings, job: Job) -> None:
        self._settings = settings
        self._job = job
        self._status = replace(job.status(), pid=os.getpid())

    def run(self) -> bool:
        """Do everything; False where it failed or was cancelled, and the status says why."""
        try:
            self._say("preparing")
            self._work(self._job.spec())
        except JobCancelledError:
            self._say("cancelled")
        except FourfoldError as error:
            self._fail(error.message)
        except MemoryError:
            self._fail(
                Bilingual(
                    "The machine ran out of memory. Lower --pack-tokens or choose a smaller base, then resume.",
                    "内存不足。请调小 --pack-tokens 或换更小的基座，然后继续。",
                )
            )
        except OSError as error:
            self._fail(disk_error(self._job.folder, error).message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the status must not stay at "training"
            traceback.print_exc()
            self._fail(Bilingual(f"Unexpected: {error!r}; see log.txt.", f"意外错误：{error!r}，详见 log.txt。"))
        return self._status.state == "finished"

    def _work(self, spec: JobSpec) -> None:
        base = read_model(Path(spec.base))
        weights, progress = self._train(spec, base)
        card = AdapterCard(
            name=spec.name,
            task=spec.kind,
            base_name=base.name,
            base_sha256=base.sha256,
            data_sha256=spec.data_sha256,
            template_sha256=base.template_sha256,
            created=time.strftime("%Y-%m-%d %H:%M:%S"),
            examples=len(read_examples(self._job.folder / "data.jsonl")),
            recipe=asdict(spec.recipe),
            training=asdict(progress),
        )
        report = self._exam(spec, base, weights) if spec.exam else None
        self._say("exporting")
        file = self._job.folder / "adapter.gguf"
        write_adapter(
            file, weights, base, AdapterOrigin(spec.name, spec.data_sha256, report.summary() if report else "")
        )
        AdapterLibrary(self._settings).add(file, replace(card, exam=report.to_json() if report else {}))
        self._say("finished", report.advice if report else Bilingual("", ""))
        self._sweep()

    def _train(self, spec: JobSpec, base: GgufModel) -> tuple[LoraWeights, Progress]:
        chat = ChatFormat(load_tokenizer(base.path))
        rows = [chat.row(example) for example in read_examples(self._job.folder / "data.jsonl")]
        held_out = [chat.row(example) for example in read_examples(self._job.folder / "held_out.jsonl")]
        self._stop_if_cancelled()
        start = read_adapter(Path(spec.start_from), base) if spec.start_from else None
        recipe = replace(spec.recipe, rank=start.rank, alpha=start.alpha) if start else spec.recipe
        model = LoraModel(base, recipe)
        if start:
            model.set_weights(start)
        run = Run(rows, held_out, recipe, recipe.rate_for(base.n_parameters), self._job.folder)
        progress = train(model, run, self._on_progress, lambda: self._job.is_cancelled)
        self._stop_if_cancelled()
        if not all(bool((matrix == matrix).all()) for matrix in model.weights().b.values()):
            raise TrainingError(
                Bilingual(
                    "The weights became infinite. Train again with a lower --learning-rate.",
                    "训练发散（权重变为无穷大）。请用更小的 --learning-rate 重新训练。",
                )
            )
        return model.weights(), progress

    def _exam(self, spec: JobSpec, base: GgufModel, weights: LoraWeights) -> ExamReport | None:
        rows = read_examples(self._job.folder / "exam.jsonl")
        if not rows:
            return None
        self._say("exam")
        name = f"exam-{self._job.id}"
        staged = self._job.folder / "staged"
        write_adapter(staged / name / "adapter.gguf", weights, base, AdapterOrigin(name))
        settings = self._settings.model_copy(update={"model": spec.base})
        engine = open_engine(settings, adapter_folders=(staged,))
        try:
            training_rows = read_examples(self._job.folder / "data.jsonl")
            report = hold_exam(
                exam_contestants(engine, settings, training_rows, rows, name),
                rows,
                sorted({row.label for row in (*training_rows, *rows) if row.label}),
                self._on_answer,
            )
            before, after = general_knowledge(engine), general_knowledge(engine, name)
        finally:
            engine.close()
        return replace(report, general_before=before, general_after=after)

    def _on_progress(self, progress: Progress) -> None:
        row = {**asdict(progress), "seconds_left": progress.seconds_left}
        self._job.add_metrics(row)
        self._say("training", progress=row)

    def _on_answer(self, done: int, total: int) -> None:
        self._stop_if_cancelled()
        if done % 10 == 0 or done == total:
            self._say("exam", progress={**self._status.progress, "exam_done": done, "exam_total": total})

    def _stop_if_cancelled(self) -> None:
        if self._job.is_cancelled:
            raise JobCancelledError

    def _say(self, state: JobState, message: Bilingual | None = None, progress: dict[str, Any] | None = None) -> None:
        said = message or Bilingual("", "")
        self._status = replace(
            self._status,
            state=state,
            pid=os.getpid(),
            progress=self._status.progress if progress is None else progress,
            message_en=said.en,
            message_zh=said.zh,
        )
        # A cancelled job's folder may be gone already.
        if self._job.folder.exists():
            self._job.write_status(self._status)

    def _fail(self, message: Bilingual) -> None:
        try:
            self._say("failed", message)
        except OSError:
            # The disk is full: the log has the reason.
            traceback.print_exc()

    def _sweep(self) -> None:
        """Remove what a finished job no longer needs."""
        for name in (CHECKPOINT_FILE, BEST_FILE):
            (self._job.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self._job.folder / "staged", ignore_errors=True)


def exam_contestants(
    engine: ChatEngine, settings: Settings, train_rows: Sequence[Example], rows: Sequence[Example], adapter: str = ""
) -> list[Contestant]:
    """Everybody who can sit this exam: the two that need labels only where there are some."""
    labels = sorted({row.label for row in (*train_rows, *rows) if row.label})
    reply = Reply(engine, min(settings.max_tokens, longest_answer(rows, engine.count_tokens)), labels)
    embedder = open_embedder(settings)
    found = [base_model(reply), few_shot(reply, train_rows), nearest(embedder, train_rows)]
    if len({row.label for row in train_rows}) > 1:
        found.append(logistic_regression(embedder, train_rows))
    if adapter:
        found.append(adapted(reply, adapter))
    return found


def _training_line(progress: Mapping[str, Any]) -> Bilingual:
    steps, loss = f"{progress['step']}/{progress['total_steps']}", f"{progress['loss']:.3f}"
    held, minutes = progress.get("held_out_loss"), round(float(progress["seconds_left"]) / 60)
    en, zh = f"step {steps} · loss {loss}", f"第 {steps} 步 · 损失 {loss}"
    if held is not None:
        en, zh = f"{en} · on held-out rows {held:.3f}", f"{zh} · 留出样例 {held:.3f}"
    left = Bilingual(f"{minutes} min left", f"约剩 {minutes} 分钟") if minutes else _NEARLY
    return Bilingual(f"{en} · {left.en}", f"{zh} · {left.zh}")


def describe_status(status: JobStatus) -> Callable[[str], str]:
    """One line about a status, in the language that it is called with."""
    progress = status.progress

    def line(language: str) -> str:
        if status.state == "training" and progress:
            return _training_line(progress).in_(language)
        if status.state == "exam" and "exam_done" in progress:
            return f"{_STATES['exam'].in_(language)} {progress['exam_done']}/{progress['exam_total']}"
        return f"{_STATES[status.state].in_(language)} {status.message.in_(language)}".rstrip(" :：")

    return line
