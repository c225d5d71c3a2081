"""`python -m app models list | show | pull | use | remove | tune`: what can be had, what it needs, and which one runs.

A model is named by the path of a GGUF, by `owner/name[:quantisation]` of a hub, or by a short name of the catalogue.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import preferences
from core.config import Settings
from core.errors import ModelNotFoundError, SettingError
from core.language import Bilingual
from core.paths import embedded_chat_model
from inference.catalog import (
    CATALOG,
    ENCODERS,
    LARGEST_WITHOUT_GPU,
    CatalogEntry,
    EncoderEntry,
    MemoryEstimate,
    downloaded,
    estimate_entry,
    estimate_file,
    find_encoder,
    find_entry,
    recommended,
)
from inference.gguf_file import read_gguf_header

EMBEDDED = "smollm2-135m"
ACTIONS = ("list", "show", "pull", "use", "remove", "tune")
Result = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("name", nargs="?", default="", help="path of a GGUF, owner/name of a hub, or short name")
    parser.add_argument("--undo", action="store_true", help="tune: forget what was found and run the model as it came")
    parser.add_argument("--force", action="store_true", help="pull: also what does not fit this machine's memory")


def run(settings: Settings, options: argparse.Namespace) -> Result:
    """Do it; returns what happened as plain values. Raises FourfoldError."""
    if options.action == "list":
        return _list(settings)
    if options.action == "tune":
        return _tune(settings, options)
    if not options.name:
        raise SettingError(
            Bilingual(f"Which model? models {options.action} NAME", f"哪个模型？models {options.action} 名称")
        )
    actions: dict[str, Callable[[Settings, argparse.Namespace], Result]] = {
        "show": _show,
        "pull": _pull,
        "use": _use,
        "remove": _remove,
    }
    return actions[options.action](settings, options)


def lines(result: Result, language: str) -> list[str]:
    """The same for a person."""
    if "models" in result:
        return _table(result, language)
    return [f"{name}: {_shown(value)}" for name, value in result.items() if value not in (None, "", [])]


# --- what there is -------------------------------------------------------------------------------------------------


def _list(settings: Settings) -> Result:
    largest = math.inf if _has_gpu() else LARGEST_WITHOUT_GPU
    best = {language: recommended(settings.n_ctx, language, largest=largest) for language in ("en", "zh")}
    return {
        "models": [_embedded(settings), *(_described(entry, settings) for entry in CATALOG)],
        "encoders": [_described_encoder(entry, settings) for entry in ENCODERS],
        "recommended": {language: entry.name if entry else None for language, entry in best.items()},
        "in_use": settings.remote_url or settings.model or EMBEDDED,
    }


def _has_gpu() -> bool:
    """Whether there is likely one that llama.cpp can use, told without loading it."""
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None


def _show(settings: Settings, options: argparse.Namespace) -> Result:
    if options.name == EMBEDDED:
        return _embedded(settings)
    encoder = find_encoder(options.name)
    if encoder is not None:
        return _described_encoder(encoder, settings)
    path = Path(options.name).expanduser()
    return _of_file(path, settings) if path.suffix == ".gguf" else _described(_entry(options.name, settings), settings)


def _entry(name: str, settings: Settings) -> CatalogEntry:
    """Of the catalogue, or of a hub where the name has that form."""
    from inference.hub import hub_of
    from inference.repositories import entry_of_repository, is_repository

    return entry_of_repository(name, hub_of(settings)) if is_repository(name) else find_entry(name)


def _embedded(settings: Settings) -> Result:
    path = embedded_chat_model()
    found = _of_file(path, settings) if path is not None else {"path": None}
    return {**found, "name": EMBEDDED, "languages": ["en"], "licence": "Apache-2.0"}


def _of_file(path: Path, settings: Settings) -> Result:
    from inference.runtime import model_languages

    header = read_gguf_header(path)
    return {
        "name": str(path),
        "licence": str(header.metadata.get("general.license", "")),
        "languages": list(model_languages(header, path, settings)),
        "context": header.of_architecture("context_length"),
        "quantisation": header.quantisation,
        **_memory(header.file_size, estimate_file(header, settings.n_ctx)),
        "path": str(path),
    }


def _described(entry: CatalogEntry, settings: Settings) -> Result:
    path = downloaded(entry, settings.paths.models)
    return {
        "name": entry.name,
        "repository": entry.repository,
        "file": entry.file,
        "licence": entry.licence,
        "languages": list(entry.languages),
        "context": entry.n_ctx_train or None,
        **_memory(entry.file_bytes, estimate_entry(entry, settings.n_ctx)),
        "path": str(path) if path else None,
    }


def _described_encoder(entry: EncoderEntry, settings: Settings) -> Result:
    folder = settings.paths.models / entry.name
    return {
        "name": entry.name,
        "repository": entry.repository,
        "licence": entry.licence,
        "languages": list(entry.languages),
        "dimension": entry.dimension,
        "gigabytes": round(entry.file_bytes / 1e9, 2),
        "path": str(folder) if (folder / "modules.json").is_file() else None,
    }


def _memory(file_bytes: int, estimate: MemoryEstimate) -> Result:
    return {
        "gigabytes": round(file_bytes / 1e9, 2),
        "needs_gigabytes": round(estimate.needed / 1e9, 2),
        "free_gigabytes": round(estimate.available / 1e9, 2),
        "fit": estimate.fit,
    }


# --- what is done --------------------------------------------------------------------------------------------------


def _pull(settings: Settings, options: argparse.Namespace) -> Result:
    from inference.download import download, download_encoder

    encoder = find_encoder(options.name)
    if encoder is not None:
        return {"name": encoder.name, "path": str(download_encoder(encoder, settings))}
    entry = _entry(options.name, settings)
    told = _described(entry, settings)
    # The numbers come before the download, not after it.
    sys.stderr.write("\n".join(lines(told, "en")) + "\n")
    if told["fit"] == "no" and not options.force:
        raise SettingError(
            Bilingual(
                en=f"{entry.name} needs {told['needs_gigabytes']} GB and {told['free_gigabytes']} GB are free. Choose "
                "a smaller model, a smaller FOURFOLD_N_CTX, or add --force.",
                zh=f"{entry.name} 需要 {told['needs_gigabytes']} GB 内存，而可用内存为 {told['free_gigabytes']} GB。"
                "请换更小的模型、减小 FOURFOLD_N_CTX，或加上 --force。",
            )
        )
    return {"name": entry.name, "path": str(download(entry, settings))}


def _use(settings: Settings, options: argparse.Namespace) -> Result:
    """Write it into the settings file; what is not there is refused."""
    from inference.repositories import folder_name, is_repository
    from inference.runtime import model_path

    name: str = options.name
    encoder = find_encoder(name)
    if encoder is not None:
        return _use_encoder(encoder, settings)
    if name == EMBEDDED:
        value = ""
    elif is_repository(name) and not Path(name).is_file():
        value = str(_downloaded_file(settings.paths.models / folder_name(name.partition(":")[0]), name))
    else:
        value = str(model_path(settings.model_copy(update={"model": name})))
    if value:
        read_gguf_header(Path(value))
    preferences.save(settings.paths.settings_file, {"model": value})
    return {"model": value or EMBEDDED, "settings": str(settings.paths.settings_file)}


def _use_encoder(entry: EncoderEntry, settings: Settings) -> Result:
    folder = settings.paths.models / entry.name
    if not (folder / "modules.json").is_file():
        raise _not_there(entry.name)
    preferences.save(settings.paths.settings_file, {"encoder": str(folder)})
    return {"encoder": str(folder), "settings": str(settings.paths.settings_file)}


def _downloaded_file(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob("*.gguf"))
    if not found:
        raise _not_there(name)
    wanted = name.partition(":")[2].lower()
    return next((path for path in found if wanted in path.name.lower()), found[0])


def _not_there(name: str) -> ModelNotFoundError:
    return ModelNotFoundError(
        Bilingual(
            en=f"{name} is not downloaded yet. Run: python -m app models pull {name}",
            zh=f"{name} 尚未下载。请运行：python -m app models pull {name}",
        )
    )


def _remove(settings: Settings, options: argparse.Namespace) -> Result:
    """Delete a downloaded model; the file of a path given is the user's own and stays."""
    from inference.repositories import folder_name

    models = settings.paths.models.resolve()
    folder = (models / folder_name(options.name.partition(":")[0])).resolve()
    if folder.parent != models or not folder.is_dir():
        raise _not_there(options.name)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    in_use = bool(settings.model) and str(folder) in (settings.model, str(Path(settings.model).parent))
    shutil.rmtree(folder)
    if in_use or settings.model == options.name:
        preferences.save(settings.paths.settings_file, {"model": ""})
    return {"removed": str(folder), "gigabytes": round(size / 1e9, 2)}


