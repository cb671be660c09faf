"""The autoregressive twin: the same backbone with a causal mask, next-token loss and exact likelihood.

Shapes: B rows, T tokens, V text vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .lengths import equal_lengths
from .loss import Teachers, head_loss, same_document, send
from .transformer import Transformer


def _shifted(ids: Tensor, bos: int, documents: Tensor | None) -> Tensor:
    """Shift ``ids`` (B, T) one place to the right, with ``bos`` before each document."""
    inputs = torch.cat((torch.full_like(ids[:, :1], bos), ids[:, :-1]), dim=1)
    if documents is not None:
        begins = documents[:, 1:] != documents[:, :-1]
        inputs[:, 1:] = inputs[:, 1:].masked_fill(begins, bos)
    return inputs


def next_token_loss(
    model: Transformer,
    ids: Tensor,
    bos: int,
    documents: Tensor | None = None,
    label_smoothing: float = 0.0,
    teachers: Teachers | None = None,
) -> Tensor:
    """Training loss, a scalar: summed cross-entropy in nats of each text token given those before it in its document.

    The input is ``ids`` (B, T) shifted right; the first token of each document follows ``bos``. ``documents`` (B, T)
    numbers the documents, whose tokens see only each other; None means one per row. Reserved ids inside ``ids`` (PAD,
    SEP) are not scored. The mean law of ``teachers`` is a part of each target, see ``head_loss``.
    """
    device = model.device
    attention = same_document(documents, device)
    inputs = send(_shifted(ids, bos, documents), device)
    index = (ids >= model.reserved).flatten().nonzero().squeeze(1)
    targets = send(ids.flatten().index_select(0, index) - model.reserved, device)
    places = send(index, device)

    def states(network: Transformer) -> Tensor:
        return network.hidden(inputs, attention).flatten(0, 1).index_select(0, places)

    lesson = None if teachers is None else teachers.lesson(states)
    return head_loss(
        states(model), model.output, targets, smoothing=label_smoothing, reserved=model.reserved, lesson=lesson
    )


def next_token_logits(model: Transformer, ids: Tensor, bos: int) -> Tensor:
    """Logits (B, T, V) of each token given those before it in its row; the first follows ``bos``."""
    return model.logits(model.hidden(_shifted(ids, bos, None), causal=True)).float()


def next_token_losses(model: Transformer, ids: Tensor, bos: int) -> Tensor:
    """Cross-entropy in nats of each token given those before it in its row, (B, T); the first follows ``bos``.

    Reserved ids inside ``ids`` (SEP) score zero.
    """
    logits = next_token_logits(model, ids, bos)
    targets = (ids - model.reserved).masked_fill(ids < model.reserved, -100)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100).view_as(ids)


@torch.no_grad()
def token_losses_in_batches(
    model: Transformer, windows: Sequence[Tensor], bos: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of window numbers (B,) and the nats of all their tokens (B, T), in float64 on the CPU.

    Each window starts fresh after ``bos``.
    """
    model.eval()
    for batch in equal_lengths(windows, batch_size):
        yield batch.owner, next_token_losses(model, batch.rows.to(model.device), bos).cpu().double()


def autoregressive_nats(model: Transformer, windows: Sequence[Tensor], bos: int, batch_size: int) -> Tensor:
    """Exact negative log-likelihood in nats of each window, (len(windows),); each window starts fresh after ``bos``."""
    totals = torch.zeros(len(windows), dtype=torch.float64)
    for owner, losses in token_losses_in_batches(model, windows, bos, batch_size):
        totals[owner] = losses.sum(1)
    return totals
