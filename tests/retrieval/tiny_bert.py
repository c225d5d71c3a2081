"""A BERT sentence encoder of a few random numbers, in the layout of sentence-transformers; read in no time."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "a", "of", "cat", "dog", "mat", "sits", "runs", "light", "##house"]
HIDDEN, HEADS, LAYERS, WIDE = 320, 4, 2, 640


def write(folder: Path, pooling: str = "mean_tokens") -> Path:
    """Make the folder; `pooling` is mean_tokens or cls_token."""
    (folder / "1_Pooling").mkdir(parents=True)
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": WIDE,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "vocab_size": len(WORDS),
        "layer_norm_eps": 1e-12,
    }
    modes = {f"pooling_mode_{name}": name == pooling for name in ("mean_tokens", "cls_token")}
    names = ("Transformer", "Pooling", "Normalize")
    files: dict[str, object] = {
        "config.json": config,
        "sentence_bert_config.json": {"max_seq_length": 32},
        "modules.json": [{"idx": n, "type": f"sentence_transformers.models.{name}"} for n, name in enumerate(names)],
        "1_Pooling/config.json": {"word_embedding_dimension": HIDDEN, **modes},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    _tokenizer().save(str(folder / "tokenizer.json"))
    save_file(_weights(), folder / "model.safetensors")
    return folder


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def _weights() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (64, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    linear = {f"attention.self.{name}": (HIDDEN, HIDDEN) for name in ("query", "key", "value")}
    linear |= {"attention.output.dense": (HIDDEN, HIDDEN), "intermediate.dense": (WIDE, HIDDEN)}
    linear |= {"output.dense": (HIDDEN, WIDE)}
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        for name, shape in linear.items():
            shapes |= {f"{prefix}{name}.weight": shape, f"{prefix}{name}.bias": shape[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{prefix}{name}.weight": (HIDDEN,), f"{prefix}{name}.bias": (HIDDEN,)}
    return {
        name: (chance.normal(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.2, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
