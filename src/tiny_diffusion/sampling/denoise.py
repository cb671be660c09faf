"""The reverse process: masked positions are settled step by step, as a generator of states.

Shapes: B rows, T tokens, N masked positions, V text vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..model.diffusion import MASK_ID, MaskSchedule
from ..model.transformer import Transformer
from .draw import draw, restrict


@dataclass(frozen=True)
class DenoisingState:
    """One moment of the reverse process: ids (B, T) with MASK where unsettled, confidence (B, T), step of steps."""

    ids: Tensor
    confidence: Tensor
    step: int
    steps: int


@torch.no_grad()
def denoise(
    model: Transformer, ids: Tensor, settings: GenerationConfig, generator: Generator, allowed: int
) -> Iterator[DenoisingState]:
    """Fill every MASK of ``ids`` (B, T) in ``settings.steps`` steps; all other ids stay as they are.

    ``ancestral`` (Sahoo et al. 2024, MDLM): between the times t and s a masked token is settled with the
    schedule's probability, so that the order is random. ``confidence`` (Chang et al. 2022, MaskGIT): each step
    settles an equal share, those drawn with the highest probability first. ``allowed`` is the number of text
    tokens that may be drawn.
    """
    model.eval()
    schedule = MaskSchedule()
    ids = ids.clone()
    confidence = (ids != MASK_ID).float()
    start = (ids == MASK_ID).sum(1)  # (B,)
    for step in range(settings.steps):
        masked = ids == MASK_ID
        t, s = 1 - step / settings.steps, 1 - (step + 1) / settings.steps
        if settings.sampler == "ancestral":
            chance = schedule.unmask_probability(torch.tensor(t), torch.tensor(s))
            settle = masked & (torch.rand(ids.shape, generator=generator) < chance).to(ids.device)
            if step + 1 == settings.steps:
                settle = masked
            candidates = settle  # tokens are drawn only where they will stay
        else:
            candidates = masked
        if candidates.any():
            tokens, chances = _candidates(model, ids, candidates, settings, generator, allowed)
            if settings.sampler == "confidence":
                left = (start.double() * s).ceil().long()
                settle = _surest(masked, chances, masked.sum(1) - left)
            ids = torch.where(settle, tokens, ids)
            confidence = torch.where(settle, chances, confidence)
        yield DenoisingState(ids.clone(), confidence.clone(), step + 1, settings.steps)


def _candidates(
    model: Transformer, ids: Tensor, where: Tensor, settings: GenerationConfig, generator: Generator, allowed: int
) -> tuple[Tensor, Tensor]:
    """Tokens drawn at the positions ``where`` and their probabilities, both (B, T) and zero elsewhere."""
    logits = model.logits(model.hidden(ids)[where]).float() / settings.temperature  # (N, V)
    drawn, chances = draw(restrict(logits, allowed=allowed, top_k=settings.top_k, top_p=settings.top_p), generator)
    tokens = torch.zeros_like(ids)
    tokens[where] = drawn + model.reserved
    probability = torch.zeros(ids.shape, device=ids.device)
    probability[where] = chances.float()
    return tokens, probability


def _surest(masked: Tensor, chances: Tensor, counts: Tensor) -> Tensor:
    """The ``counts`` (B,) masked positions of each row with the highest probability, as a mask (B, T)."""
    order = chances.masked_fill(~masked, -1.0).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)
    return masked & (rank < counts[:, None])