def _tune(settings: Settings, options: argparse.Namespace) -> Result:
    from inference.file_hash import sha256_of
    from inference.runtime import model_path
    from inference.tune import tune
    from inference.tuned import forget_tuning

    named = settings.model_copy(update={"model": "" if options.name == EMBEDDED else options.name or settings.model})
    path = model_path(named)
    if options.undo:
        return {"model": str(path), "undone": forget_tuning(named, sha256_of(path, named.paths.cache))}
    found = tune(named, lambda text: print(f"  {text.en}", file=sys.stderr, flush=True))  # noqa: T201
    return {
        "model": str(path),
        "copy": found.copy or "none: the model runs from its own file",
        "threads": found.n_threads,
        "batch": found.n_batch,
        "flash_attention": found.flash_attention,
        "kv_type": found.kv_type,
        **found.figures,
    }


# --- for a person --------------------------------------------------------------------------------------------------

_FIT_WORDS = {
    "fits": Bilingual("fits", "合适"),
    "tight": Bilingual("tight", "偏紧"),
    "no": Bilingual("no", "不够"),
}
_HEAD = Bilingual("model size languages context needs this-machine licence", "模型 大小 语言 上下文 需要 本机 许可")


def _table(result: Result, language: str) -> list[str]:
    rows = [_HEAD.in_(language).split(), *(_row(model, result, language) for model in result["models"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    encoders = [f"{it['name']}  {it['gigabytes']} GB  {'+'.join(it['languages'])}" for it in result["encoders"]]
    note = Bilingual(
        en="* recommended here: the largest that fits, is quick and writes Chinese too   > in use   + downloaded",
        zh="* 本机推荐：内存足够、速度可用且能用中文写作的最大模型   > 正在使用   + 已下载",
    )
    return [
        *shown,
        "",
        note.in_(language),
        "",
        Bilingual("Sentence encoders:", "句向量模型：").in_(language),
        *encoders,
    ]


def _row(model: Result, result: Result, language: str) -> list[str]:
    name = str(model["name"])
    in_use = result["in_use"] in (name, model.get("path"))
    marks = (">" if in_use else "") + ("*" if name == result["recommended"]["zh"] else "")
    marks += "+" if model.get("path") and name != EMBEDDED else ""
    return [
        f"{name} {marks}".strip(),
        f"{model.get('gigabytes', 0)} GB",
        "+".join(model["languages"]),
        str(model.get("context") or "?"),
        f"{model.get('needs_gigabytes', 0)} GB",
        _FIT_WORDS[model["fit"]].in_(language) if "fit" in model else "?",
        str(model["licence"]),
    ]


def _shown(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    # Figures come in pairs, before and after.
    return (", " if isinstance(value[0], str) else " -> ").join(str(item) for item in value)
