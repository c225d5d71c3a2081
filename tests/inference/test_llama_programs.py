"""Greedy output equals that of llama.cpp's own programs on the same file.

They are looked for in the folder that LLAMA_CPP_BIN names (see docs/models.md); without it the tests are skipped,
and tests/inference/test_generation.py compares with llama_cpp's loop.
"""

import os
import subprocess
from pathlib import Path

import pytest

from core.types import Message, SamplingSettings
from inference.local_engine import LocalEngine
from inference.protocol import GenerationRequest
from tests.inference.collect import text_of

PROMPTS = ("Write one sentence about the sea.", "What is the capital of France?", "Count from one to twenty in words.")
TOKENS = 32


def program(name: str) -> Path:
    path = Path(os.environ.get("LLAMA_CPP_BIN", "")) / name
    if not path.is_file() or not os.environ.get("LLAMA_CPP_BIN"):
        pytest.skip(f"LLAMA_CPP_BIN names no folder with {name}")
    return path


def said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, check=True, timeout=300, stdin=subprocess.DEVNULL)
    return done.stdout.decode()


def ours(engine: LocalEngine, prompt: str) -> str:
    request = GenerationRequest(prompt=prompt, sampling=SamplingSettings(max_tokens=TOKENS))
    return text_of(engine.generate(request))


@pytest.mark.parametrize("text", PROMPTS)
def test_as_llama_simple(engine: LocalEngine, model_path: Path, text: str):
    prompt = engine.render([Message("user", text)])
    # It counts the prompt's last token among those to write, and shows the prompt and the end marker.
    theirs = said([str(program("llama-simple")), "-m", str(model_path), "-n", str(TOKENS + 1), prompt])
    assert theirs.removeprefix(prompt).strip().removesuffix("<|im_end|>").startswith(ours(engine, prompt).strip())


@pytest.mark.parametrize("text", PROMPTS)
def test_as_llama_completion(engine: LocalEngine, model_path: Path, text: str):
    prompt = engine.render([Message("user", text)])
    calm = ["-no-cnv", "--no-display-prompt", "--simple-io", "--no-warmup"]
    greedy = ["--temp", "0", "--repeat-penalty", "1.0"]
    command = [str(program("llama-completion")), "-m", str(model_path), "-n", str(TOKENS), "-fa", "on", "-p", prompt]
    theirs = said([*command, *calm, *greedy])
    assert theirs.replace("[end of text]", "").strip() == ours(engine, prompt).strip()
