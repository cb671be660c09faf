"""Samplers: which masked positions settle first, how many per step, and whether settled ones may be masked again.

A sampler fills a canvas's block in ``steps`` steps. After each step it yields how many steps are left for the block:
the exact number, or an upper bound for samplers that choose their own number of steps. To add one, write a function
here, list it in ``_ALL`` and name it in ``config.generation_config.Sampler``.

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


def entropy_bounded(canvas: Canvas, steps: int) -> Iterator[int]:
    """Ben-Hamu et al. 2025 (EB-Sampler): each step settles as many tokens as are nearly independent of each other.

    Positions settle from the lowest entropy up, as long as the sum of their entropies without the largest is at most
    ``entropy_bound``; that sum bounds the error of drawing them together. At least one settles. ``steps`` is ignored.
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
    """Wu et al. 2025 (Fast-dLLM): each step settles every token drawn with at least ``threshold`` probability.

    The likeliest one always settles. ``steps`` is ignored.
    """
    for masked in _unfinished(canvas):
        prediction = canvas.look(masked)
        draft = canvas.draw(prediction, masked)
        chances = prediction.probability(draft.ids)
        sure = masked & (chances >= canvas.settings.threshold)
        canvas.settle(sure | first(masked, chances, masked.any(1)), draft)
        yield _most(canvas.masked)


def remasking(canvas: Canvas, steps: int) -> Iterator[int]:
    """Wang et al. 2025 (ReMDM, capped schedule): ancestral sampling that may mask settled tokens again.

    From time t to s, a settled token is masked again with probability
    sigma = min(``remasking``, (1 - alpha_s) / alpha_t). Masked tokens settle more often to make up for it, so that the
    expected number of masks at each time stays the same. In the last step sigma is 0. With ``remasking`` 0 this is
    ``ancestral``, draw by draw. Only tokens of the current block are masked again, never given ones.
    """
    schedule = canvas.schedule
    for step in range(steps):
        t, s = torch.tensor(1 - step / steps), torch.tensor(1 - (step + 1) / steps)
        alpha_t, alpha_s = schedule.alpha(t), schedule.alpha(s)
        sigma = (
            min(canvas.settings.remasking, float((1 - alpha_s) / alpha_t)) if step else 0.0
        )  # nothing is settled yet
        chance = (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t) if step + 1 < steps else torch.tensor(1.0)
        numbers = canvas.uniform()
        settle = canvas.masked & (numbers < chance).to(canvas.ids.device)
        back = canvas.settled & (numbers < sigma).to(canvas.ids.device)
        if settle.any():
            canvas.settle(settle, canvas.draw(canvas.look(settle), settle))
        canvas.remask(back)
        yield steps - step - 1


def planner(canvas: Canvas, steps: int) -> Iterator[int]:
    """Peng et al. 2025 (P2, self-planning): each step keeps the surest tokens, drawn now or before, and masks the rest.

    One pass scores every position of the block: a masked one by the probability p of the token drawn there, a settled
    one by p ** ``planning``, where p is the probability of its token now. Each step keeps equally many more tokens than
    the step before. With ``planning`` 0 a settled token always stays; the higher the value, the more are replaced.
    Training never asks the model about tokens that it sees, so p is only an estimate there, as in the paper.
    """
    start = canvas.masked.sum(1)
    for step in range(steps):
        if canvas.block.any():
            masked, settled = canvas.masked, canvas.settled
            prediction = canvas.look(canvas.block)
            draft = canvas.draw(prediction, masked)
            now = prediction.probability(draft.ids)
            before = torch.nextafter(now**canvas.settings.planning, torch.full_like(now, torch.inf))
            score = torch.where(settled, before, now)  # in a tie the settled one stays
            stay = first(canvas.block, score, start - masks_left(start, step, steps))
            canvas.settle(masked & stay, draft)
            canvas.remask(settled & ~stay)
        yield steps - step - 1


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


def _unfinished(canvas: Canvas) -> Iterator[Tensor]:
    """The masked positions (B, T) of the block, until there are none."""
    while canvas.masked.any():
        yield canvas.masked


def _most(masked: Tensor) -> int:
    """The most steps that an adaptive sampler still needs: the masked positions of the row that has most of them."""
    return int(masked.sum(1).max())


_ALL = (ancestral, first_hitting, confidence, margin, entropy, entropy_bounded, threshold, remasking, planner)
SAMPLERS: dict[str, Callable[[Canvas, int], Iterator[int]]] = {sampler.__name__: sampler for sampler in _ALL}
"""By the names of ``generation.sampler``."""
ADAPTIVE = ("entropy_bounded", "threshold")
"""These ignore the number of steps: they take as many as they need, at most one per token."""
EQUAL_SHARES = ("first_hitting", "confidence", "margin", "entropy")
"""These settle equally many tokens per step; with more steps than tokens, steps that would settle none are skipped."""
