"""Samplers that take tokens back: what was settled may become MASK again and be drawn anew.

Only tokens of the block at work go back, never given ones, and after the last step all are settled. The interface
is that of ``order``. Shapes: B rows, T tokens.
"""

from collections.abc import Iterator

import torch

from .canvas import Canvas
from .order import first, masks_left


def remasking(canvas: Canvas, steps: int) -> Iterator[int]:
    """Wang et al. 2025 (ReMDM, capped schedule): ancestral, with settled tokens remasked on the way.

    From the time t to s a settled token goes back with probability sigma = min(``remasking``, (1 - alpha_s) / alpha_t),
    and a masked one settles so much more often that as many tokens are masked at each time as without. The last
    step's sigma is 0; with ``remasking`` 0 this is ``ancestral``, draw by draw.
    """
    schedule = canvas.schedule
    for step in range(steps):
        t, s = torch.tensor(1 - step / steps), torch.tensor(1 - (step + 1) / steps)
        alpha_t, alpha_s = schedule.alpha(t), schedule.alpha(s)
        sigma = min(canvas.settings.remasking, float((1 - alpha_s) / alpha_t)) if step else 0.0  # none is settled
        chance = (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t) if step + 1 < steps else torch.tensor(1.0)
        numbers = canvas.uniform()
        settle = canvas.masked & (numbers < chance).to(canvas.ids.device)
        back = canvas.settled & (numbers < sigma).to(canvas.ids.device)
        if settle.any():
            canvas.settle(settle, canvas.draw(canvas.look(settle), settle))
        canvas.remask(back)
        yield steps - step - 1


def planner(canvas: Canvas, steps: int) -> Iterator[int]:
    """Peng et al. 2025 (P2, self-planning): after each step the surest tokens stand, whether drawn now or before.

    One pass judges every position of the block: a masked one by the probability p of the token drawn there, a
    settled one by p ** ``planning``, p being its token's probability now. An equal share more than before stays,
    the rest is MASK. With ``planning`` 0 a settled token always stays; the higher, the more give way. Training
    never asks the model about tokens that it sees, so p is a guess there, as in the paper.
    """
    start = canvas.masked.sum(1)
    for step in range(steps):
        if canvas.block.any():
            masked, settled = canvas.masked, canvas.settled
            prediction = canvas.look(canvas.block)
            draft = canvas.draw(prediction, masked)
            now = prediction.probability(draft.ids)
            before = torch.nextafter(now**canvas.settings.planning, torch.full_like(now, torch.inf))
            score = torch.where(settled, before, now)  # of equals the settled one stays
            stay = first(canvas.block, score, start - masks_left(start, step, steps))
            canvas.settle(masked & stay, draft)
            canvas.remask(settled & ~stay)
        yield steps - step - 1
