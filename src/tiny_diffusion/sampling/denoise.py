"""The reverse process: masked positions are settled step by step, as a generator of states.

Shapes: B rows, T tokens.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from ..config import GenerationConfig
from ..model.diffusion import MASK_ID
from ..model.transformer import Transformer
from . import blocks, order, remasking
from .canvas import Canvas
from .draw import Numbers
from .predictor import Predictor

# By the names of ``generation.sampler``: fills a canvas's block in so many steps; see ``order`` for what it yields.
SAMPLERS: dict[str, Callable[[Canvas, int], Iterator[int]]] = {
    "ancestral": order.ancestral,
    "first_hitting": order.first_hitting,
    "confidence": order.confidence,
    "margin": order.margin,
    "entropy": order.entropy,
    "entropy_bounded": order.entropy_bounded,
    "threshold": order.threshold,
    "remasking": remasking.remasking,
    "planner": remasking.planner,
}
# These take as many steps as they need, at most one a token.
ADAPTIVE = ("entropy_bounded", "threshold")
# These settle an equal share a step: with more steps than tokens some would settle none, and are left out.
EQUAL_SHARES = ("first_hitting", "confidence", "margin", "entropy")


@dataclass(frozen=True)
class DenoisingState:
    """One moment of the reverse process: ids (B, T) with MASK where unsettled, confidence (B, T), step of steps.

    Adaptive samplers do not know their number of steps: ``steps`` is then the most that it can be from here, and
    the true number in the last state.
    """

    ids: Tensor
    confidence: Tensor
    step: int
    steps: int


def most_steps(settings: GenerationConfig, tokens: int) -> int:
    """The most steps that filling so many masked tokens of a row takes."""
    if settings.sampler in ADAPTIVE:
        return tokens
    steps = max(settings.steps, -(-tokens // settings.block) if settings.block else 1)
    return min(steps, tokens) if settings.sampler in EQUAL_SHARES else steps


def denoise(
    model: Transformer, ids: Tensor, settings: GenerationConfig, numbers: Numbers, allowed: int, kept: int = 0
) -> Iterator[DenoisingState]:
    """Fill every MASK of ``ids`` (B, T) with ``settings.sampler``; all other ids stay as they are.

    The samplers are in ``order`` and ``remasking``. With ``settings.block`` they fill the first so many masked
    positions of each row before the next so many (block-wise, semi-autoregressive: Arriola et al. 2025, whose
    model is trained so, while this one sees the masks of later blocks as well); the steps are shared over the
    blocks by their length, at least one each. ``allowed`` is the number of text tokens that may be drawn.
    ``numbers``: a generator for all rows, or one for each, which makes a row independent of the others.
    With ``settings.cache_context`` the first ``kept`` tokens of the rows, all settled, and later every finished block
    are computed no more: their keys and values are those of the first pass over the block behind them, which no
    sampler changes any more, and later passes run over the tokens behind them only. Where rows differ in which
    positions are masked, a block counts as finished as far as all rows are settled from their beginning on.
    """
    model.eval()
    predictor = Predictor(model, settings, kept)
    canvas = Canvas(predictor, ids, settings, numbers, allowed)
    parts = blocks.split(canvas.masked, settings.block)
    most = blocks.lengths(parts)  # one token a step
    shares = most if settings.sampler in ADAPTIVE else blocks.share(settings.steps, most)
    if settings.sampler in EQUAL_SHARES:
        shares = [min(share, tokens) for share, tokens in zip(shares, most, strict=True)]
    step = 0
    for i, part in enumerate(parts):
        if i:
            predictor.keep(blocks.settled_prefix(canvas.ids == MASK_ID))
        canvas.block = part
        for left in SAMPLERS[settings.sampler](canvas, shares[i]):
            step += 1
            yield DenoisingState(
                canvas.ids.clone(), canvas.confidence.clone(), step, step + left + sum(shares[i + 1 :])
            )
    if step == 0:  # no MASK at all, and a sampler that takes no step then
        yield DenoisingState(canvas.ids.clone(), canvas.confidence.clone(), 0, 0)
