"""LoRA on a GGUF dequantised into PyTorch. The one file where torch and transformers are used for training.

The base weights are frozen; every linear layer of a block gets y = W·x + (alpha / r)·B·A·x (Hu et al. 2021). The loss
is computed only where a token is trained: the output matrix is never multiplied with the other positions.
"""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import TrainingError
from core.language import Bilingual
from training.adapted_linear import hang, is_narrow_faster
from training.gguf_model import GgufModel, check_trainable
from training.packed_attention import NAME as PACKED
from training.packed_attention import layout_of, register
from training.packing import Pack
from training.recipe import TrainingRecipe

if TYPE_CHECKING:
    import torch

# The linear layers of a block: where transformers keeps them, and what GGUF calls them.
LINEARS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
MAX_GRADIENT_NORM = 1.0
# Places whose logits (float32, a vocabulary wide) are in memory at the same time.
LOGITS_AT_ONCE = 256


@dataclass(frozen=True)
class LoraWeights:
    """An adapter in the order of PyTorch's rows, by GGUF tensor name: `a` float32 (r, in), `b` float32 (out, r)."""

    rank: int
    alpha: float
    a: dict[str, NDArray[np.float32]]
    b: dict[str, NDArray[np.float32]]


class LoraModel:
    """A base model with a trainable adapter and its optimiser."""

    def __init__(self, base: GgufModel, recipe: TrainingRecipe) -> None:
        check_trainable(base)
        import torch

        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)
        self.base = base
        self._recipe = recipe
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = load_dequantised(base).to(self.device)
        self.is_narrow = recipe.precision == "bfloat16" or (
            recipe.precision == "auto" and is_narrow_faster(self.device)
        )
        self._layers = _attach(self._model, recipe, self.is_narrow)
        parameters = [weight for a, b in self._layers.values() for weight in (a, b)]
        self._optimiser = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0)
        self._parameters = parameters

    def accumulate(self, packs: Sequence[Pack], tokens: int | None = None) -> float:
        """Add the gradient of the mean loss over the trained tokens of `packs`; return that loss in nats a token."""
        total = tokens or sum(len(pack.targets) for pack in packs)
        loss = 0.0
        for pack in packs:
            part = self._loss_sum(pack) / total
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        return loss

    def step(self, learning_rate: float) -> float:
        """Move the adapter by one AdamW step and clear the gradient; return the gradient's norm before clipping."""
        import torch

        norm = torch.nn.utils.clip_grad_norm_(self._parameters, MAX_GRADIENT_NORM)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return float(norm)

    def held_out_loss(self, packs: Sequence[Pack]) -> float:
        """The mean loss over the trained tokens of `packs`, in nats a token, without learning from them."""
        import torch

        with torch.no_grad():
            total = sum(float(self._loss_sum(pack)) for pack in packs)
        return total / max(1, sum(len(pack.targets) for pack in packs))

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 (len(ids), n_vocab): the output for each token of one row, with the adapter."""
        import torch

        with torch.no_grad():
            output = self._model(input_ids=torch.tensor([list(ids)], device=self.device), use_cache=False)
        return np.asarray(output.logits[0].float().cpu().numpy(), dtype=np.float32)

    def weights(self) -> LoraWeights:
        """A copy of the adapter as it stands."""
        a = {name: pair[0].detach().float().cpu().numpy().copy() for name, pair in self._layers.items()}
        b = {name: pair[1].detach().float().cpu().numpy().copy() for name, pair in self._layers.items()}
        return LoraWeights(self._recipe.rank, self._recipe.alpha, a, b)

    def set_weights(self, weights: LoraWeights) -> None:
        """Put another adapter of the same shape in place of the present one; the optimiser forgets its moments."""
        import torch

        with torch.no_grad():
            for name, (a, b) in self._layers.items():
                a.copy_(torch.from_numpy(weights.a[name]))
                b.copy_(torch.from_numpy(weights.b[name]))
        self._optimiser.state.clear()

    def base_weight(self, tensor: str) -> NDArray[np.float32]:
        """float32 (out, in): the frozen matrix under a GGUF tensor name, rows in PyTorch's order."""
        _blk, number, rest = tensor.split(".", 2)
        paths = {f"{name}.weight": path for path, name in LINEARS.items()}
        linear = self._model.model.layers[int(number)].get_submodule(paths[rest])
        return np.asarray(linear.weight.detach().cpu().numpy(), dtype=np.float32)

    def save(self, path: Path, state: Mapping[str, Any]) -> None:
        """Write adapter, optimiser and `state` (plain JSON) into one file, which is replaced as a whole.

        Raises OSError where it cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        beside = path.with_name(path.name + ".new")
        try:
            save_file(self._tensors(), str(beside), {"state": json.dumps(state)})
        except SafetensorError as error:
            beside.unlink(missing_ok=True)
            raise OSError(errno.EIO, str(error)) from error
        beside.replace(path)

    def restore(self, path: Path) -> dict[str, Any]:
        """Take up what `save` wrote and return its state."""
        import torch
        from safetensors import safe_open

        with safe_open(str(path), "pt", device=self.device) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            state: dict[str, Any] = json.loads(file.metadata()["state"])
        with torch.no_grad():
            for name, (a, b) in self._layers.items():
                a.copy_(tensors[f"{name}.a"])
                b.copy_(tensors[f"{name}.b"])
        if any(key.startswith("optimiser.") for key in tensors):
            self._optimiser.load_state_dict(self._optimiser_state(tensors))
        return state

    def _tensors(self) -> dict[str, "torch.Tensor"]:
        tensors = {
            f"{name}.{part}": pair[i].detach() for name, pair in self._layers.items() for i, part in enumerate("ab")
        }
        for index, moments in self._optimiser.state_dict()["state"].items():
            for key, value in moments.items():
                tensors[f"optimiser.{index}.{key}"] = value.reshape(1) if value.dim() == 0 else value
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    def _optimiser_state(self, tensors: dict[str, "torch.Tensor"]) -> dict[str, Any]:
        whole = self._optimiser.state_dict()
        whole["state"] = {
            index: {
                "step": tensors[f"optimiser.{index}.step"].reshape(()),
                "exp_avg": tensors[f"optimiser.{index}.exp_avg"],
                "exp_avg_sq": tensors[f"optimiser.{index}.exp_avg_sq"],
            }
            for index in range(len(self._parameters))
        }
        return dict(whole)

    def _loss_sum(self, pack: Pack) -> "torch.Tensor":
        import torch
        import torch.utils.checkpoint

        def moved(part: NDArray[Any]) -> torch.Tensor:
            return torch.from_numpy(part).to(self.device)

        hidden = self._model.model(
            input_ids=moved(pack.ids)[None],
            position_ids=moved(pack.positions)[None],
            layout=layout_of(pack),
            use_cache=False,
        ).last_hidden_state[0]
        wanted, weights = pack.likely or (pack.targets[:, None], None)
        places = (moved(pack.sources), moved(wanted), moved(weights) if weights is not None else None)
        starts = range(0, len(pack.sources), LOGITS_AT_ONCE)
        parts = [
            [part[start : start + LOGITS_AT_ONCE] if part is not None else None for part in places] for start in starts
        ]
        if len(parts) == 1:
            return self._cross_entropy(hidden, *parts[0])
        # A vocabulary wide each: long answers would fill the memory, so all but one part at a time are computed anew.
        again = torch.utils.checkpoint.checkpoint
        return torch.stack([again(self._cross_entropy, hidden, *part, use_reentrant=False) for part in parts]).sum()

    def _cross_entropy(
        self, hidden: "torch.Tensor", sources: Any, wanted: Any, weights: "torch.Tensor | None"
    ) -> "torch.Tensor":
        """The loss in nats at `sources` (k,) against `wanted` token ids (k, m) with `weights` (k, m; None: all one)."""
        logs = self._model.lm_head(hidden[sources]).float().log_softmax(dim=-1).gather(1, wanted)
        loss: torch.Tensor = -(logs if weights is None else logs * weights).sum()
        return loss


def load_dequantised(base: GgufModel) -> Any:
    """The GGUF as a float32 `AutoModelForCausalLM`, frozen, in evaluation mode.

    Raises TrainingError where transformers does not take over every tensor of the file.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    config = AutoConfig.from_pretrained(str(base.path.parent), gguf_file=base.path.name)
    # transformers assumes Qwen3's usual 128, whatever the file says.
    config.head_dim = base.head_width
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        str(base.path.parent),
        config=config,
        gguf_file=base.path.name,
        dtype=torch.float32,
        # Without this the model stays marked as quantised and refuses gradients.
        quantization_config=GgufConfig(dequantize=True),
        output_loading_info=True,
    )
    model, loading = loaded
    _refuse_partial(base, loading)
    register()
    model.set_attn_implementation(PACKED)
    model.requires_grad_(False)
    model.train(False)
    return model


