"""Masked (absorbing-state) diffusion: noise, training loss, and the likelihood bound.

Sahoo et al. 2024 (MDLM) and Shi et al. 2024 (MD4), with the linear schedule alpha(t) = 1 - t.
Shapes: B rows, T tokens, N masked positions, V text vocabulary, L window length.
"""

from collections.abc import Sequence
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
    hidden, targets = _hidden_at(model, ids, masked, None)
    return F.cross_entropy(model.logits(hidden).float(), targets, reduction="none")


def _hidden_at(model: Transformer, ids: Tensor, masked: Tensor, attention: Tensor | None) -> tuple[Tensor, Tensor]:
    """Hidden states (N, D) and targets (N,) at the masked positions.

    Where ``ids`` and ``masked`` lie on the CPU and the model on a GPU, the positions are found on the CPU: finding them
    on the GPU would stop the host until all work under way is done.
    """
    device = model.device
    index = masked.flatten().nonzero().squeeze(1)
    targets = ids.flatten().index_select(0, index) - model.reserved
    noisy = send(ids.masked_fill(masked, MASK_ID), device)
    hidden = model.hidden(noisy, attention)
    return hidden.flatten(0, 1).index_select(0, send(index, device)), send(targets, device)


def diffusion_loss(
    model: Transformer,
    ids: Tensor,
    masked: Tensor,
    t: Tensor,
    *,
    weighting: str,
    attention: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Summed training loss of the masked tokens of ``ids`` (B, T), a scalar.

    ``mean``: plain cross-entropy; divide by the number of masked tokens. ``bound``: each token weighted by the
    schedule's weight at its row's time ``t`` (B,); divided by the number of scorable tokens its expectation is
    the negative likelihood bound in nats a token. The sum is left whole so that micro-batches add up exactly.
    """
    if weighting not in ("mean", "bound"):
        raise ValueError(f"weighting={weighting!r} is neither 'mean' nor 'bound'")
    hidden, targets = _hidden_at(model, ids, masked, attention)
    weights = None
    if weighting == "bound":
        weights = send(MaskSchedule().weight(t)[masked.nonzero()[:, 0]], hidden.device)
    return head_loss(hidden, model.table, targets, weights=weights, smoothing=label_smoothing)


def uniform_rate_masks(ids: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Masks (B, T) and times (B,) of the forward process: t stratified over (0, 1], each token hidden with chance t."""
    t = 1 - stratified(len(ids), generator)
    return torch.rand(ids.shape, generator=generator) < t[:, None], t


def exact_masks(length: int, draws: int, generator: Generator) -> Tensor:
    """Masks (draws, length) with exactly k hidden tokens each, k uniform on 1..length and stratified over draws."""
    k = 1 + (stratified(draws, generator).double() * length).floor().long().clamp_(max=length - 1)
    order = torch.rand(draws, length, generator=generator).argsort(dim=1).argsort(dim=1)
    return order < k[:, None]


def likelihood_bound(
    model: Transformer, windows: Sequence[Tensor], draws: int, batch_size: int, generator: Generator
) -> Tensor:
    """Mean bound in nats of each window, (len(windows),), with ``draws`` stratified masks a window.

    The any-order form (Uria et al. 2014; Ou et al. 2024): with k uniform on 1..L and exactly k tokens hidden,
    L/k times their summed cross-entropy is an unbiased estimate of the bound. Windows of equal length share
    forward passes; no padding is ever seen by the model.
    """
    model.eval()
    device = model.device
    totals = torch.zeros(len(windows), dtype=torch.float64)
    masks = [exact_masks(len(window), draws, generator) for window in windows]
    by_length: dict[int, list[int]] = {}
    for i, window in enumerate(windows):
        by_length.setdefault(len(window), []).append(i)
    for length, members in by_length.items():
        stacked = torch.stack([windows[i] for i in members]).repeat_interleave(draws, 0)
        hidden = torch.cat([masks[i] for i in members])
        for start in range(0, len(stacked), batch_size):
            rows, mask = stacked[start : start + batch_size].to(device), hidden[start : start + batch_size].to(device)
            totals_of = _row_bounds(model, rows, mask, length)
            owner = torch.arange(start, start + len(rows)) // draws
            totals.index_add_(0, torch.tensor(members)[owner], totals_of / draws)
    return totals


@torch.no_grad()
def _row_bounds(model: Transformer, rows: Tensor, masked: Tensor, length: int) -> Tensor:
    """One estimate of the bound, in nats, for each row: length times the mean cross-entropy of its hidden tokens."""
    losses = masked_cross_entropy(model, rows, masked).double()
    sums = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    sums.index_add_(0, masked.nonzero()[:, 0], losses)
    return (sums * length / masked.sum(1)).cpu()


@torch.no_grad()
def uniform_mask_losses(
    model: Transformer, examples: Sequence[Tensor], rate: float, batch_size: int, generator: Generator
) -> Tensor:
    """Mean cross-entropy in nats of each example with exactly ``rate`` of its text tokens hidden, (len(examples),)."""
    model.eval()
    device = model.device
    found = torch.zeros(len(examples), dtype=torch.float64)
    by_length: dict[int, list[int]] = {}
    for i, example in enumerate(examples):
        by_length.setdefault(len(example), []).append(i)
    for members in by_length.values():
        for start in range(0, len(members), batch_size):
            part = members[start : start + batch_size]
            rows = torch.stack([examples[i] for i in part])
            noise = torch.rand(rows.shape, generator=generator).masked_fill(rows < model.reserved, 2.0)
            count = ((rows >= model.reserved).sum(1) * rate).ceil()
            masked = (noise.argsort(1).argsort(1) < count[:, None]).to(device)
            losses = masked_cross_entropy(model, rows.to(device), masked).double()
            sums = torch.zeros(len(part), dtype=torch.float64, device=device)
            sums.index_add_(0, masked.nonzero()[:, 0], losses)
            found[part] = (sums / masked.sum(1)).cpu()
    return found
