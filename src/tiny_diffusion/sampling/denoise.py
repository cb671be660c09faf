"""The reverse process: masked positions settle step by step, as a generator of states.

Shapes: B rows, T tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..model.diffusion import MASK_ID
from ..model.transformer import Transformer
from .canvas import Canvas
from .characters import WholeCharacters
from .draw import Numbers
from .predictor import Predictor
from .samplers import EQUAL_SHARES, SAMPLERS


@dataclass(frozen=True)
class DenoisingState:
    """One moment of the reverse process.

    ids: (B, T), MASK where unsettled. confidence: (B, T), the probability with which each token was drawn, 1 for given
    tokens. step: steps done. steps: all steps, or an upper bound if the sampler gives one.
    """

    ids: Tensor
    confidence: Tensor
    step: int
    steps: int


def most_steps(settings: GenerationConfig, tokens: int) -> int:
    """The most steps that it takes to fill ``tokens`` masked tokens of a row."""
    steps = max(settings.steps, -(-tokens // settings.block) if settings.block else 1)
    return min(steps, tokens) if settings.sampler in EQUAL_SHARES else steps


def denoise(
    model: Transformer,
    ids: Tensor,
    settings: GenerationConfig,
    numbers: Numbers,
    allowed: int,
    kept: int = 0,
    whole: WholeCharacters | None = None,
) -> Iterator[DenoisingState]:
    """Fill every MASK of ``ids`` (B, T) with ``settings.sampler``; all other ids stay as they are.

    With ``settings.block``, each row's first ``block`` masked positions are filled before the next ones
    (semi-autoregressive, Arriola et al. 2025; unlike their model, this one also sees the masks of later blocks). The
    steps are shared among the blocks by length, at least one each. Only the first ``allowed`` text tokens are drawn.
    ``numbers``: one generator for all rows, or one per row, which makes the rows independent of each other.
    ``whole``: keeps characters whole.

    With ``settings.cache_context``, keys and values of the first ``kept`` tokens, which must be settled, and later of
    each finished block are computed once: in the first pass over the block after them. Later passes run over the
    remaining tokens only. If rows differ in which positions are masked, a block counts as finished up to the first
    position that some row has not settled. Raises UserError for controls that the model has not learnt.
    """
    model.eval()
    predictor = Predictor(model, settings, kept)
    canvas = Canvas(predictor, ids, settings, numbers, allowed, whole)
    blocks = split_blocks(canvas.masked, settings.block)
    most = torch.stack([block.sum(1).max() for block in blocks]).tolist()  # one token per step
    shares = share_steps(settings.steps, most)
    if settings.sampler in EQUAL_SHARES:
        shares = [min(share, tokens) for share, tokens in zip(shares, most, strict=True)]
    step = 0
    for i, block in enumerate(blocks):
        if i:
            predictor.keep(settled_prefix(canvas.ids == MASK_ID))
        canvas.block = block
        for left in SAMPLERS[settings.sampler](canvas, shares[i]):
            step += 1
            yield DenoisingState(
                canvas.ids.clone(), canvas.confidence.clone(), step, step + left + sum(shares[i + 1 :])
            )
    if step == 0:  # no MASK at all, and a sampler that takes no step then
        yield DenoisingState(canvas.ids.clone(), canvas.confidence.clone(), 0, 0)


def split_blocks(masked: Tensor, size: int) -> list[Tensor]:
    """The ``masked`` positions (B, T) as blocks (B, T) of ``size`` per row, from left to right; size 0: one block."""
    if size == 0:
        return [masked]
    index = (masked.cumsum(1) - 1) // size
    return [masked & (index == i) for i in range(max(1, int(index.max()) + 1))]


def settled_prefix(masked: Tensor) -> int:
    """How many positions at the beginning are ``masked`` (B, T) in no row."""
    return int((~masked.any(0)).cumprod(0).sum())


def share_steps(steps: int, lengths: list[int]) -> list[int]:
    """``steps`` shared among blocks of these ``lengths`` in tokens, at least one step each.

    Each step goes to the block that would settle most tokens per step (Adams's apportionment): with as many steps as
    tokens, each step settles one token.
    """
    shares = [1] * len(lengths)
    for _ in range(steps - len(lengths)):
        shares[max(range(len(lengths)), key=lambda i: lengths[i] / shares[i])] += 1
    return shares
