"""Masked (absorbing-state) diffusion: noise and training loss.

Sahoo et al. 2024 (MDLM) and Shi et al. 2024 (MD4), with the linear schedule alpha(t) = 1 - t.
Shapes: B rows, T tokens, N masked positions, V text vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..runtime import send
from .head_loss import head_loss
from .transformer import Transformer

MASK_ID = 0


@dataclass(frozen=True)
class MaskSchedule:
    """Noise, loss weight and sampler step from one place; t in (0, 1] is the chance that a token is masked."""

    def alpha(self, t: Tensor) -> Tensor:
        """Chance that a token is still visible at time t."""
        return 1 - t

    def derivative(self, t: Tensor) -> Tensor:
        """d alpha / dt."""
        return torch.full_like(t, -1.0)

    def weight(self, t: Tensor) -> Tensor:
        """The bound's weight on the masked cross-entropy: -alpha'(t) / (1 - alpha(t)) = 1/t."""
        return -self.derivative(t) / (1 - self.alpha(t))

    def unmask_probability(self, t: Tensor, s: Tensor) -> Tensor:
        """Chance that a token masked at t is settled by the time s < t: (alpha_s - alpha_t) / (1 - alpha_t)."""
        return (self.alpha(s) - self.alpha(t)) / (1 - self.alpha(t))


def stratified(count: int, generator: Generator) -> Tensor:
    """``count`` uniform numbers in [0, 1), one in each of as many equal strata, in random order."""
    offsets = torch.rand(count, generator=generator, dtype=torch.float64)
    return ((torch.randperm(count, generator=generator) + offsets) / count).float()


def masked_cross_entropy(model: Transformer, ids: Tensor, masked: Tensor) -> Tensor:
    """Cross-entropy in nats at the masked positions only, (N,), in row-major order.

    ``ids`` (B, T) are the clean tokens, ``masked`` (B, T) tells which are hidden. Logits are computed for those
    N positions alone.
    """
    hidden, targets = _hidden_at(model, ids, masked)
    return F.cross_entropy(model.logits(hidden).float(), targets, reduction="none")


def _hidden_at(
    model: Transformer, ids: Tensor, masked: Tensor, attention: Tensor | None = None, controls: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Hidden states (N, D) and targets (N,) at the masked positions.

    Where ``ids`` and ``masked`` lie on the CPU and the model on a GPU, the positions are found on the CPU: finding them
    on the GPU would stop the host until all work under way is done.
    """
    device = model.device
    index = masked.flatten().nonzero().squeeze(1)
    targets = ids.flatten().index_select(0, index) - model.reserved
    noisy = send(ids.masked_fill(masked, MASK_ID), device)
    hidden = model.hidden(noisy, attention, controls=None if controls is None else send(controls, device))
    return hidden.flatten(0, 1).index_select(0, send(index, device)), send(targets, device)


def diffusion_loss(
    model: Transformer,
    ids: Tensor,
    masked: Tensor,
    t: Tensor,
    *,
    weighting: str,
    attention: Tensor | None = None,
    controls: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Summed training loss of the masked tokens of ``ids`` (B, T), a scalar.

    ``mean``: plain cross-entropy; divide by the number of masked tokens. ``bound``: each token weighted by the
    schedule's weight at its row's time ``t`` (B,); divided by the number of scorable tokens its expectation is
    the negative likelihood bound in nats a token. The sum is left whole so that micro-batches add up exactly.
    ``attention`` and ``controls``: see ``Transformer.hidden``.
    """
    if weighting not in ("mean", "bound"):
        raise ValueError(f"weighting={weighting!r} is neither 'mean' nor 'bound'")
    hidden, targets = _hidden_at(model, ids, masked, attention, controls)
    weights = None
    if weighting == "bound":
        weights = send(MaskSchedule().weight(t)[masked.nonzero()[:, 0]], hidden.device)
    return head_loss(hidden, model.output, targets, weights=weights, smoothing=label_smoothing, reserved=model.reserved)


def uniform_rate_masks(ids: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Masks (B, T) and times (B,) of the forward process: t stratified over (0, 1], each token hidden with chance t."""
    t = 1 - stratified(len(ids), generator)
    return torch.rand(ids.shape, generator=generator) < t[:, None], t
