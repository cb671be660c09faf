"""The autoregressive twin: the same backbone with a causal mask, next-token loss and exact likelihood.

Shapes: B rows, T tokens, V text vocabulary.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .transformer import Transformer


def next_token_losses(
    model: Transformer,
    ids: Tensor,
    bos: int,
    documents: Tensor | None = None,
    attention: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy in nats of each token given those before it in its document, (B, T).

    The input is ``ids`` shifted right; the first token of each document (``documents`` (B, T) numbers them; one
    a row when None) follows ``bos``. Reserved ids inside ``ids`` (padding, SEP) score zero.
    """
    inputs = torch.cat((torch.full_like(ids[:, :1], bos), ids[:, :-1]), dim=1)
    if documents is not None:
        begins = documents[:, 1:] != documents[:, :-1]
        inputs[:, 1:] = inputs[:, 1:].masked_fill(begins, bos)
    logits = model.logits(model.hidden(inputs, attention)).float()  # (B, T, V)
    targets = (ids - model.reserved).masked_fill(ids < model.reserved, -100)
    losses = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100, label_smoothing=label_smoothing
    )
    return losses.view_as(ids)


@torch.no_grad()
def autoregressive_nats(model: Transformer, windows: Sequence[Tensor], bos: int, batch_size: int) -> Tensor:
    """Exact negative log-likelihood in nats of each window, (len(windows),), each starting fresh after BOS."""
    model.eval()
    device = next(model.parameters()).device
    totals = torch.zeros(len(windows), dtype=torch.float64)
    by_length: dict[int, list[int]] = {}
    for i, window in enumerate(windows):
        by_length.setdefault(len(window), []).append(i)
    for members in by_length.values():
        for start in range(0, len(members), batch_size):
            part = members[start : start + batch_size]
            rows = torch.stack([windows[i] for i in part]).to(device)
            totals[part] = next_token_losses(model, rows, bos).double().sum(1).cpu()
    return totals
