"""Tiny models with random weights, of architectures whose parts differ, over the default model's own vocabulary."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from interpretability.model_file import ModelFile

WIDTH, HEADS, KEY_HEADS, FORWARD = 64, 4, 2, 96
HEAD = WIDTH // HEADS
WINDOW = 8
Shapes = dict[str, tuple[int, ...]]
FEED_FORWARD: Shapes = {
    "ffn_gate.weight": (FORWARD, WIDTH),
    "ffn_up.weight": (FORWARD, WIDTH),
    "ffn_down.weight": (WIDTH, FORWARD),
}
ATTENTION: Shapes = {
    "attn_q.weight": (HEADS * HEAD, WIDTH),
    "attn_k.weight": (KEY_HEADS * HEAD, WIDTH),
    "attn_v.weight": (KEY_HEADS * HEAD, WIDTH),
    "attn_output.weight": (WIDTH, HEADS * HEAD),
    "attn_q_norm.weight": (HEAD,),
    "attn_k_norm.weight": (HEAD,),
}


def write_hybrid(path: Path, vocabulary: ModelFile) -> None:
    """LFM2: three layers, of which the first and the last are short convolutions without attention."""
    writer = _begun(path, "lfm2", vocabulary)
    writer.add_head_count_kv([0, KEY_HEADS, 0])
    writer.add_uint32("lfm2.shortconv.l_cache", 3)
    convolution: Shapes = {
        "shortconv.conv.weight": (WIDTH, 3),
        "shortconv.in_proj.weight": (3 * WIDTH, WIDTH),
        "shortconv.out_proj.weight": (WIDTH, WIDTH),
    }
    shared: Shapes = {**FEED_FORWARD, "attn_norm.weight": (WIDTH,), "ffn_norm.weight": (WIDTH,)}
    layers = [{**shared, **part} for part in (convolution, ATTENTION, convolution)]
    _finished(writer, "token_embd_norm.weight", layers, vocabulary)


def write_windowed(path: Path, vocabulary: ModelFile) -> None:
    """Gemma 3: two layers that look back `WINDOW` tokens and no further."""
    writer = _begun(path, "gemma3", vocabulary)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_sliding_window(WINDOW)
    norms = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
    layer: Shapes = {**FEED_FORWARD, **ATTENTION, **{f"{name}.weight": (WIDTH,) for name in norms}}
    _finished(writer, "output_norm.weight", [layer] * 2, vocabulary)


def _begun(path: Path, architecture: str, vocabulary: ModelFile) -> GGUFWriter:
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(vocabulary.tokens))
    names = ("model", "pre", "tokens", "merges", "token_type", "bos_token_id", "eos_token_id")
    adders: dict[str, Callable[..., None]] = {
        "model": writer.add_tokenizer_model,
        "pre": writer.add_tokenizer_pre,
        "tokens": writer.add_token_list,
        "merges": writer.add_token_merges,
        "token_type": writer.add_token_types,
        "bos_token_id": writer.add_bos_token_id,
        "eos_token_id": writer.add_eos_token_id,
    }
    for name in names:
        adders[name](vocabulary.metadata[f"tokenizer.ggml.{name}"])
    return writer


def _finished(writer: GGUFWriter, last_norm: str, layers: list[Shapes], vocabulary: ModelFile) -> None:
    writer.add_block_count(len(layers))
    chance = np.random.default_rng(7)

    def add(name: str, shape: tuple[int, ...]) -> None:
        ones = "norm" in name
        values = np.ones(shape) if ones else chance.normal(0, 0.3, shape)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", (len(vocabulary.tokens), WIDTH))
    add(last_norm, (WIDTH,))
    for number, layer in enumerate(layers):
        for name, shape in layer.items():
            add(f"blk.{number}.{name}", shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
