"""The reverse process: masked positions are settled step by step, as a generator of states.

Shapes: B rows, T tokens, N positions that get a token drawn, V text vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..model.diffusion import MASK_ID, MaskSchedule
from ..model.transformer import Transformer
from .draw import draw, restrict
from .predictor import Predictor


@dataclass(frozen=True)
class DenoisingState:
    """One moment of the reverse process: ids (B, T) with MASK where unsettled, confidence (B, T), step of steps."""

    ids: Tensor
    confidence: Tensor
    step: int
    steps: int


def denoise(
    model: Transformer, ids: Tensor, settings: GenerationConfig, generator: Generator, allowed: int, kept: int = 0
) -> Iterator[DenoisingState]:
    """Fill every MASK of ``ids`` (B, T) in ``settings.steps`` steps; all other ids stay as they are.

    ``ancestral`` (Sahoo et al. 2024, MDLM): between the times t and s a masked token is settled with the
    schedule's probability, so that the order is random. ``first_hitting`` (Zheng et al. 2024): tokens settle in
    the random order of their hitting times, an equal share a step; with as many steps as tokens one at a time,
    which is the model's own joint law. The times themselves are not drawn: the network does not ask for them.
    ``confidence`` (Chang et al. 2022, MaskGIT): an equal share a step, those drawn with the highest probability
    first. The first two know before the forward pass what will settle, and only there are tokens drawn; a row in
    which nothing settles takes no pass. ``allowed`` is the number of text tokens that may be drawn, ``kept`` how
    many tokens at the rows' beginnings ``settings.cache_context`` is about (all settled).
    """
    model.eval()
    predictor = Predictor(model, settings, kept)
    ids = ids.clone()
    masked = ids == MASK_ID
    confidence = (~masked).float()
    start = masked.sum(1)  # (B,)
    rank = _random_ranks(masked, generator) if settings.sampler == "first_hitting" else None
    for step in range(settings.steps):
        masked = ids == MASK_ID
        left = -(-start * (settings.steps - step - 1) // settings.steps)  # an equal share a step, rounded up
        if settings.sampler == "ancestral":
            where = masked & _hits(ids, step, settings.steps, generator)
        elif rank is not None:
            where = masked & (rank < (start - left)[:, None])
        else:
            where = masked & (masked.sum(1) > left)[:, None]
        if where.any():
            tokens, chances = _candidates(predictor, ids, where, settings, generator, allowed)
            settle = _surest(where, chances, masked.sum(1) - left) if settings.sampler == "confidence" else where
            ids = torch.where(settle, tokens, ids)
            confidence = torch.where(settle, chances, confidence)
        yield DenoisingState(ids.clone(), confidence.clone(), step + 1, settings.steps)


def _hits(ids: Tensor, step: int, steps: int, generator: Generator) -> Tensor:
    """Where a token that is masked at this step's beginning is settled by its end, (B, T)."""
    t, s = torch.tensor(1 - step / steps), torch.tensor(1 - (step + 1) / steps)
    chance = 1.0 if step + 1 == steps else MaskSchedule().unmask_probability(t, s)
    return (torch.rand(ids.shape, generator=generator) < chance).to(ids.device)


def _random_ranks(masked: Tensor, generator: Generator) -> Tensor:
    """The place (B, T) of each masked position in a random order of its row's, from 0; others come behind."""
    times = torch.rand(masked.shape, generator=generator, dtype=torch.float64)
    return times.masked_fill(~masked.cpu(), 2.0).argsort(dim=1).argsort(dim=1).to(masked.device)


@torch.inference_mode()
def _candidates(
    predictor: Predictor, ids: Tensor, where: Tensor, settings: GenerationConfig, generator: Generator, allowed: int
) -> tuple[Tensor, Tensor]:
    """Tokens drawn at the positions ``where`` and their probabilities, both (B, T) and zero elsewhere."""
    logits = predictor.logits(ids, where) / settings.temperature  # (N, V)
    drawn, chances = draw(restrict(logits, allowed=allowed, top_k=settings.top_k, top_p=settings.top_p), generator)
    tokens = torch.zeros_like(ids)
    tokens[where] = drawn + predictor.model.reserved
    probability = torch.zeros(ids.shape, device=ids.device)
    probability[where] = chances
    return tokens, probability


def _surest(where: Tensor, chances: Tensor, counts: Tensor) -> Tensor:
    """The ``counts`` (B,) positions ``where`` of each row with the highest probability, as a mask (B, T)."""
    order = chances.masked_fill(~where, -1.0).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)
    return where & (rank < counts[:, None])
