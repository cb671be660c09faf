"""Multi-head attention with rotary positions.

Shapes: B batch, T tokens, H heads, K head width, D model width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ModelConfig
from .cache import KeyValueCache
from .layers import RMSNorm, attend, rotate


def rotary_tables(context: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary position embedding (Su et al. 2021), each (context, head_dim / 2)."""
    frequencies = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def take(x: Tensor, positions: Tensor) -> Tensor:
    """Rows (B, M, D) of ``x`` (B, T, D) at ``positions`` (B, M)."""
    return x.gather(1, positions[:, :, None].expand(-1, -1, x.shape[-1]))


class Attention(nn.Module):
    """Self-attention, bidirectional or causal, with optional query-key norm and value residual."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        d = config.d_model
        self.layer = layer
        self.heads = config.heads
        self.causal = config.causal
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.q_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        # Zhou et al. 2024 (value residual learning): lambda_own * v + lambda_first * v_of_block_0.
        self.mix = nn.Parameter(torch.tensor([1.0, 0.0])) if config.value_residual and layer else None

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        first_value: Tensor | None,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Attend over ``x`` (B, T, D); ``mask`` is boolean (B, 1, T, T), True where attention is allowed.

        ``positions`` (B, M) ask for the output there alone; ``cache`` puts its keys and values before these.
        Returns the output (B, T or M, D) and this block's values (B, H, T, K).
        """
        b, t, d = x.shape
        if positions is None:
            qkv = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # (3, B, H, T, K)
            q, k, v = qkv.unbind(0)
            q = rotate(self.q_norm(q), cos, sin)
        else:
            weight = self.qkv.weight
            q = F.linear(take(x, positions), weight[:d]).unflatten(2, (self.heads, -1)).transpose(1, 2)
            q = rotate(self.q_norm(q), cos[positions][:, None], sin[positions][:, None])
            k, v = F.linear(x, weight[d:]).view(b, t, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        k = rotate(self.k_norm(k), cos, sin)
        mixed = v
        if self.mix is not None and first_value is not None:
            mixed = (self.mix[0] * v + self.mix[1] * first_value).to(v.dtype)
        if cache is not None:
            k, mixed = cache.extend(self.layer, k, mixed)
        y = attend(q, k, mixed, mask, self.causal and q.shape[2] == k.shape[2])
        return self.out(y.transpose(1, 2).flatten(2)), v
