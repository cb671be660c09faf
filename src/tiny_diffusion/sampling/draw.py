"""Drawing tokens from logits without losing the rare ones.

Shapes: N rows, V text vocabulary.
"""

import torch
from torch import Generator, Tensor

HEAD = 256  # the nucleus is looked for among so many likeliest tokens first: ordering all takes up to ten times as long


def restrict(logits: Tensor, *, allowed: int, top_k: int, top_p: float) -> Tensor:
    """Logits (N, V) with all but the first ``allowed`` tokens, the ``top_k`` likeliest and the nucleus at -inf.

    ``top_k`` 0 keeps all; the nucleus (Holtzman et al. 2020) is the smallest set that holds ``top_p``.
    """
    if allowed < logits.shape[1]:
        logits = logits.clone()
        logits[:, allowed:] = -torch.inf
    if 0 < top_k < allowed:
        least = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1:
        logits = logits.masked_fill(~nucleus(logits.softmax(-1), top_p), -torch.inf)
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


def draw(logits: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """One token a row by inverse CDF, and its probability: (N,), (N,).

    The sum runs in float64 (float32 on MPS, which has no float64) over float32 probabilities, which are as
    precise for rare tokens as for others: float32 Gumbel noise would lower the temperature unseen (Zheng et al.
    2024). The uniform number lies in (0, 1], so that a token of probability zero is never taken, at either end.
    """
    precise = torch.float32 if logits.device.type == "mps" else torch.float64
    probabilities = logits.softmax(-1)
    cumulative = probabilities.cumsum(-1, dtype=precise)
    u = 1 - torch.rand(len(logits), 1, generator=generator, dtype=torch.float64)
    tokens = torch.searchsorted(cumulative, u.to(precise).to(logits.device) * cumulative[:, -1:])
    return tokens.squeeze(1), probabilities.gather(1, tokens).squeeze(1)
