"""Four published samplers that the package leaves out, because its own write better by docs/sampling.md.

    python examples/more_samplers.py outputs/best_model.pt

Two choose their number of steps themselves (``entropy_bounded``, ``threshold``). Two mask settled tokens again
(``remasking``, ``planner``). Their settings are arguments, which ``functools.partial`` fixes. Give them at least as
many steps as tokens: so many the first two need at most.

Shapes: B rows, T tokens.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from tiny_diffusion import Writer
from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.model.transformer import MASK_ID
from tiny_diffusion.sampling.canvas import Canvas
from tiny_diffusion.sampling.denoise import SAMPLERS, first, masks_left


def entropy_bounded(canvas: Canvas, steps: int, bound: float = 2.0) -> Iterator[int]:
    """Ben-Hamu et al. 2025 (EB-Sampler): each step settles as many tokens as are nearly independent of each other.

    Positions settle from the lowest entropy up, as long as the sum of their entropies without the largest is at most
    ``bound`` nats; that sum bounds the error of drawing them together. At least one settles.
    """
    while canvas.masked.any():
        masked = canvas.masked
        prediction = canvas.look(masked)
        nats, order = prediction.entropy().masked_fill(~masked, torch.inf).sort(dim=1, stable=True)
        without_largest = torch.cat((torch.zeros_like(nats[:, :1]), nats.cumsum(1)[:, :-1]), dim=1)
        settle = masked & torch.zeros_like(masked).scatter(1, order, without_largest <= bound)
        canvas.settle(settle, canvas.draw(prediction, settle))
        yield int(canvas.masked.sum(1).max())


def threshold(canvas: Canvas, steps: int, least: float = 0.9) -> Iterator[int]:
    """Wu et al. 2025 (Fast-dLLM): each step settles every token drawn that has at least the probability ``least``.

    The likeliest one always settles; above 1 no other does.
    """
    while canvas.masked.any():
        masked = canvas.masked
        prediction = canvas.look(masked)
        draft = canvas.draw(prediction, masked)
        chances = prediction.probability(draft.ids)
        canvas.settle(masked & (chances >= least) | first(masked, chances, masked.any(1)), draft)
        yield int(canvas.masked.sum(1).max())


def remasking(canvas: Canvas, steps: int, cap: float = 0.1) -> Iterator[int]:
    """Wang et al. 2025 (ReMDM, capped schedule): ancestral sampling that may mask settled tokens again.

    From time t to s, a settled token is masked again with probability sigma = min(``cap``, (1 - alpha_s) / alpha_t).
    Masked tokens settle more often to make up for it, so that the expected number of masks at each time stays the
    same. In the last step sigma is 0. With ``cap`` 0 this is ``ancestral``, draw by draw.
    """
    for step in range(steps):
        t, s = torch.tensor(1 - step / steps), torch.tensor(1 - (step + 1) / steps)
        alpha_t, alpha_s = canvas.schedule.alpha(t), canvas.schedule.alpha(s)
        sigma = min(cap, float((1 - alpha_s) / alpha_t)) if step else 0.0  # nothing is settled before the first step
        chance = (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t) if step + 1 < steps else torch.tensor(1.0)
        numbers = canvas.uniform()
        settle = canvas.masked & (numbers < chance).to(canvas.ids.device)
        back = settled(canvas) & (numbers < sigma).to(canvas.ids.device)
        if settle.any():
            canvas.settle(settle, canvas.draw(canvas.look(settle), settle))
        mask_again(canvas, back)
        yield steps - step - 1


def planner(canvas: Canvas, steps: int, doubt: float = 1.0) -> Iterator[int]:
    """Peng et al. 2025 (P2, self-planning): each step keeps the surest tokens, drawn now or before, and masks the rest.

    One pass scores every position of the block: a masked one by the probability p of the token drawn there, a settled
    one by p ** ``doubt``, where p is the probability of its token now. Each step keeps equally many more tokens than
    the step before. With ``doubt`` 0 a settled token always stays; the higher the value, the more are replaced.
    Training never asks the model about tokens that it sees, so p is only an estimate there, as in the paper.
    """
    start = canvas.masked.sum(1)
    for step in range(steps):
        if canvas.block.any():
            masked, kept = canvas.masked, settled(canvas)
            prediction = canvas.look(canvas.block)
            draft = canvas.draw(prediction, masked)
            now = prediction.probability(draft.ids)
            before = torch.nextafter(now**doubt, torch.full_like(now, torch.inf))
            score = torch.where(kept, before, now)  # in a tie the settled one stays
            stay = first(canvas.block, score, start - masks_left(start, step, steps))
            canvas.settle(masked & stay, draft)
            mask_again(canvas, kept & ~stay)
        yield steps - step - 1


def settled(canvas: Canvas) -> Tensor:
    """Where the block is settled, (B, T); given tokens are never in the block."""
    return canvas.block & ~canvas.masked


def mask_again(canvas: Canvas, where: Tensor) -> None:
    """Mask the positions ``where`` (B, T), all in the block, again."""
    canvas.ids = canvas.ids.masked_fill(where, MASK_ID)
    canvas.confidence = canvas.confidence.masked_fill(where, 0.0)


MORE: dict[str, Callable[[Canvas, int], Iterator[int]]] = {
    "entropy_bounded": entropy_bounded,
    "threshold": partial(threshold, least=0.7),
    "remasking": remasking,
    "planner": planner,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write with four more samplers.")
    parser.add_argument("checkpoint", nargs="?", default="outputs/best_model.pt")
    parser.add_argument("--length", type=int, default=60, help="tokens to write")
    options = parser.parse_args()
    writer = Writer.load(options.checkpoint)
    SAMPLERS.update(MORE)
    settings = GenerationConfig(length=options.length, steps=2 * options.length, reading="masked", seed=1)
    for name in MORE:
        [text] = writer.write("", settings.model_copy(update={"sampler": name}))
        print(f"{name} ({text.steps} steps):\n{text.text.strip()}\n")


if __name__ == "__main__":
    main()
