"""Optimisers: AdamW everywhere, or Muon on the blocks' matrices and AdamW on the rest."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from ..model.transformer import Transformer
from ..runtime import product_dtype
from .muon import Muon


@dataclass
class Optimizers:
    """One or two optimisers that step together; peaks are their learning rates at scale 1."""

    members: list[torch.optim.Optimizer]
    peaks: list[float]

    def step(self, scale: float) -> None:
        """One update at ``scale`` times the peak learning rates; gradients are cleared."""
        for optimizer, peak in zip(self.members, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> list[dict]:
        """State of all members, tensors and plain data."""
        return [optimizer.state_dict() for optimizer in self.members]

    def restore(self, states: list[dict]) -> None:
        """Take the state that ``state`` gave."""
        for optimizer, state in zip(self.members, states, strict=True):
            optimizer.load_state_dict(state)


def make_optimizers(model: Transformer, config: TrainingConfig) -> Optimizers:
    """Optimisers for ``model``: Muon (Jordan et al. 2024) takes 2-D matrices of the blocks only.

    Weight decay acts on matrices, not on norms and mixing weights. The fused AdamW reads and writes each number once:
    on a CPU it takes an eighth of the time of the unfused one.
    """
    matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
    chosen = {id(p) for p in matrices}
    tables = [p for p in model.parameters() if p.dim() == 2 and id(p) not in chosen]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    use_muon = config.optimizer == "muon"
    groups: list[dict] = [
        {"params": tables if use_muon else matrices + tables, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)
    if not use_muon:
        return Optimizers([adamw], [config.learning_rate])
    muon = Muon(
        matrices,
        lr=config.muon_learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        dtype=product_dtype(matrices[0].device, config.precision),
    )
    return Optimizers([muon, adamw], [config.muon_learning_rate, config.learning_rate])


def rates_in_use(config: TrainingConfig) -> str:
    """The learning rates that the optimiser reads, by key and value: what to lower when training diverges."""
    names = ("muon_learning_rate", "learning_rate") if config.optimizer == "muon" else ("learning_rate",)
    return " or ".join(f"training.{name} (now {getattr(config, name):g})" for name in names)


@torch.no_grad()
def clip_gradients(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Scale all gradients so that their norm is at most ``largest`` (0: leave them); the norm before, a scalar.

    On a CPU gradients within the bound are not touched: multiplying them by one is a pass over memory for nothing.
    On a GPU to look at the norm would be to wait for it.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if largest and (norm.device.type != "cpu" or float(norm) > largest):
        torch.nn.utils.clip_grads_with_norm_(parameters, largest, norm)
    return norm


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's: average = decay * average + (1 - decay) * weights."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
