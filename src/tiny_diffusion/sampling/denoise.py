"""The reverse process: masked positions settle step by step, in the order of a sampler, as a generator of states.

A sampler fills a canvas's block in ``steps`` steps, and after each step it yields how many are left, or an upper bound.
To add one, write a function here, list it in ``_ALL`` and name it in ``config.generation_config.Sampler``.

Shapes: B rows, T tokens.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..model.transformer import MASK_ID, Transformer
from .canvas import Canvas, Prediction, Predictor
from .characters import WholeCharacters
from .draw import Numbers
from .experts import ALONE, Experts


def ancestral(canvas: Canvas, steps: int) -> Iterator[int]:
    """Sahoo et al. 2024 (MDLM): from time t to s, each masked token settles with the schedule's probability.

    Both the order and the number of tokens per step are random.
    """
    for step in range(steps):
        t, s = torch.tensor(1 - step / steps), torch.tensor(1 - (step + 1) / steps)
        chance = 1.0 if step + 1 == steps else canvas.schedule.unmask_probability(t, s)
        _settle(canvas, canvas.masked & (canvas.uniform() < chance).to(canvas.ids.device))
        yield steps - step - 1


def first_hitting(canvas: Canvas, steps: int) -> Iterator[int]:
    """Zheng et al. 2024: tokens settle in the random order of their hitting times, equally many per step.

    With as many steps as tokens, they settle one at a time, which samples the model's joint law exactly. The times
    themselves are not drawn, because the network takes no time as input.
    """
    start = canvas.masked.sum(1)
    rank = _random_ranks(canvas)
    for step in range(steps):
        done = start - masks_left(start, step, steps)
        _settle(canvas, canvas.masked & (rank < done[:, None]))
        yield steps - step - 1


def confidence(canvas: Canvas, steps: int) -> Iterator[int]:
    """Chang et al. 2022 (MaskGIT): the tokens drawn that the model finds likeliest settle first, equally many per step.

    The probability is the model's own, whatever temperature, ``top_k``, ``top_p`` and ``min_p`` it was drawn with. As
    in the paper's code, Gumbel noise times ``choice_noise`` is added to its logarithm, falling to none in the last
    step.
    """
    for left, where, counts in _shares(canvas, steps):
        noise = canvas.settings.choice_noise * left / steps
        if where.any():
            prediction = canvas.look(where)
            draft = canvas.draw(prediction, where)
            score = prediction.probability(draft.ids)
            if noise:
                score = score.clamp(min=torch.finfo(score.dtype).tiny).log() + noise * _gumbel(canvas).to(score)
            canvas.settle(first(where, score, counts), draft)
        yield left


def margin(canvas: Canvas, steps: int) -> Iterator[int]:
    """Kim et al. 2025: positions with the largest lead of the likeliest token settle first, equally many per step."""
    return _surest(canvas, steps, Prediction.margin)


def entropy(canvas: Canvas, steps: int) -> Iterator[int]:
    """Positions of the lowest entropy settle first, equally many per step (a baseline of Kim et al. 2025)."""
    return _surest(canvas, steps, lambda prediction: -prediction.entropy())


def masks_left(start: Tensor, step: int, steps: int) -> Tensor:
    """How many (B,) of ``start`` (B,) positions are still masked after ``step``, equal shares per step rounded up."""
    return -(-start * (steps - step - 1) // steps)


def first(where: Tensor, score: Tensor, counts: Tensor) -> Tensor:
    """Mask (B, T) of the ``counts`` (B,) positions in ``where`` (B, T) with the highest score (B, T) of each row."""
    order = score.masked_fill(~where, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)
    return where & (rank < counts[:, None])


def _settle(canvas: Canvas, where: Tensor) -> None:
    """Draw and settle the positions ``where`` (B, T); skip the forward pass if there are none."""
    if where.any():
        canvas.settle(where, canvas.draw(canvas.look(where), where))


def _random_ranks(canvas: Canvas) -> Tensor:
    """Rank (B, T), from 0, of each masked position in a random order of its row; other positions come after them."""
    masked = canvas.masked
    times = canvas.uniform(torch.float64)
    return times.masked_fill(~masked.cpu(), 2.0).argsort(dim=1).argsort(dim=1).to(masked.device)


def _gumbel(canvas: Canvas) -> Tensor:
    """A number (B, T) from the standard Gumbel distribution for every position, on the CPU."""
    return -(-(1 - canvas.uniform(torch.float64)).log()).log()


def _shares(canvas: Canvas, steps: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """For each step: steps left, masked positions (B, T) of the rows that settle any now, and how many (B,) settle."""
    start = canvas.masked.sum(1)
    for step in range(steps):
        masked = canvas.masked
        counts = masked.sum(1) - masks_left(start, step, steps)
        yield steps - step - 1, masked & (counts > 0)[:, None], counts


def _surest(canvas: Canvas, steps: int, certainty: Callable[[Prediction], Tensor]) -> Iterator[int]:
    """Settle the positions first where ``certainty`` (B, T) is highest, equally many per step, whatever is drawn."""
    for left, where, counts in _shares(canvas, steps):
        if where.any():
            prediction = canvas.look(where)
            settle = first(where, certainty(prediction), counts)
            canvas.settle(settle, canvas.draw(prediction, settle))
        yield left


_ALL = (ancestral, first_hitting, confidence, margin, entropy)
SAMPLERS: dict[str, Callable[[Canvas, int], Iterator[int]]] = {sampler.__name__: sampler for sampler in _ALL}
"""By the names of ``generation.sampler``."""
EQUAL_SHARES = ("first_hitting", "confidence", "margin", "entropy")
"""These settle equally many tokens per step; with more steps than tokens, steps that would settle none are skipped."""


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
    experts: Experts = ALONE,
) -> Iterator[DenoisingState]:
    """Fill every MASK of ``ids`` (B, T) with ``settings.sampler``; all other ids stay as they are.

    With ``settings.block``, each row's first ``block`` masked positions are filled before the next ones
    (semi-autoregressive, Arriola et al. 2025; unlike their model, this one also sees the masks of later blocks). The
    steps are shared among the blocks by length, at least one each. Only the first ``allowed`` text tokens are drawn.
    ``numbers``: one generator for all rows, or one per row, which makes the rows independent of each other.
    ``whole``: keeps characters whole. ``experts``: what is asked beside the network.

    With ``settings.cache_context``, keys and values of the first ``kept`` tokens, which must be settled, and later of
    each finished block are computed once: in the first pass over the block after them. Later passes run over the
    remaining tokens only. If rows differ in which positions are masked, a block counts as finished up to the first
    position that some row has not settled. Raises UserError for controls that the model has not learnt.
    """
    model.eval()
    predictors = [Predictor(network, settings, kept) for network in (model, *experts.members)]
    canvas = Canvas(experts.join(predictors, causal=False), ids, settings, numbers, allowed, whole)
    blocks = split_blocks(canvas.masked, settings.block)
    most = torch.stack([block.sum(1).max() for block in blocks]).tolist()  # one token per step
    shares = share_steps(settings.steps, most)
    if settings.sampler in EQUAL_SHARES:
        shares = [min(share, tokens) for share, tokens in zip(shares, most, strict=True)]
    step = 0
    for i, block in enumerate(blocks):
        if i:
            for predictor in predictors:
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
