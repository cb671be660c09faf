"""Samplers that settle a token for good: they differ in which positions come first, and in how many a step.

Each fills a canvas's block and yields after every step the number of steps that the block takes still: exactly
where the steps are given, at most where a sampler takes as many as it needs.

Shapes: B rows, T tokens.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .canvas import Canvas, Prediction


def ancestral(canvas: Canvas, steps: int) -> Iterator[int]:
    """Sahoo et al. 2024 (MDLM): from the time t to s a masked token is settled with the schedule's probability.

    The order is random, and so is the number of tokens a step.
    """
    for step in range(steps):
        t, s = torch.tensor(1 - step / steps), torch.tensor(1 - (step + 1) / steps)
        chance = 1.0 if step + 1 == steps else canvas.schedule.unmask_probability(t, s)
        _settle(canvas, canvas.masked & (canvas.uniform() < chance).to(canvas.ids.device))
        yield steps - step - 1


def first_hitting(canvas: Canvas, steps: int) -> Iterator[int]:
    """Zheng et al. 2024: tokens settle in the random order of their hitting times, an equal share a step.

    With as many steps as tokens one at a time, which is the model's own joint law. The times themselves are not
    drawn: the network does not ask for them.
    """
    start = canvas.masked.sum(1)
    rank = _random_ranks(canvas)
    for step in range(steps):
        done = start - masks_left(start, step, steps)
        _settle(canvas, canvas.masked & (rank < done[:, None]))
        yield steps - step - 1


def confidence(canvas: Canvas, steps: int) -> Iterator[int]:
    """Chang et al. 2022 (MaskGIT): tokens drawn with the highest probability first, an equal share a step.

    The probability is that of the law the token was drawn from, temperature and restrictions included.
    """
    for left, where, counts in _shares(canvas, steps):
        if where.any():
            draft = canvas.draw(canvas.look(where), where)
            canvas.settle(first(where, draft.chances, counts), draft)
        yield left


def margin(canvas: Canvas, steps: int) -> Iterator[int]:
    """Kim et al. 2025: where the likeliest token leads the second by most first, an equal share a step."""
    return _surest(canvas, steps, Prediction.margin)


def entropy(canvas: Canvas, steps: int) -> Iterator[int]:
    """Positions of the lowest entropy first, an equal share a step (an order that Kim et al. 2025 compare with)."""
    return _surest(canvas, steps, lambda prediction: -prediction.entropy())


def entropy_bounded(canvas: Canvas, steps: int) -> Iterator[int]:
    """Ben-Hamu et al. 2025 (EB-Sampler): as many tokens a step as are nearly independent of each other.

    In the order of their entropy positions settle as long as the sum of the entropies without the largest, which
    bounds what drawing them together loses, is at most ``entropy_bound``; always one. ``steps`` is not asked.
    """
    bound = canvas.settings.entropy_bound
    for masked in _unfinished(canvas):
        prediction = canvas.look(masked)
        nats, order = prediction.entropy().masked_fill(~masked, torch.inf).sort(dim=1, stable=True)
        without_largest = torch.cat((torch.zeros_like(nats[:, :1]), nats.cumsum(1)[:, :-1]), dim=1)
        settle = masked & torch.zeros_like(masked).scatter(1, order, without_largest <= bound)
        canvas.settle(settle, canvas.draw(prediction, settle))
        yield _most(canvas.masked)


def threshold(canvas: Canvas, steps: int) -> Iterator[int]:
    """Wu et al. 2025 (Fast-dLLM): all whose drawn token has at least ``threshold`` probability, and the likeliest.

    ``steps`` is not asked.
    """
    for masked in _unfinished(canvas):
        prediction = canvas.look(masked)
        draft = canvas.draw(prediction, masked)
        chances = prediction.probability(draft.ids)
        sure = masked & (chances >= canvas.settings.threshold)
        canvas.settle(sure | first(masked, chances, masked.any(1)), draft)
        yield _most(canvas.masked)


def masks_left(start: Tensor, step: int, steps: int) -> Tensor:
    """How many (B,) of ``start`` (B,) positions are unsettled after ``step``: an equal share a step, rounded up."""
    return -(-start * (steps - step - 1) // steps)


def first(where: Tensor, score: Tensor, counts: Tensor) -> Tensor:
    """The ``counts`` (B,) positions ``where`` of each row with the highest score (B, T), as a mask (B, T)."""
    order = score.masked_fill(~where, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)
    return where & (rank < counts[:, None])


def _settle(canvas: Canvas, where: Tensor) -> None:
    """Draw and settle the positions ``where`` (B, T); without any there is no forward pass."""
    if where.any():
        canvas.settle(where, canvas.draw(canvas.look(where), where))


def _random_ranks(canvas: Canvas) -> Tensor:
    """The place (B, T) of each masked position in a random order of its row's, from 0; others come behind."""
    masked = canvas.masked
    times = canvas.uniform(torch.float64)
    return times.masked_fill(~masked.cpu(), 2.0).argsort(dim=1).argsort(dim=1).to(masked.device)


def _shares(canvas: Canvas, steps: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """For each step: steps left after it, masked positions (B, T) of rows that settle any, and how many (B,)."""
    start = canvas.masked.sum(1)
    for step in range(steps):
        masked = canvas.masked
        counts = masked.sum(1) - masks_left(start, step, steps)
        yield steps - step - 1, masked & (counts > 0)[:, None], counts


def _surest(canvas: Canvas, steps: int, certainty: Callable[[Prediction], Tensor]) -> Iterator[int]:
    """An equal share a step, those positions first of which the model is surest, whatever is drawn there."""
    for left, where, counts in _shares(canvas, steps):
        if where.any():
            prediction = canvas.look(where)
            settle = first(where, certainty(prediction), counts)
            canvas.settle(settle, canvas.draw(prediction, settle))
        yield left


def _unfinished(canvas: Canvas) -> Iterator[Tensor]:
    """The masked positions (B, T) of the block, as long as there are any."""
    while canvas.masked.any():
        yield canvas.masked


def _most(masked: Tensor) -> int:
    """Masked positions of the row with most of them: one a step is the least that an adaptive sampler settles."""
    return int(masked.sum(1).max())
