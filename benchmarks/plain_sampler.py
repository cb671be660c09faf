"""A sampler in the usual style, to measure against: at each step a full float32 pass, all logits, noise everywhere.

Written for the benchmark and used nowhere else. Its law is first-hitting's: the positions to settle are drawn at
random, an equal share a step (one token a step when there are as many steps as tokens).
"""

from collections.abc import Iterator

import torch
from plain import PlainModel
from torch import Generator, Tensor


def gumbel_draw(logits: Tensor, generator: Generator) -> Tensor:
    """One id a position (B, T) of logits (B, T, V), by float64 Gumbel noise."""
    noise = torch.rand(logits.shape, generator=generator, dtype=torch.float64)
    return (logits.double() - torch.log(-torch.log(noise))).argmax(-1)


@torch.no_grad()
def plain_sample(
    model: PlainModel, ids: Tensor, steps: int, mask_id: int, reserved: int, seed: int
) -> Iterator[Tensor]:
    """Fill every MASK of ``ids`` (B, T) in ``steps`` steps, the ids after each; the rows hold equally many."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.ones_like(ids, dtype=torch.bool)
    count = int((ids[0] == mask_id).sum())
    for step in range(steps):
        masked = ids == mask_id
        logits = model(ids, real)
        logits[:, :, :reserved] = -torch.inf
        drawn = torch.where(masked, gumbel_draw(logits, generator), ids)
        order = torch.rand(ids.shape, generator=generator).masked_fill(~masked, -1.0)
        share = (step + 1) * count // steps - step * count // steps
        settle = torch.zeros_like(masked).scatter_(1, order.topk(share, dim=1).indices, True)
        ids = torch.where(settle, drawn, ids)
        yield ids
