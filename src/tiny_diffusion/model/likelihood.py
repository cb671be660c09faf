"""The likelihood of a text under a masked diffusion model: the any-order bound, and the exact left-to-right chain rule.

Neither depends on the mask schedule. Reserved ids (SEP) in a window are always visible and never scored.
Shapes: B rows, T tokens, N masked places, L text tokens of a window, V text vocabulary.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .lengths import equal_lengths
from .loss import hidden_at
from .schedule import stratified
from .transformer import MASK_ID, Transformer

HiddenNats = Callable[[Tensor, Tensor], Tensor]
"""Nats (N,) of the tokens of rows (B, T) where a mask (B, T) hides them, in row-major order, in float64 on the CPU."""


def masked_cross_entropy(model: Transformer, ids: Tensor, masked: Tensor) -> Tensor:
    """Cross-entropy in nats at the masked positions only, (N,), in row-major order.

    ``ids`` (B, T) are the clean tokens; ``masked`` (B, T) tells which are hidden. Only those N positions get logits.
    """
    ids, masked = model.input_of(ids), F.pad(masked, (model.shift, 0))
    hidden, targets = hidden_at(model, ids, masked, masked)
    return F.cross_entropy(model.logits(hidden).float(), targets - model.reserved, reduction="none")


def nats_of_mean(networks: Sequence[Transformer]) -> HiddenNats:
    """What hidden tokens cost under the mean of the laws of ``networks``."""

    def nats(rows: Tensor, masked: Tensor) -> Tensor:
        each = [masked_cross_entropy(network, rows, masked).cpu().double() for network in networks]
        return math.log(len(each)) - torch.stack(each).neg().logsumexp(0)

    return nats


def exact_masks(length: int, draws: int, generator: Generator) -> Tensor:
    """Masks (draws, length) that hide exactly k tokens each, with k uniform on 1..length, stratified over the draws."""
    k = 1 + (stratified(draws, generator).double() * length).floor().long().clamp_(max=length - 1)
    order = torch.rand(draws, length, generator=generator).argsort(dim=1).argsort(dim=1)
    return order < k[:, None]


def likelihood_bound(
    model: Transformer,
    windows: Sequence[Tensor],
    draws: int,
    batch_size: int,
    generator: Generator,
    law: HiddenNats | None = None,
    share: slice = slice(None),
) -> Tensor:
    """Mean bound in nats of each window in ``share``, all by default, from ``draws`` stratified masks per window.

    See ``bound_in_batches``.
    """
    *_, found = bound_in_batches(model, windows, draws, batch_size, generator, law, share)
    assert isinstance(found, Tensor)
    return found


def bound_in_batches(
    model: Transformer,
    windows: Sequence[Tensor],
    draws: int,
    batch_size: int,
    generator: Generator,
    law: HiddenNats | None = None,
    share: slice = slice(None),
) -> Iterator[int | Tensor]:
    """Yield after each batch how many of the ``draws`` times ``len(windows)`` rows are done, and last the mean bounds.

    ``law`` is that of the hidden tokens, None for the model's own. Only the windows in ``share`` are measured, by the
    masks that they would have among all.

    The any-order form (Uria et al. 2014; Ou et al. 2024): with k uniform on 1..L and exactly k tokens hidden,
    L/k times their summed cross-entropy is an unbiased estimate of the bound. Windows of equal length share
    forward passes; the model never sees padding.
    """
    model.eval()
    masks = [_masks_of_text(window >= model.reserved, draws, generator) for window in windows][share]
    windows, law = windows[share], law or nats_of_mean([model])
    totals, done = torch.zeros(len(windows), dtype=torch.float64), 0
    for batch in equal_lengths(windows, batch_size, lambda _: draws):
        chosen = zip(batch.owner.tolist(), batch.copy.tolist(), strict=True)
        masked = torch.stack([masks[i][c] for i, c in chosen])
        length = (batch.rows >= model.reserved).sum(1)
        totals.index_add_(0, batch.owner, _mean_losses(law, batch.rows, masked) * length / draws)
        done += len(batch.rows)
        yield done
    yield totals


def _masks_of_text(text: Tensor, draws: int, generator: Generator) -> Tensor:
    """Masks (draws, T) as of ``exact_masks`` over the places where ``text`` (T,) is true, and none elsewhere."""
    masks = torch.zeros(draws, len(text), dtype=torch.bool)
    masks[:, text] = exact_masks(int(text.sum()), draws, generator)
    return masks


@torch.no_grad()
def _mean_losses(law: HiddenNats, rows: Tensor, masked: Tensor) -> Tensor:
    """Mean cross-entropy in nats of the hidden tokens of each row, (B,) in float64 on the CPU."""
    losses = law(rows, masked)
    sums = torch.zeros(len(rows), dtype=torch.float64).index_add_(0, masked.nonzero()[:, 0], losses)
    return sums / masked.sum(1)


def hidden_count(text_tokens: Tensor, rate: float) -> Tensor:
    """Number of ``text_tokens`` that are hidden at ``rate``, rounded up; 1e-9 is allowed for rounding errors."""
    return (text_tokens.double() * rate - 1e-9).ceil().long()


def uniform_mask_losses(
    model: Transformer, examples: Sequence[Tensor], rate: float, batch_size: int, generator: Generator
) -> Tensor:
    """Mean cross-entropy in nats of each example, (len(examples),), with ``hidden_count`` of its tokens hidden."""
    model.eval()
    found, law = torch.zeros(len(examples), dtype=torch.float64), nats_of_mean([model])
    for batch in equal_lengths(examples, batch_size):
        reserved = batch.rows < model.reserved
        noise = torch.rand(batch.rows.shape, generator=generator).masked_fill(reserved, 2.0)
        count = hidden_count((~reserved).sum(1), rate)
        found[batch.owner] = _mean_losses(law, batch.rows, noise.argsort(1).argsort(1) < count[:, None])
    return found


@torch.no_grad()
def chain_rule(
    model: Transformer, windows: Sequence[Tensor], batch_size: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of window numbers, positions, and nats of the tokens there given those before them, each (B,).

    This is the left-to-right chain rule of the masked model: factor i is its prediction at position i with the tokens
    before i visible and all others masked. The product of the factors sums to one over all windows of that length, so
    it is an exact likelihood, whereas the bound averages over orders. A window takes T forward passes, of which only
    one position goes through the head. Every text token comes once; reserved ids never do.
    """
    model.eval()
    device = model.device
    for batch in equal_lengths(windows, batch_size, lambda length: length):
        rows, at = batch.rows, batch.copy
        target = rows.gather(1, at[:, None]).squeeze(1)  # (B,)
        scored = target >= model.reserved
        if not bool(scored.any()):
            continue
        rows, at, target = rows[scored], at[scored], target[scored] - model.reserved
        later = (torch.arange(rows.shape[1]) >= at[:, None]) & (rows >= model.reserved)
        hidden = model.hidden(model.input_of(rows.masked_fill(later, MASK_ID).to(device)))  # (B, T or T + 1, D)
        logits = model.logits(hidden[torch.arange(len(at), device=device), at.to(device)]).float()  # (B, V)
        losses = F.cross_entropy(logits, target.to(device), reduction="none").cpu().double()
        yield batch.owner[scored], at, losses