def _refuse_partial(base: GgufModel, loading: Mapping[str, Any]) -> None:
    """A tensor that did not fit would stand there with random numbers, and training would go on happily."""
    odd = [str(name) for key in ("missing_keys", "mismatched_keys", "unexpected_keys") for name in loading.get(key, ())]
    if odd:
        raise TrainingError(
            Bilingual(
                en=f"{base.path.name} cannot be taken over whole ({odd[0]} does not fit); choose another base.",
                zh=f"无法完整读取 {base.path.name}（{odd[0]} 不匹配）；请换一个基座模型。",
            )
        )


def load_tokenizer(path: Path) -> Any:
    """The tokenizer inside the GGUF, as transformers reads it."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)


def _attach(model: Any, recipe: TrainingRecipe, is_narrow: bool) -> dict[str, tuple["torch.Tensor", "torch.Tensor"]]:
    """Hang A and B on every linear layer of every block; return them by GGUF tensor name."""
    layers = {}
    for number, block in enumerate(model.model.layers):
        for path, tensor in LINEARS.items():
            layers[f"blk.{number}.{tensor}.weight"] = _hang(block.get_submodule(path), recipe, is_narrow)
    return layers


def _hang(linear: Any, recipe: TrainingRecipe, is_narrow: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
    import torch

    a = torch.empty(recipe.rank, linear.in_features, device=linear.weight.device)
    # As in the paper: A random, B zero, so that the adapted model starts as the base.
    torch.nn.init.kaiming_uniform_(a, a=5**0.5)
    b = torch.zeros(linear.out_features, recipe.rank, device=linear.weight.device)
    a.requires_grad_(True)
    b.requires_grad_(True)
    hang(linear, a, b, recipe.scale, is_narrow)
    return a, b
