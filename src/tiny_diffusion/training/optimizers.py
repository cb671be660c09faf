"""Optimisers: AdamW everywhere, or Muon on the blocks' matrices and AdamW on the rest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from ..model.transformer import Transformer
from ..runtime import product_dtype

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Muon's quintic iteration, from the paper
ITERATIONS = 5
SMALLEST_NORM = 1e-7
MUON_VALUES = 4_000_000  # largest number of values in the matrices that Muon updates together


def orthogonalise(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring the singular values of (N, rows, columns) matrices near 1 by Newton-Schulz; the result has ``dtype``."""
    a, b, c = COEFFICIENTS
    x = matrices.to(dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x


def _pieces(by_shape: dict[torch.Size, list[Tensor]]) -> Iterator[tuple[torch.Size, list[Tensor]]]:
    """Matrices of one shape that are updated together: as many as stay within MUON_VALUES, at least one."""
    for shape, members in by_shape.items():
        size = max(1, MUON_VALUES // shape.numel())
        for start in range(0, len(members), size):
            yield shape, members[start : start + size]


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024): Nesterov momentum whose matrices are made nearly orthogonal, for 2-D parameters only.

    The rule is that of ``torch.optim.Muon``, which runs its products in bfloat16, one matrix at a time. Here they run
    in the machine's fast type and on many matrices of a shape at once: where bfloat16 is emulated, torch's takes a
    hundred times as long as the model's own step. Weight decay is decoupled. The learning rate of a (rows, columns)
    matrix is scaled by sqrt(max(1, rows / columns)), torch's ``original`` rule.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, members in _pieces(by_shape):
                updates = orthogonalise(torch.stack(self._directions(members, group["momentum"])), self.dtype)
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(members, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(members, list(updates.to(members[0].dtype)), alpha=-group["lr"] * scale)

    def _directions(self, members: list[Tensor], momentum: float) -> list[Tensor]:
        """Update the momentum; returns Nesterov's look-ahead of each gradient."""
        gradients = [p.grad for p in members if p.grad is not None]
        for parameter in members:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[p]["momentum_buffer"] for p in members]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, buffers, momentum))


@dataclass
class Optimizers:
    """One or two optimisers that step together; ``peaks`` are their learning rates at scale 1."""

    members: list[torch.optim.Optimizer]
    peaks: list[float]

    def step(self, scale: float) -> None:
        """Update at ``scale`` times the peak learning rates, and clear the gradients."""
        for optimizer, peak in zip(self.members, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> list[dict]:
        """State of all members, tensors and plain data."""
        return [optimizer.state_dict() for optimizer in self.members]

    def restore(self, states: list[dict]) -> None:
        """Load what ``state`` returned."""
        for optimizer, state in zip(self.members, states, strict=True):
            optimizer.load_state_dict(state)


def make_optimizers(model: Transformer, config: TrainingConfig) -> Optimizers:
    """Optimisers for ``model``: Muon takes only the 2-D matrices of the blocks, AdamW the rest.

    Weight decay acts on matrices, not on norms and mixing weights. Fused AdamW reads and writes each number once: on a
    CPU it takes an eighth of the time of the unfused one.
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
    """The learning rates in use, by key and value, for messages about what to lower when training diverges."""
    names = ("muon_learning_rate", "learning_rate") if config.optimizer == "muon" else ("learning_rate",)
    return " or ".join(f"training.{name} (now {getattr(config, name):g})" for name in names)


@torch.no_grad()
def clip_gradients(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Scale all gradients so that their norm is at most ``largest`` (0: no limit); returns the norm before, a scalar.

    On a CPU gradients within the limit are not touched, which saves a pass over memory. On a GPU they are always
    multiplied, because a look at the norm would wait for the GPU.
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
