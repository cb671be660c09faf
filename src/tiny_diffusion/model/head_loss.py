"""Cross-entropy from hidden states, in pieces that stay in the cache: the logits of all rows never exist at once.

Shapes: N rows, D model width, V text vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..config.memory import HEAD_ROWS

OTHER_ROWS = 1024  # on a device that the memory estimate does not know


def rows_at_once(device: torch.device) -> int:
    """How many rows have their logits at the same time on this kind of device."""
    return HEAD_ROWS.get(device.type, OTHER_ROWS)


class _HeadLoss(torch.autograd.Function):
    """Sum of w_i (-log softmax(h_i E^T)[target_i]), whose gradients are made on the way forward, piece by piece.

    The gradient of a row's logits is w (p - q), with q the (smoothed) target: each piece gives it while its p lies in
    the cache, and adds to the table's gradient; backward only scales both.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        table: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        smoothing: float,
        reserved: int,
    ) -> Tensor:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        sums = torch.float64 if dtype == torch.float64 else torch.float32
        with torch.autocast(kind, enabled=False):  # the types below are chosen one by one
            cast_table = table[reserved:].to(dtype)
            gradient = torch.empty_like(hidden)
            table_gradient = torch.zeros(table.shape, dtype=sums, device=table.device)
            text_gradient = table_gradient[reserved:]
            total = torch.zeros((), dtype=sums, device=hidden.device)
            size = rows_at_once(hidden.device)
            for start in range(0, len(hidden), size):
                piece = slice(start, start + size)
                rows, wanted = hidden[piece].to(dtype), targets[piece, None]
                weight = None if weights is None else weights[piece, None].to(sums)
                log_p = F.log_softmax((rows @ cast_table.T).to(sums), dim=1)  # (n, V)
                losses = -(1 - smoothing) * log_p.gather(1, wanted)
                if smoothing:
                    losses -= smoothing * log_p.mean(1, keepdim=True)
                total += losses.sum() if weight is None else (losses * weight).sum()
                p = log_p.exp_()
                if smoothing:
                    p -= smoothing / p.shape[1]
                p.scatter_add_(1, wanted, torch.full_like(losses, smoothing - 1))
                if weight is not None:
                    p *= weight
                back = p.to(dtype)
                gradient[piece] = back @ cast_table
                if dtype == sums:
                    text_gradient.addmm_(back.T, rows)
                else:
                    text_gradient += back.T @ rows
        ctx.save_for_backward(gradient, table_gradient.to(table.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        gradient, table_gradient = ctx.saved_tensors
        return gradient * scale, table_gradient * scale, None, None, None, None


def head_loss(
    hidden: Tensor,
    table: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    reserved: int = 0,
) -> Tensor:
    """Summed cross-entropy in nats, a scalar, of ``targets`` (N,) under the logits ``hidden`` @ ``table``^T (N, V).

    ``hidden`` is (N, D), ``table`` (reserved + V, D): its first ``reserved`` rows have no part in it. Row i counts
    ``weights[i]`` times; ``smoothing`` spreads that share of the target over all V. Under autocast the products run in
    its type, sums in float32. Equal to ``F.cross_entropy`` and its gradients, at a share of the memory.
    """
    return _HeadLoss.apply(hidden, table, targets, weights, smoothing, reserved)
