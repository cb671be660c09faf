"""The causal reading token by token, with as few operations per token as the blocks allow.

One token per row makes small products, so the time goes into starting operations: ``Transformer.hidden``,
which training shares, starts about twice as many.

Shapes: B rows, T tokens, D width, H heads, K head width, V text vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .transformer import Block, Transformer


@dataclass(frozen=True)
class _Weights:
    """The weights of one block in the form that a step reads; ``mix``: of its own and of the first block's values."""

    attention_norm: Tensor
    qkv: Tensor
    qk_norm: Tensor | None  # (2, 1, K)
    out: Tensor  # transposed
    feed_forward_norm: Tensor
    gate_up: Tensor
    down: Tensor  # transposed
    mix: tuple[float, float] | None

    @classmethod
    def of(cls, block: Block, dtype: torch.dtype) -> "_Weights":
        attention, forward = block.attention, block.feed_forward
        norms = None
        if isinstance(attention.q_norm, torch.nn.RMSNorm) and isinstance(attention.k_norm, torch.nn.RMSNorm):
            norms = torch.stack((attention.q_norm.weight, attention.k_norm.weight))[:, None].to(dtype)
        mix = None if attention.mix is None else (float(attention.mix[0]), float(attention.mix[1]))
        return cls(
            block.attention_norm.weight.to(dtype),
            attention.qkv.weight.to(dtype),
            norms,
            attention.out.weight.to(dtype).T,
            block.feed_forward_norm.weight.to(dtype),
            forward.gate_up.weight.to(dtype),
            forward.down.weight.to(dtype).T,
            mix,
        )


class Decoder:
    """Reads rows from left to right, each token once, and gives the logits of the next token.

    Equal to ``Transformer.hidden(..., causal=True)`` and ``Transformer.logits`` but for rounding. ``dtype``: of the
    products; logits are float32. ``controls`` (B, 1, D): what the learnt controls add to each token. The weights must
    not change while it is in use.
    """

    def __init__(self, model: Transformer, dtype: torch.dtype, controls: Tensor | None = None) -> None:
        with torch.inference_mode():
            self.blocks = [_Weights.of(block, dtype) for block in model.blocks if isinstance(block, Block)]
            self.embedding = model.embedding.weight
            self.head = model.output[model.reserved :].float()
            self.norm = model.norm.weight
            self.cos = torch.cat((model.cos, model.cos), -1).to(dtype)
            self.sin = torch.cat((-model.sin, model.sin), -1).to(dtype)
        self.heads, self.width = model.config.heads, model.config.head_dim
        self.dtype, self.controls = dtype, controls
        self.read = 0
        self.kept: list[Tensor] = []  # keys and values of each block, (2, B, H, context, K)

    @torch.inference_mode()
    def next_logits(self, ids: Tensor) -> Tensor:
        """Float32 logits (B, V) of the token after ``ids`` (B, T), which follow all that was read before.

        Raises ValueError if all tokens together exceed the context, or if several follow others.
        """
        b, t = ids.shape
        if self.read + t > len(self.cos):
            raise ValueError(f"{self.read + t} tokens are more than the model's context of {len(self.cos)}")
        if self.read and t > 1:
            raise ValueError("after the first tokens, one at a time is read")
        if not self.kept:
            shape = (2, b, self.heads, len(self.cos), self.width)
            self.kept = [self.cos.new_empty(shape) for _ in self.blocks]
        x = F.embedding(ids, self.embedding)
        if self.controls is not None:
            x = x + self.controls
        x = x.to(self.dtype)
        first: Tensor | None = None
        for weights, kept in zip(self.blocks, self.kept, strict=True):
            x, value = self._block(x, weights, kept, first)
            first = value if first is None else first
        self.read += t
        last = F.rms_norm(x[:, -1].float(), self.norm.shape, self.norm.float())
        return F.linear(last, self.head)

    def _block(self, x: Tensor, weights: _Weights, kept: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map ``x`` (B, T, D) to (B, T, D); also the values (B, T, H, K), before those of the ``first`` block come in.

        Keys and values go into ``kept`` behind those of the tokens before.
        """
        b, t, d = x.shape
        end = self.read + t
        qkv = F.linear(F.rms_norm(x, (d,), weights.attention_norm), weights.qkv).view(b, t, 3, self.heads, self.width)
        qk, value = qkv[:, :, :2], qkv[:, :, 2]
        if weights.qk_norm is not None:
            qk = F.rms_norm(qk, (self.width,)) * weights.qk_norm
        cos, sin = self.cos[self.read : end, None, None], self.sin[self.read : end, None, None]
        qk = qk * cos + qk.roll(self.width // 2, -1) * sin
        mixed = value
        if weights.mix is not None and first is not None:
            mixed = weights.mix[0] * value + weights.mix[1] * first
        kept[0, :, :, self.read : end] = qk[:, :, 1].transpose(1, 2)
        kept[1, :, :, self.read : end] = mixed.transpose(1, 2)
        query = qk[:, :, 0].transpose(1, 2)
        keys, values = kept[:, :, :, :end].unbind(0)
        seen = F.scaled_dot_product_attention(query, keys, values, is_causal=t > 1)
        x = torch.addmm(x.view(-1, d), seen.transpose(1, 2).reshape(-1, d), weights.out)
        gate, up = F.linear(F.rms_norm(x, (d,), weights.feed_forward_norm), weights.gate_up).chunk(2, -1)
        return torch.addmm(x, F.silu(gate).mul_(up), weights.down).view(b, t, d), value
