"""Tokens that stand nearby already are made less likely.

Shapes: B rows, T tokens, N positions, M neighbours of each, V text vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.diffusion import MASK_ID


def around(ids: Tensor, where: Tensor, window: int) -> Tensor:
    """Up to ``window`` ids on either side of each position ``where`` (B, T), (N, M); MASK beyond the row's ends."""
    window = min(window, ids.shape[1] - 1)
    padded = F.pad(ids, (window, window), value=MASK_ID)
    found = padded.unfold(1, 2 * window + 1, 1)[where]  # (N, 2 * window + 1), the position itself in the middle
    found[:, window] = MASK_ID
    return found


def penalise(logits: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    """Logits (N, V) with those of each row's ``tokens`` (N, M) divided by ``penalty``; a negative token is none.

    Keskar et al. 2019 (CTRL), where both sides of a position are looked at, since both may be known. A negative
    logit is multiplied instead: divided, it would rise.
    """
    seen = logits.new_zeros((len(logits), logits.shape[1] + 1), dtype=torch.bool)
    seen.scatter_(1, tokens.where(tokens >= 0, logits.shape[1]), True)
    lowered = (logits / penalty).where(logits > 0, logits * penalty)
    return lowered.where(seen[:, :-1], logits)
