"""Multi-head attention with rotary positions.

Shapes: B batch, T tokens, H heads, K head width, D model width.
"""

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from .layers import RMSNorm, attend, rotate


def rotary_tables(context: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary position embedding (Su et al. 2021), each (context, head_dim / 2)."""
    frequencies = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


class Attention(nn.Module):
    """Self-attention, bidirectional or causal, with optional query-key norm and value residual."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        d = config.d_model
        self.heads = config.n_heads
        self.causal = config.causal
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.q_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        # Zhou et al. 2024 (value residual learning): lambda_own * v + lambda_first * v_of_block_0.
        self.mix = nn.Parameter(torch.tensor([1.0, 0.0])) if config.value_residual and layer else None

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, first_value: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Attend over ``x`` (B, T, D); ``mask`` is boolean (B, 1, T, T), True where attention is allowed.

        Returns the output (B, T, D) and this block's values (B, H, T, K).
        """
        b, t, d = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # (3, B, H, T, K)
        q, k, v = qkv.unbind(0)
        q = rotate(self.q_norm(q), cos, sin)
        k = rotate(self.k_norm(k), cos, sin)
        mixed = v
        if self.mix is not None and first_value is not None:
            mixed = (self.mix[0] * v + self.mix[1] * first_value).to(v.dtype)
        y = attend(q, k, mixed, mask, self.causal)
        return self.out(y.transpose(1, 2).reshape(b, t, d)), v
