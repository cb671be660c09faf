"""A masked diffusion model in the usual style, to measure against: eager PyTorch, padded rows, logits everywhere.

Written for the benchmark and used nowhere else; the same shape and the same loss as ``tiny_diffusion``'s model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tiny_diffusion.config import ModelConfig


class PlainBlock(nn.Module):
    """Pre-norm attention (fused kernel, key padding mask) and SwiGLU, with torch's own dropout."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d, f = config.d_model, config.d_ff
        self.heads, self.rate = config.heads, config.dropout
        self.norm1, self.norm2 = nn.RMSNorm(d), nn.RMSNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.gate, self.up, self.down = (
            nn.Linear(d, f, bias=False),
            nn.Linear(d, f, bias=False),
            nn.Linear(f, d, bias=False),
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D); ``mask`` (B, 1, 1, T) is True at real tokens."""
        b, t, d = x.shape
        y = self.norm1(x)
        q, k, v = (layer(y).view(b, t, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        q, k = (
            z * cos + torch.cat((-z[..., z.shape[-1] // 2 :], z[..., : z.shape[-1] // 2]), -1) * sin for z in (q, k)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(b, t, d)
        x = x + F.dropout(self.o(y), self.rate, self.training)
        y = self.norm2(x)
        return x + F.dropout(self.down(F.silu(self.gate(y)) * self.up(y)), self.rate, self.training)


class PlainModel(nn.Module):
    """Embedding, blocks, norm and tied head over ``vocab_size`` ids, at every position."""

    def __init__(self, config: ModelConfig, vocab_size: int, length: int) -> None:
        super().__init__()
        self.rate = config.dropout
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.blocks = nn.ModuleList(PlainBlock(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.d_model)
        frequencies = config.rope_base ** (-torch.arange(0, config.head_dim, 2) / config.head_dim)
        angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=config.init_std)

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """Logits (B, T, V) of ``ids`` (B, T), ``real`` (B, T) where no padding stands."""
        x = F.dropout(self.embedding(ids), self.rate, self.training)
        for block in self.blocks:
            x = block(x, self.cos, self.sin, real[:, None, None, :])
        return self.norm(x) @ self.embedding.weight.T


def plain_loss(model: PlainModel, ids: Tensor, masked: Tensor, real: Tensor, mask_id: int, reserved: int = 0) -> Tensor:
    """Mean cross-entropy over the masked tokens, from logits at every position; ``reserved`` ids cannot be chosen."""
    logits = model(ids.masked_fill(masked, mask_id), real).float()
    logits[..., :reserved] = -torch.inf
    losses = F.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none")
    return losses[masked.flatten()].mean()
