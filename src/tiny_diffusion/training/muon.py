"""Muon (Jordan et al. 2024): momentum whose matrices are brought near to orthogonal ones before each step.

The same rule as ``torch.optim.Muon``, which runs its products in bfloat16 matrix by matrix. Here they run in the type
that the machine is fast in, for matrices of a shape at once: where bfloat16 is emulated, torch's takes a hundred
times as long as the model's own step.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ..config.memory import MUON_VALUES

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, from the paper
ITERATIONS = 5
SMALLEST_NORM = 1e-7


def orthogonalise(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring the singular values of (N, rows, columns) matrices near 1 by Newton-Schulz; the result is of ``dtype``."""
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
    """Matrices of a shape that are brought up to date together: as many as stay within MUON_VALUES, at least one."""
    for shape, members in by_shape.items():
        size = max(1, MUON_VALUES // shape.numel())
        for start in range(0, len(members), size):
            yield shape, members[start : start + size]


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay, for 2-D parameters only.

    The learning rate of a (rows, columns) matrix is scaled by sqrt(max(1, rows / columns)), torch's ``original`` rule.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
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
        """Nesterov's look-ahead of each gradient; brings the momentum up to date."""
        gradients = [p.grad for p in members if p.grad is not None]
        for parameter in members:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[p]["momentum_buffer"] for p in members]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, buffers, momentum))
