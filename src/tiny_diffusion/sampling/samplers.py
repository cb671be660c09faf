"""Samplers: which masked positions settle first, and how many per step.

A sampler fills a canvas's block in ``steps`` steps, and after each step it yields how many are left, or an upper bound.
To add one, write a function here, list it in ``_ALL`` and name it in ``config.generation_config.Sampler``.

Shapes: B rows, T tokens.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .canvas import Canvas, Prediction


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
