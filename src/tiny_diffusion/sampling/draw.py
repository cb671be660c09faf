"""Drawing tokens from logits without losing the rare ones.

Shapes: N rows, V text vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..runtime import generator_for

# Random numbers of several rows: of one generator for all, or of one for each row, so that no row depends on others.
Numbers = Generator | Sequence[Generator]
SAMPLE = 0x5A  # the purpose of the seeds of all samples but the first, see ``row_generators``
HEAD = 256  # the nucleus is looked for among so many likeliest tokens first: ordering all takes up to ten times as long


def row_generators(seed: int, rows: int) -> list[Generator]:
    """A generator for each of several samples: what a sample draws does not depend on how many are asked for."""
    first = torch.Generator().manual_seed(seed)
    return [first, *(generator_for(seed, SAMPLE, row) for row in range(1, rows))]


def uniform(numbers: Numbers, counts: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform random numbers in [0, 1), on the CPU: for each row as many as ``counts`` says, one row after another."""
    if isinstance(numbers, Generator):
        return torch.rand(sum(counts), generator=numbers, dtype=dtype)
    each = zip(counts, numbers, strict=True)
    return torch.cat([torch.rand(count, generator=own, dtype=dtype) for count, own in each])


def choose(
    logits: Tensor, settings: GenerationConfig, numbers: Numbers, counts: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """One token a row of ``logits`` (N, V), tempered and restricted, and its probability then: (N,), (N,).

    ``counts``: how many of the N are each sample's, one sample after another; needed where ``numbers`` are several.
    """
    law = restrict(
        logits / settings.temperature,
        allowed=logits.shape[1],
        top_k=settings.top_k,
        top_p=settings.top_p,
        min_p=settings.min_p,
    )
    return draw(law, numbers, counts)


def forbid(logits: Tensor, allowed: int) -> Tensor:
    """Logits (N, V) with all but the first ``allowed`` tokens at -inf."""
    if allowed < logits.shape[1]:
        logits = logits.clone()
        logits[:, allowed:] = -torch.inf
    return logits


def restrict(logits: Tensor, *, allowed: int, top_k: int, top_p: float, min_p: float = 0.0) -> Tensor:
    """Logits (N, V) with all but the first ``allowed`` tokens and those that pass every restriction at -inf.

    ``top_k``: the likeliest so many; 0: all. ``top_p``: the nucleus (Holtzman et al. 2020), the smallest set that
    holds so much. ``min_p`` (Nguyen et al. 2024): at least so much of the likeliest token's probability; 0: all.
    """
    logits = forbid(logits, allowed)
    if 0 < top_k < allowed:
        least = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1:
        logits = logits.masked_fill(~nucleus(logits.softmax(-1), top_p), -torch.inf)
    if min_p > 0:
        least = logits.max(dim=-1, keepdim=True).values + math.log(min_p)
        logits = logits.masked_fill(logits < least, -torch.inf)
    return logits


def nucleus(probabilities: Tensor, top_p: float, head: int = HEAD) -> Tensor:
    """Where the likeliest tokens of ``probabilities`` (N, V) stand that hold ``top_p``, looked for among ``head``."""
    head = min(head, probabilities.shape[1])
    ordered, index = probabilities.topk(head, dim=-1)
    total = ordered.cumsum(-1)
    inside = torch.zeros_like(probabilities, dtype=torch.bool).scatter_(-1, index, total - ordered < top_p)
    wide = total[:, -1] < top_p
    if head < probabilities.shape[1] and wide.any():
        inside[wide] = nucleus(probabilities[wide], top_p, probabilities.shape[1])
    return inside


def draw(logits: Tensor, numbers: Numbers, counts: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
    """One token a row by inverse CDF, and its probability: (N,), (N,); for ``counts`` see ``choose``.

    The sum runs in float64 (float32 on MPS, which has no float64) over float32 probabilities, which are as
    precise for rare tokens as for others: float32 Gumbel noise would lower the temperature unseen (Zheng et al.
    2024). The uniform number lies in (0, 1], so that a token of probability zero is never taken, at either end.
    """
    precise = torch.float32 if logits.device.type == "mps" else torch.float64
    probabilities = logits.softmax(-1)
    cumulative = probabilities.cumsum(-1, dtype=precise)
    u = 1 - uniform(numbers, counts or [len(logits)], torch.float64)[:, None]
    tokens = torch.searchsorted(cumulative, u.to(precise).to(logits.device) * cumulative[:, -1:])
    return tokens.squeeze(1), probabilities.gather(1, tokens).squeeze(1)
