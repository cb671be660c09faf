"""Drawing tokens from logits: random numbers, restrictions, the repetition penalty, and an exact draw of rare tokens.

Shapes: B rows, T tokens, N positions, M neighbours of each, V text vocabulary.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..model.transformer import MASK_ID
from ..runtime import generator_for

Numbers = Generator | Sequence[Generator]
"""Sources of random numbers: one generator for all rows, or one per row, so that no row depends on the others."""
SAMPLE = 0x5A  # purpose of the seeds of all samples but the first, see ``runtime.seed_for``
HEAD = 256  # ``nucleus`` first looks among this many likeliest tokens: sorting all takes up to ten times as long


def row_generators(seed: int, rows: int) -> list[Generator]:
    """One generator per sample: what a sample draws does not depend on how many samples are requested."""
    first = torch.Generator().manual_seed(seed)
    return [first, *(generator_for(seed, SAMPLE, row) for row in range(1, rows))]


def uniform(numbers: Numbers, counts: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform random numbers in [0, 1), on the CPU: ``counts[i]`` for row i, one row after another."""
    if isinstance(numbers, Generator):
        return torch.rand(sum(counts), generator=numbers, dtype=dtype)
    each = zip(counts, numbers, strict=True)
    return torch.cat([torch.rand(count, generator=own, dtype=dtype) for count, own in each])


def choose(
    logits: Tensor, settings: GenerationConfig, numbers: Numbers, counts: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """One token (N,) per row of ``logits`` (N, V) and its probability (N,), both under temperature and restrictions.

    ``counts``: how many of the N rows belong to each sample, in order; needed if ``numbers`` has several generators.
    """
    law = restrict(logits / settings.temperature, top_k=settings.top_k, top_p=settings.top_p, min_p=settings.min_p)
    return draw(law, numbers, counts)


def forbid(logits: Tensor, allowed: int) -> Tensor:
    """Logits (N, V) with all but the first ``allowed`` tokens at -inf."""
    if allowed < logits.shape[1]:
        logits = logits.clone()
        logits[:, allowed:] = -torch.inf
    return logits


def restrict(logits: Tensor, *, top_k: int, top_p: float, min_p: float = 0.0) -> Tensor:
    """Logits (N, V) with every token at -inf that fails a restriction.

    ``top_k``: only the k likeliest tokens; 0: all. ``top_p``: only the nucleus, the smallest set of likeliest tokens
    with at least this total probability (Holtzman et al. 2020). ``min_p``: only tokens with at least this share of the
    likeliest token's probability (Nguyen et al. 2024); 0: all.
    """
    if 0 < top_k < logits.shape[1]:
        least = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1:
        logits = logits.masked_fill(~nucleus(logits.softmax(-1), top_p), -torch.inf)
    if min_p > 0:
        least = logits.max(dim=-1, keepdim=True).values + math.log(min_p)
        logits = logits.masked_fill(logits < least, -torch.inf)
    return logits


def nucleus(probabilities: Tensor, top_p: float, head: int = HEAD) -> Tensor:
    """Mask (N, V) of the smallest set of likeliest tokens that holds ``top_p`` of ``probabilities`` (N, V).

    The ``head`` likeliest tokens are tried first; only rows in which they hold too little are sorted whole.
    """
    head = min(head, probabilities.shape[1])
    ordered, index = probabilities.topk(head, dim=-1)
    total = ordered.cumsum(-1)
    inside = torch.zeros_like(probabilities, dtype=torch.bool).scatter_(-1, index, total - ordered < top_p)
    wide = total[:, -1] < top_p
    if head < probabilities.shape[1] and wide.any():
        inside[wide] = nucleus(probabilities[wide], top_p, probabilities.shape[1])
    return inside


def draw(logits: Tensor, numbers: Numbers, counts: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
    """One token (N,) per row by inverse CDF, and its probability (N,); for ``counts`` see ``choose``.

    The cumulative sum runs in float64 (float32 on MPS, which has no float64) over float32 probabilities, which are as
    precise for rare tokens as for others: float32 Gumbel noise would silently lower the temperature (Zheng et al.
    2024). The uniform number lies in (0, 1], so that a token of probability zero is never drawn, at either end.
    """
    precise = torch.float32 if logits.device.type == "mps" else torch.float64
    probabilities = logits.softmax(-1)
    cumulative = probabilities.cumsum(-1, dtype=precise)
    u = 1 - uniform(numbers, counts or [len(logits)], torch.float64)[:, None]
    tokens = torch.searchsorted(cumulative, u.to(precise).to(logits.device) * cumulative[:, -1:])
    return tokens.squeeze(1), probabilities.gather(1, tokens).squeeze(1)


def neighbours(ids: Tensor, where: Tensor, window: int) -> Tensor:
    """Ids (N, M) up to ``window`` tokens before and after each position ``where`` (B, T); MASK outside the row."""
    window = min(window, ids.shape[1] - 1)
    padded = F.pad(ids, (window, window), value=MASK_ID)
    found = padded.unfold(1, 2 * window + 1, 1)[where]  # (N, 2 * window + 1), the position itself in the middle
    found[:, window] = MASK_ID
    return found


def penalise(logits: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    """Logits (N, V) with those of each row's ``tokens`` (N, M) divided by ``penalty``; negative tokens are ignored.

    Keskar et al. 2019 (CTRL), here applied to tokens on both sides of a position. A negative logit is multiplied
    instead, because dividing would raise it.
    """
    seen = logits.new_zeros((len(logits), logits.shape[1] + 1), dtype=torch.bool)
    seen.scatter_(1, tokens.where(tokens >= 0, logits.shape[1]), True)
    lowered = (logits / penalty).where(logits > 0, logits * penalty)
    return lowered.where(seen[:, :-1], logits)
