"""Five more samplers from the literature: none beats the ones of the package (docs/sampling.md), each is a lesson.

    python examples/more_samplers.py outputs/best_model.pt

Each is a function over a ``Canvas``, as in own_sampler.py; what it can be set to is an argument of it.

Shapes: B rows, T tokens.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from tiny_diffusion import Writer
from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.sampling.canvas import Canvas
from tiny_diffusion.sampling.samplers import SAMPLERS, first, masks_left


def margin(canvas: Canvas, steps: int) -> Iterator[int]:
    """Kim et al. 2025: positions with the largest lead of the likeliest token settle first, equally many per step."""
    start = canvas.masked.sum(1)
    for step in range(steps):
        masked = canvas.masked
        counts = masked.sum(1) - masks_left(start, step, steps)
        where = masked & (counts > 0)[:, None]
        if where.any():
            prediction = canvas.look(where)
            best, second = prediction.logits.softmax(-1).topk(2, dim=-1).values.unbind(-1)
            lead = best.new_zeros(where.shape).masked_scatter(where, best - second)
            settle = first(where, lead, counts)
            canvas.settle(settle, canvas.draw(prediction, settle))
        yield steps - step - 1


def entropy_bounded(canvas: Canvas, steps: int, *, bound: float = 2.0) -> Iterator[int]:
    """Ben-Hamu et al. 2025 (EB-Sampler): each step settles as many tokens as are nearly independent of each other.

    Positions settle from the lowest entropy up, as long as the sum of their entropies without the largest is at most
    ``bound``, in nats; that sum bounds the error of drawing them together. At least one settles. ``steps`` is ignored.
    """
    while canvas.masked.any():
        masked = canvas.masked
        prediction = canvas.look(masked)
        nats, order = prediction.entropy().masked_fill(~masked, torch.inf).sort(dim=1, stable=True)
        without_largest = torch.cat((torch.zeros_like(nats[:, :1]), nats.cumsum(1)[:, :-1]), dim=1)
        settle = masked & torch.zeros_like(masked).scatter(1, order, without_largest <= bound)
        canvas.settle(settle, canvas.draw(prediction, settle))
        yield _most(canvas.masked)


def threshold(canvas: Canvas, steps: int, *, least: float = 0.9) -> Iterator[int]:
    """Wu et al. 2025 (Fast-dLLM): each step settles every token drawn with at least the probability ``least``.

    The likeliest one always settles. ``steps`` is ignored.
    """
    while canvas.masked.any():
        masked = canvas.masked
        prediction = canvas.look(masked)
        draft = canvas.draw(prediction, masked)
        chances = prediction.probability(draft.ids)
        canvas.settle((masked & (chances >= least)) | first(masked, chances, masked.any(1)), draft)
        yield _most(canvas.masked)


def remasking(canvas: Canvas, steps: int, *, cap: float = 0.1) -> Iterator[int]:
    """Wang et al. 2025 (ReMDM, capped schedule): ancestral sampling that may mask settled tokens again.

    From time t to s, a settled token is masked again with probability sigma = min(``cap``, (1 - alpha_s) / alpha_t).
    Masked tokens settle more often to make up for it, so that the expected number of masks at each time stays the same.
    In the last step sigma is 0. With ``cap`` 0 this is ``ancestral``, draw by draw.
    """
    schedule = canvas.schedule
    for step in range(steps):
        t, s = torch.tensor(1 - step / steps), torch.tensor(1 - (step + 1) / steps)
        alpha_t, alpha_s = schedule.alpha(t), schedule.alpha(s)
        sigma = min(cap, float((1 - alpha_s) / alpha_t)) if step else 0.0  # nothing is settled yet
        chance = (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t) if step + 1 < steps else torch.tensor(1.0)
        numbers = canvas.uniform()
        settle = canvas.masked & (numbers < chance).to(canvas.ids.device)
        back = canvas.settled & (numbers < sigma).to(canvas.ids.device)
        if settle.any():
            canvas.settle(settle, canvas.draw(canvas.look(settle), settle))
        canvas.remask(back)
        yield steps - step - 1


def planner(canvas: Canvas, steps: int, *, doubt: float = 1.0) -> Iterator[int]:
    """Peng et al. 2025 (P2, self-planning): each step keeps the surest tokens, drawn now or before, and masks the rest.

    One pass scores every position of the block: a masked one by the probability p of the token drawn there, a settled
    one by p ** ``doubt``, where p is the probability of its token now. Each step keeps equally many more tokens than
    the step before. With ``doubt`` 0 a settled token always stays; the higher the value, the more are replaced.
    Training never asks the model about tokens that it sees, so p is only an estimate there, as in the paper.
    """
    start = canvas.masked.sum(1)
    for step in range(steps):
        if canvas.block.any():
            masked, settled = canvas.masked, canvas.settled
            prediction = canvas.look(canvas.block)
            draft = canvas.draw(prediction, masked)
            now = prediction.probability(draft.ids)
            before = torch.nextafter(now**doubt, torch.full_like(now, torch.inf))
            score = torch.where(settled, before, now)  # in a tie the settled one stays
            stay = first(canvas.block, score, start - masks_left(start, step, steps))
            canvas.settle(masked & stay, draft)
            canvas.remask(settled & ~stay)
        yield steps - step - 1


def _most(masked: Tensor) -> int:
    """The most steps still to come: the masked positions of the row that has most of them."""
    return int(masked.sum(1).max())


MORE: dict[str, Callable[[Canvas, int], Iterator[int]]] = {
    "margin": margin,
    "entropy_bounded": entropy_bounded,
    "threshold": threshold,
    "remasking": remasking,
    "planner": planner,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write with each of these samplers.")
    parser.add_argument("checkpoint", nargs="?", default="outputs/best_model.pt")
    parser.add_argument("--length", type=int, default=60, help="tokens to write")
    options = parser.parse_args()
    writer = Writer.load(options.checkpoint)

    # From here on the names work wherever the library samples. With other values than the usual ones: partial.
    SAMPLERS.update(MORE, careful=partial(entropy_bounded, bound=0.5))
    settings = GenerationConfig(length=options.length, steps=options.length, seed=1, reading="masked")
    for name in (*MORE, "careful"):
        [text] = writer.write("", settings.model_copy(update={"sampler": name}))
        print(f"{name} ({text.steps} steps):\n{text.text.strip()}\n")


if __name__ == "__main__":
    main()
