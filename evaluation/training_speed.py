"""`python -m evaluation training_speed`: our training beside peft with transformers' Trainer, same rows, same run.

Both begin with the same GGUF dequantised to float32 and put LoRA of the same rank on the same layers. Each side runs in
a process of its own, so that its peak memory is its own. Speed is in tokens of the rows (as they stand in the file,
without padding) a second; what sharing beginnings saves counts for us, what padding costs counts against the Trainer.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.config import Settings
from training.dataset import load_data
from training.gguf_model import GgufModel, base_path, read_model
from training.packing import TokenRow, batches, make_packs
from training.recipe import TrainingRecipe

BATCH = 8
LIMIT_SECONDS = 1500
NO_LOSS = -100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation training_speed`."""
    parser.add_argument("--data", type=Path, required=True, help="labelled rows in any of the known forms")
    parser.add_argument("--rows", type=int, default=48, help="rows that ours trains on")
    parser.add_argument("--trainer-rows", type=int, default=16, help="the first of these, for the Trainer: it is slow")
    parser.add_argument("--threads", type=int, default=2)


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Train both ways, one behind the other; returns the JSON object that is printed."""
    base = base_path(settings)
    ours = _in_a_process("ours", base, options, options.rows)
    theirs = _in_a_process("trainer", base, options, options.trainer_rows)
    ratio = ours["tokens_per_second"] / theirs["tokens_per_second"]
    return {"data": options.data.name, "ours": ours, "trainer": theirs, "times_as_fast": round(ratio, 2)}


def _in_a_process(side: str, base: Path, options: argparse.Namespace, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "evaluation.training_speed", side, str(base), str(options.data)]
    command += [str(count), str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_SECONDS)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _rows(base: GgufModel, data: Path, count: int) -> list[TokenRow]:
    from training.lora import load_tokenizer
    from training.rendering import ChatFormat

    chat = ChatFormat(load_tokenizer(base.path))
    return [chat.row(example) for example in load_data(data).examples[:count]]


def train_ours(base: GgufModel, rows: Sequence[TokenRow], threads: int) -> float:
    """Train one epoch over `rows` with the default recipe; return the seconds it took."""
    from training.lora import LoraModel

    recipe = TrainingRecipe(threads=threads)
    model = LoraModel(base, recipe)
    started = time.perf_counter()
    for batch in batches(make_packs(rows, recipe.pack_tokens, recipe.seed), BATCH):
        model.accumulate(batch)
        model.step(recipe.rate_for(base.n_parameters))
    return time.perf_counter() - started


def train_with_trainer(base: GgufModel, rows: Sequence[TokenRow], threads: int) -> float:
    """The same with peft and the Trainer as their guides show it: batches of 8, padded to the longest."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, GgufConfig, Trainer, TrainingArguments
    from transformers.data.data_collator import DataCollatorForSeq2Seq

    from training.lora import LINEARS, load_tokenizer

    torch.set_num_threads(threads)
    recipe = TrainingRecipe()
    tokenizer = load_tokenizer(base.path)
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(base.path.parent),
        gguf_file=base.path.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    layers = [path.split(".")[-1] for path in LINEARS]
    model = get_peft_model(model, LoraConfig(r=recipe.rank, lora_alpha=int(recipe.alpha), target_modules=layers))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=recipe.rate_for(base.n_parameters),
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=NO_LOSS)
        trainer = Trainer(model, arguments, collator, train_dataset=[_features(row) for row in rows])
        started = time.perf_counter()
        trainer.train()
    return time.perf_counter() - started


def _features(row: TokenRow) -> dict[str, list[int]]:
    labels = [token if trained else NO_LOSS for token, trained in zip(row.ids, row.trained, strict=True)]
    return {"input_ids": list(row.ids), "attention_mask": [1] * len(row.ids), "labels": labels}


def _main(side: str, base: str, data: str, count: str, threads: str) -> None:
    model = read_model(Path(base))
    rows = _rows(model, Path(data), int(count))
    seconds = (train_ours if side == "ours" else train_with_trainer)(model, rows, int(threads))
    tokens = sum(len(row.ids) for row in rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    result = {"rows": len(rows), "tokens": tokens, "seconds": round(seconds, 2)}
    result |= {"tokens_per_second": round(tokens / seconds, 1), "peak_gb": round(peak, 2)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
