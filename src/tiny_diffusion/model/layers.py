"""What the blocks are built of: norm, rotation, feed-forward, dropout, attention, and its cache of keys and values.

Where torch's own are slow or imprecise in bfloat16 on a CPU, the gradient is written by hand. Such a layer also has a
plain form, which ``torch.compile`` sees and fuses itself.

Shapes: B rows, T tokens, M chosen positions of each row, P tokens kept and new, D model width, H heads, K head width.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..config import ModelConfig

LEVELS = 256  # dropout draws one random byte per value
# A CPU in bfloat16 builds the matrix of attention scores for up to so many tokens; beyond, it costs too much memory.
EXPLICIT_TOKENS = 512


def working_type(x: Tensor) -> torch.dtype:
    """The type of products with ``x``: autocast's if that is on, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class _RMSNorm(torch.autograd.Function):
    """y = w x r with r = (mean(x^2) + eps)^-1/2 over the last dimension, and its gradients in few passes over memory.

    With g the gradient of y, t = g x and c = mean(w t) r^2: dx = r (w g - c x), dw = sum(r t).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        rows = x.detach().flatten(0, -2)
        wide = rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        r = torch.rsqrt(norm * norm / x.shape[-1] + eps)
        ctx.save_for_backward(rows, weight, r)
        ctx.shape = x.shape
        return (wide * r).mul_(weight).to(dtype).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        rows, weight, r = ctx.saved_tensors
        wide, g = rows.to(r.dtype), gradient.reshape(rows.shape).to(r.dtype)
        t = g * wide
        c = (t @ weight)[:, None] * (r * r / rows.shape[-1])
        dw = r.squeeze(1) @ t
        dx = torch.mul(g, weight, out=t).addcmul_(wide, c, value=-1).mul_(r)
        return dx.to(rows.dtype).view(ctx.shape), dw, None, None


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm (Zhang & Sennrich 2019); under autocast its output has autocast's type."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., D) over the last dimension; the result has autocast's type if that is on, else ``x``'s."""
        dtype = working_type(x)
        eps = torch.finfo(torch.float32).eps if self.eps is None else self.eps
        if torch.compiler.is_compiling():
            return (x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + eps) * self.weight).to(dtype)
        return _RMSNorm.apply(x, self.weight, eps, dtype)


def rotary_tables(context: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary position embedding (Su et al. 2021), each (context, head_dim / 2)."""
    frequencies = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


class _Rotation(torch.autograd.Function):
    """Rotate each pair (a, b) of the two halves by an angle; the gradient rotates back, so ``x`` is not kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(gradient, cos, sin, -1), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    found = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    (a, b), (into_a, into_b) = x.chunk(2, dim=-1), found.chunk(2, dim=-1)
    torch.mul(a, cos, out=into_a).addcmul_(b, sin, value=-direction)
    torch.mul(b, cos, out=into_b).addcmul_(a, sin, value=direction)
    return found


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the two halves of each head of ``x`` (B, H, T, K) by position; the tables (T, K / 2) have ``x``'s type."""
    if torch.compiler.is_compiling():
        # Of the shorter form, which joins two rotated halves, torch 2.13 compiles a wrong gradient in bfloat16: NaN for
        # keys whose number is a multiple of 32, on Intel's Sapphire Rapids.
        a, b = x.chunk(2, dim=-1)
        return x * torch.cat((cos, cos), dim=-1) + torch.cat((-b, a), dim=-1) * torch.cat((sin, sin), dim=-1)
    return _Rotation.apply(x, cos, sin)


class _SwiGLU(torch.autograd.Function):
    """silu(gate) * up of a (..., 2 F) tensor; keeps only its input and writes both gradients into one tensor."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        found = torch.empty_like(gate_up)
        into_gate, into_up = found.chunk(2, dim=-1)
        torch.mul(F.silu(gate), gradient, out=into_up)
        torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=into_gate)
        return found


def swiglu(gate_up: Tensor) -> Tensor:
    """Compute silu(gate) * up (Shazeer 2020), (..., F), from (..., 2 F) with the gate first."""
    if torch.compiler.is_compiling():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up
    return _SwiGLU.apply(gate_up)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): silu(gate(x)) * up(x), then down."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.d_model, 2 * config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        return self.down(swiglu(self.gate_up(x)))


def draw_dropped(shape: tuple[int, ...], rate: float, device: torch.device) -> Tensor:
    """Draw a boolean tensor of ``shape`` that is true where dropout at ``rate`` sets a value to zero.

    The rate is rounded to a multiple of 1/256, but never to zero. One draw serves all layers of a step. On a CPU each
    random number gives eight bytes, which is four times faster than torch's dropout.
    """
    if device.type != "cpu":
        return torch.randint(0, LEVELS, shape, dtype=torch.uint8, device=device) < _dropped_levels(rate)
    count = math.prod(shape)
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), 2**63 - 1)
    return words.view(torch.uint8)[:count].view(shape) < _dropped_levels(rate)


def spread_dropout(x: Tensor, layers: int, rate: float) -> tuple[Tensor, list[Tensor]]:
    """``x`` under dropout, and for each of ``layers`` outputs of its shape where dropout sets it to zero."""
    first, *rest = draw_dropped((layers + 1, *x.shape), rate, x.device).unbind(0)
    return dropout(x, first, rate), rest


def _dropped_levels(rate: float) -> int:
    return max(1, round(rate * LEVELS))


def dropout(x: Tensor, dropped: Tensor, rate: float) -> Tensor:
    """Set ``x`` to zero where ``dropped`` and scale the rest by the rounded rate, so that the mean stays the same."""
    return x.masked_fill(dropped, 0) * (LEVELS / (LEVELS - _dropped_levels(rate)))


def add_with_dropout(x: Tensor, y: Tensor, dropped: Tensor | None, rate: float) -> Tensor:
    """Add ``y`` under dropout to ``x``; the sum does the scaling too, which saves a pass over memory."""
    if dropped is None:
        return x + y
    return torch.add(x, y.masked_fill(dropped, 0), alpha=LEVELS / (LEVELS - _dropped_levels(rate)))


def take(x: Tensor, positions: Tensor) -> Tensor:
    """Take the rows (B, M, D) of ``x`` (B, T, D) at ``positions`` (B, M)."""
    return x.gather(1, positions[:, :, None].expand(-1, -1, x.shape[-1]))


class KeyValueCache:
    """Rotated keys and values of each block for the first ``length`` tokens of every row.

    A forward pass writes those of its own tokens behind them. If the caller then raises ``length`` past them they stay;
    otherwise the next pass overwrites them.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.blocks: list[tuple[Tensor, Tensor]] = []

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write ``k`` and ``v`` (B, H, T, K) of one block behind those kept; returns all of them, (B, H, P, K) each."""
        if layer == len(self.blocks):
            shape = (*k.shape[:2], self.capacity, k.shape[3])
            self.blocks.append((k.new_empty(shape), v.new_empty(shape)))
        end = self.length + k.shape[2]
        keys, values = self.blocks[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Scaled dot-product attention of (B, H, T, K) tensors; ``mask`` is True where attention is allowed.

    A CPU in bfloat16 computes up to EXPLICIT_TOKENS with two plain products, because these run on its matrix units and
    the backward pass of torch's fused kernel does not. Everything else uses the fused kernel.
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
