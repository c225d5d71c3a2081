"""Where a model runs, in words: the engine says it in English, as part of what it tells of itself."""

import re

from core.language import Bilingual, Language

NO_BACKEND = Bilingual(
    en="CPU, because this build of llama.cpp has no GPU backend",
    zh="CPU（当前安装的 llama.cpp 不含 GPU 支持）",
)
NOT_ASKED = Bilingual(
    en="CPU, because no layer was asked onto the GPU (FOURFOLD_N_GPU_LAYERS)",
    zh="CPU（未要求将任何层放到 GPU 上，见 FOURFOLD_N_GPU_LAYERS）",
)
_LAYERS = re.compile(r"(\d+)/(\d+) layers on (.+)")


def on_layers(on_gpu: int, total: int, names: str) -> str:
    """How much of the model a GPU holds."""
    return f"{on_gpu}/{total} layers on {names or 'the GPU'}"


def device_in(device: str, language: Language) -> str:
    """What an engine said of its device, in a language; what is not known here stays as it is."""
    if language == "en":
        return device
    known = next((each.zh for each in (NO_BACKEND, NOT_ASKED) if each.en == device), device)
    return _LAYERS.sub(r"\3：\2 层中的 \1 层", known)
