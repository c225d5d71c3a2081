"""Tiny random models of each architecture as real GGUF files: what needs only the shape of a model takes no seconds."""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, LlamaFileType, TokenType
from numpy.typing import NDArray

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("t h", "i n", "e r", "a n", "th e", "r e", "o n", "in g")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
N_LAYERS, N_EMBD, N_FF, N_HEADS, N_HEADS_KV = 2, 64, 96, 4, 2
# Qwen3 lets a head be wider than its share of the model.
HEAD_WIDTH = {"llama": 16, "qwen2": 16, "qwen3": 32}


def write_tiny(path: Path, architecture: str = "llama", seed: int = 0) -> Path:
    """Write a random model of `architecture` (llama, qwen2, qwen3) with a byte vocabulary; float32, half a megabyte."""
    writer = GGUFWriter(path, architecture)
    writer.add_name(f"tiny {architecture}")
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_block_count(N_LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(N_EMBD)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_HEADS_KV)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HEAD_WIDTH[architecture])
    writer.add_key_length(HEAD_WIDTH[architecture])
    writer.add_value_length(HEAD_WIDTH[architecture])
    words = _vocabulary()
    writer.add_vocab_size(len(words))
    _add_tokenizer(writer, words, "smollm" if architecture == "llama" else "qwen2")
    for name, tensor in _tensors(architecture, len(words), np.random.default_rng(seed)).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> list[str]:
    return [*SPECIAL, *_byte_letters(), *(merge.replace(" ", "") for merge in MERGES)]


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: printable ones stand for themselves, the others follow from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _add_tokenizer(writer: GGUFWriter, words: list[str], pre: str) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(words)
    writer.add_token_types([TokenType.CONTROL if word in SPECIAL else TokenType.NORMAL for word in words])
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _tensors(architecture: str, n_vocab: int, draw: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    width = HEAD_WIDTH[architecture]
    query, key = N_HEADS * width, N_HEADS_KV * width

    def matrix(out: int, into: int) -> NDArray[np.float32]:
        return draw.normal(0, into**-0.5, (out, into)).astype(np.float32)

    def vector(size: int, mean: float = 1.0) -> NDArray[np.float32]:
        return draw.normal(mean, 0.1, size).astype(np.float32)

    found = {"token_embd.weight": draw.normal(0, 1, (n_vocab, N_EMBD)).astype(np.float32)}
    for block in (f"blk.{number}" for number in range(N_LAYERS)):
        found |= {
            f"{block}.attn_norm.weight": vector(N_EMBD),
            f"{block}.attn_q.weight": matrix(query, N_EMBD),
            f"{block}.attn_k.weight": matrix(key, N_EMBD),
            f"{block}.attn_v.weight": matrix(key, N_EMBD),
            f"{block}.attn_output.weight": matrix(N_EMBD, query),
            f"{block}.ffn_norm.weight": vector(N_EMBD),
            f"{block}.ffn_gate.weight": matrix(N_FF, N_EMBD),
            f"{block}.ffn_up.weight": matrix(N_FF, N_EMBD),
            f"{block}.ffn_down.weight": matrix(N_EMBD, N_FF),
        }
        if architecture == "qwen2":
            found |= {
                f"{block}.attn_{part}.bias": vector(size, 0.0)
                for part, size in zip("qkv", (query, key, key), strict=True)
            }
        if architecture == "qwen3":
            found |= {f"{block}.attn_{part}_norm.weight": vector(width) for part in "qk"}
    return found | {"output_norm.weight": vector(N_EMBD)}
