"""Small layers that the platform's own do slowly or imprecisely in bfloat16 on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 256  # one random byte a value
EXPLICIT_TOKENS = 256  # beyond it the matrix of scores costs more memory than it saves time


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm (Zhang & Sennrich 2019) whose weight follows the input's type."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D), in the type of ``x``."""
        weight = None if self.weight is None else self.weight.to(x.dtype)
        return F.rms_norm(x, self.normalized_shape, weight, self.eps)


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout; on a CPU with one random byte a value, four times faster than torch's.

    The rate is then rounded to a multiple of 1/256, and what is kept is scaled by the rounded rate: the
    expectation is exact. A rate above zero never rounds to zero.
    """
    if not training or rate == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate, training)
    dropped = max(1, round(rate * LEVELS))
    count = x.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), 2**63 - 1)
    keep = words.view(torch.uint8)[:count].view(x.shape) >= dropped
    return x * (keep * (LEVELS / (LEVELS - dropped))).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Scaled dot-product attention of (B, H, T, K) tensors; ``mask`` is True where attention is allowed.

    bfloat16 on a CPU takes two plain products up to EXPLICIT_TOKENS, which run on its matrix units there (the
    fused kernel's backward pass does not); all else takes torch's fused kernel.
    """
    t, width = q.shape[-2:]
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or t > EXPLICIT_TOKENS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal and mask is None)
    scores = (q * width**-0.5) @ k.transpose(-1, -2)  # (B, H, T, T)
    if causal and mask is None:
        mask = torch.ones(t, t, dtype=torch.bool).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v
