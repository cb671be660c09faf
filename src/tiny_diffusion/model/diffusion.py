"""Masked (absorbing-state) diffusion: the noise and the training loss.

Sahoo et al. 2024 (MDLM) and Shi et al. 2024 (MD4); the noise over time is the model's ``schedule``.
Shapes: B rows, T tokens, N masked positions, D model width, V text vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..runtime import send
from .head import Teachers, head_loss
from .schedule import MaskSchedule
from .transformer import MASK_ID, Transformer


def stratified(count: int, generator: Generator) -> Tensor:
    """Draw ``count`` uniform numbers in [0, 1), one in each of ``count`` equal strata, in random order."""
    offsets = torch.rand(count, generator=generator, dtype=torch.float64)
    return ((torch.randperm(count, generator=generator) + offsets) / count).float()


def masked_cross_entropy(model: Transformer, ids: Tensor, masked: Tensor) -> Tensor:
    """Cross-entropy in nats at the masked positions only, (N,), in row-major order.

    ``ids`` (B, T) are the clean tokens; ``masked`` (B, T) tells which are hidden. Only those N positions get logits.
    """
    ids, masked = model.input_of(ids), F.pad(masked, (model.shift, 0))
    hidden, targets = _hidden_at(model, ids, masked, masked)
    return F.cross_entropy(model.logits(hidden).float(), targets - model.reserved, reduction="none")


def _hidden_at(
    model: Transformer,
    ids: Tensor,
    masked: Tensor,
    scored: Tensor,
    attention: Tensor | None = None,
    controls: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Hidden states (N, D) that predict the ``scored`` tokens (B, T), and these targets (N,).

    The states of a dual model stand one place before their tokens.

    If ``ids`` and ``masked`` are on the CPU and the model is on a GPU, the CPU finds the positions: finding them on the
    GPU would stop the host until all queued work is done.
    """
    device = model.device
    index = scored.flatten().nonzero().squeeze(1)
    targets = ids.flatten().index_select(0, index)
    noisy = send(ids.masked_fill(masked, MASK_ID), device)
    hidden = model.hidden(noisy, attention, controls=None if controls is None else send(controls, device))
    return hidden.flatten(0, 1).index_select(0, send(index - model.shift, device)), send(targets, device)


def diffusion_loss(
    model: Transformer,
    ids: Tensor,
    masked: Tensor,
    t: Tensor,
    *,
    weighting: str,
    causal: Tensor | None = None,
    attention: Tensor | None = None,
    controls: Tensor | None = None,
    label_smoothing: float = 0.0,
    teachers: Teachers | None = None,
) -> Tensor:
    """Summed training loss of the masked tokens of ``ids`` (B, T), a scalar.

    With ``weighting="mean"`` it is plain cross-entropy, to be divided by the number of masked tokens. With ``"bound"``
    each token has the weight of the model's schedule at the time ``t`` (B,) of its row; divided by the number of
    scorable tokens, the expectation is the likelihood bound in nats per token. The sum is not divided here, so that
    micro-batches add up exactly.

    ``causal`` (B,), for a dual model: rows that learn the causal reading instead. They attend to the left only, and
    are scored at all their ``masked`` tokens, none of which is hidden. One pass serves all rows. GPT-BERT (Charpentier
    and Samuel 2024) trains both readings of one network; here the masked one is a diffusion model. ``ids`` of a dual
    model have BOS before each document, and END is predicted like a text token.

    ``attention`` and ``controls``: see ``Transformer.hidden``. ``teachers`` read the same rows, and their mean law is a
    part of each target, see ``head_loss``. Raises ValueError for any other weighting.
    """
    if weighting not in ("mean", "bound"):
        raise ValueError(f"weighting={weighting!r} is neither 'mean' nor 'bound'")
    hidden_tokens = masked
    if causal is not None:
        hidden_tokens = masked & ~causal[:, None]
        left = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        seen = send(left | ~causal[:, None, None, None], model.device)  # (B, 1, T, T)
        attention = seen if attention is None else seen & attention

    def states(network: Transformer) -> tuple[Tensor, Tensor]:
        return _hidden_at(network, ids, hidden_tokens, masked, attention, controls)

    lesson = None if teachers is None else teachers.lesson(lambda teacher: states(teacher)[0])
    states_at, targets = states(model)
    weights = None
    if weighting == "bound":
        of_row = model.schedule.weight(t)
        of_row = of_row if causal is None else of_row.masked_fill(causal, 1.0)
        weights = send(of_row[masked.nonzero()[:, 0]], states_at.device)
    return head_loss(
        states_at,
        model.output,
        targets - model.lowest,
        weights=weights,
        smoothing=label_smoothing,
        reserved=model.lowest,
        lesson=lesson,
    )


def uniform_time_masks(ids: Tensor, schedule: MaskSchedule, generator: Generator) -> tuple[Tensor, Tensor]:
    """Masks (B, T) and times (B,) of the forward process of ``schedule``: t is stratified over (0, 1]."""
    t = 1 - stratified(len(ids), generator)
    return torch.rand(ids.shape, generator=generator) < schedule.rate(t)[:, None], t
