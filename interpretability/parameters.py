"""Where the parameters sit and what a token costs: shapes, bytes, KV cache, arithmetic, all from the file alone."""

from dataclasses import dataclass

from interpretability.model_file import ModelFile, TensorInfo

_KV_BYTES = 2  # the cache is float16 unless told otherwise
_PARTS = (
    ("embedding", ("token_embd",)),
    ("attention", ("attn_q", "attn_k", "attn_v", "attn_output", "attn_qkv", "ssm_")),
    ("feed_forward", ("ffn_gate", "ffn_up", "ffn_down", "ffn_")),
    ("output", ("output.weight",)),
)


@dataclass(frozen=True)
class Part:
    """A kind of tensor: how many parameters and how many bytes on disk it takes."""

    name: str
    n_parameters: int
    n_bytes: int

    @property
    def bits_per_parameter(self) -> float:
        """Bits that one parameter takes, scales included."""
        return 8 * self.n_bytes / self.n_parameters if self.n_parameters else 0.0


@dataclass(frozen=True)
class Anatomy:
    """The model in numbers. `attention_layers` may be fewer than `n_layers` in hybrid models."""

    architecture: str
    n_layers: int
    attention_layers: int
    n_embd: int
    n_heads: int
    n_kv_heads: int
    head_size: int
    n_vocab: int
    n_ctx_train: int
    sliding_window: int
    tied_output: bool
    parts: tuple[Part, ...]
    tensors: tuple[TensorInfo, ...]

    @property
    def n_parameters(self) -> int:
        """Parameters in all."""
        return sum(part.n_parameters for part in self.parts)

    @property
    def n_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(part.n_bytes for part in self.parts)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that one token takes in the cache: a key and a value per layer and key head, float16."""
        return 2 * self.attention_layers * self.n_kv_heads * self.head_size * _KV_BYTES

    @property
    def weights_in_products(self) -> int:
        """What a token is multiplied with: all but the table it is looked up in, unless that is the output."""
        tables = sum(part.n_parameters for part in self.parts if part.name == "embedding")
        return self.n_parameters if self.tied_output else self.n_parameters - tables

    def flops_per_token(self, position: int) -> int:
        """Floating-point operations for the token at `position`: two per weight, and attention to what came before."""
        attention = 4 * self.attention_layers * self.n_heads * self.head_size * (position + 1)
        return 2 * self.weights_in_products + attention

    def flops(self, n_tokens: int) -> int:
        """The same for a prompt of `n_tokens`, added up over its positions."""
        attention = 4 * self.attention_layers * self.n_heads * self.head_size
        return 2 * self.weights_in_products * n_tokens + attention * n_tokens * (n_tokens + 1) // 2


def anatomy(model: ModelFile) -> Anatomy:
    """Read the numbers off a GGUF."""
    heads = _largest(model.setting("attention.head_count", 0))
    n_embd = int(model.setting("embedding_length", 0))
    tensors = tuple(model.tensors.values())
    with_attention = {
        info.name.split(".")[1] for info in tensors if ".attn_k." in info.name or ".attn_qkv." in info.name
    }
    return Anatomy(
        architecture=model.architecture,
        n_layers=int(model.setting("block_count", 0)),
        attention_layers=len(with_attention),
        n_embd=n_embd,
        n_heads=heads,
        n_kv_heads=_largest(model.setting("attention.head_count_kv", heads)),
        head_size=int(model.setting("attention.key_length", n_embd // heads if heads else 0)),
        n_vocab=model.embedding.shape[0],
        n_ctx_train=int(model.setting("context_length", 0)),
        sliding_window=int(model.setting("attention.sliding_window", 0) or 0),
        tied_output=model.has_tied_output,
        parts=_parts(tensors),
        tensors=tensors,
    )


def _largest(value: int | list[int]) -> int:
    """Hybrid models list the heads per layer, 0 where a layer has no attention."""
    return max(value) if isinstance(value, list) else int(value)


def _parts(tensors: tuple[TensorInfo, ...]) -> tuple[Part, ...]:
    totals: dict[str, list[int]] = {}
    for info in tensors:
        total = totals.setdefault(_part_of(info.name), [0, 0])
        total[0] += info.n_elements
        total[1] += info.n_bytes
    return tuple(Part(name, count, size) for name, (count, size) in totals.items())


def _part_of(tensor: str) -> str:
    if "norm" in tensor:
        return "norm"
    return next((name for name, marks in _PARTS if any(mark in tensor for mark in marks)), "other")
