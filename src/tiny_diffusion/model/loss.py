"""The training loss of masked diffusion, from ids to gradients, and the teachers that a model learns from.

Logits exist at scored places only, and never for all of them at once: the head computes its own gradient.
Sahoo et al. 2024 (MDLM) and Shi et al. 2024 (MD4); the noise over time is the model's ``schedule``.
Shapes: B rows, T tokens, N scored places, n of them at a time, D model width, V text vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .layers import working_type
from .transformer import MASK_ID, Transformer

# Rows whose logits exist at the same time: few enough for a CPU's cache, many enough to keep CUDA busy.
HEAD_ROWS = {"cpu": 256, "cuda": 4096}
OTHER_ROWS = 1024  # on a device that the memory estimate does not know
# For each size of a bfloat16 product oneDNN makes code: a millisecond and half a megabyte, of which it keeps 1,024.
GRAIN = 32


def _even(rows: Tensor) -> Tensor:
    """``rows`` (n, D), with rows of zeros up to a multiple of GRAIN, so that few sizes of products occur."""
    short = -len(rows) % GRAIN
    return F.pad(rows, (0, 0, 0, short)) if short else rows


@dataclass(frozen=True)
class Lesson:
    """What teachers say about N places: the mean of their laws, which counts for ``share`` of the target.

    ``states`` (N, D) and ``tables`` (V, D) of each teacher are kept, and laws are made of them for a few places at a
    time; D may differ between teachers.
    """

    states: tuple[Tensor, ...]
    tables: tuple[Tensor, ...]
    share: float

    def law(self, places: slice, dtype: torch.dtype) -> Tensor:
        """The mean of the teachers' laws at ``places``, (n, V) of ``dtype``."""
        pairs = ((states[places], table) for states, table in zip(self.states, self.tables, strict=True))
        laws = (F.softmax((_even(rows) @ table.T)[: len(rows)].to(dtype), dim=1) for rows, table in pairs)
        return reduce(torch.add, laws).div_(len(self.states))


@dataclass(frozen=True)
class Teachers:
    """Trained models whose laws a student learns beside the text; they read what it reads, in evaluation mode.

    Born-again networks (Furlanello et al. 2018) learn from one model like themselves; with several it is the
    distillation of an ensemble (Hinton et al. 2015). ``share``: of the target that is theirs.

    ``fingerprints`` tell the models' files apart, so that a resumed run can find the same ones. ``shelf``: other books
    than the student's that any of them has learnt from.
    """

    models: tuple[Transformer, ...]
    share: float
    fingerprints: tuple[str, ...] = ()
    shelf: tuple[str, ...] = ()

    @torch.no_grad()
    def lesson(self, states_of: Callable[[Transformer], Tensor]) -> Lesson:
        """What the teachers say at N places; ``states_of`` gives a model's hidden states there, (N, D)."""
        states = tuple(states_of(model) for model in self.models)
        pairs = zip(self.models, states, strict=True)
        tables = tuple(model.output[model.lowest :].to(state.dtype) for model, state in pairs)
        return Lesson(states, tables, self.share)


class _HeadLoss(torch.autograd.Function):
    """Sum of w_i (-log softmax(h_i E^T)[target_i]), whose gradients the forward pass computes piece by piece.

    The gradient of a row's logits is w (p - q), with q the (smoothed, taught) target. Each piece computes it while its
    p is in the cache and adds to the table's gradient; the backward pass only scales both.
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
        lesson: Lesson | None,
    ) -> Tensor:
        kind, dtype = hidden.device.type, working_type(hidden)
        sums = torch.float64 if dtype == torch.float64 else torch.float32
        with torch.autocast(kind, enabled=False):  # the types below are chosen explicitly
            cast_table = table[reserved:].to(dtype)
            gradient = torch.empty_like(hidden)
            table_gradient = torch.zeros(table.shape, dtype=sums, device=table.device)
            text_gradient = table_gradient[reserved:]
            total = torch.zeros((), dtype=sums, device=hidden.device)
            size = HEAD_ROWS.get(kind, OTHER_ROWS)
            own = 1.0 if lesson is None else 1 - lesson.share  # share of the target that the tokens have
            for start in range(0, len(hidden), size):
                piece = slice(start, start + size)
                rows, wanted = _even(hidden[piece].to(dtype)), targets[piece, None]
                weight = None if weights is None else weights[piece, None].to(sums)
                log_p = F.log_softmax((rows @ cast_table.T)[: len(wanted)].to(sums), dim=1)  # (n, V)
                losses = -(1 - smoothing) * log_p.gather(1, wanted)
                if smoothing:
                    losses -= smoothing * log_p.mean(1, keepdim=True)
                law = None if lesson is None else lesson.share * lesson.law(piece, sums)
                if law is not None:
                    losses = own * losses - (law * log_p).sum(1, keepdim=True)
                total += losses.sum() if weight is None else (losses * weight).sum()
                p = log_p.exp_()
                if smoothing:
                    p -= own * smoothing / p.shape[1]
                p.scatter_add_(1, wanted, torch.full_like(losses, own * (smoothing - 1)))
                if law is not None:
                    p -= law
                if weight is not None:
                    p *= weight
                back = _even(p.to(dtype))
                gradient[piece] = (back @ cast_table)[: len(wanted)]
                if dtype == sums:
                    text_gradient.addmm_(back.T, rows)
                else:
                    text_gradient += back.T @ rows
        ctx.save_for_backward(gradient, table_gradient.to(table.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None, None, None, None, None]:
        gradient, table_gradient = ctx.saved_tensors
        return gradient * scale, table_gradient * scale, None, None, None, None, None


def head_loss(
    hidden: Tensor,
    table: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    reserved: int = 0,
    lesson: Lesson | None = None,
) -> Tensor:
    """Summed cross-entropy in nats, a scalar, of ``targets`` (N,) under the logits ``hidden`` @ ``table``^T (N, V).

    ``hidden`` is (N, D) and ``table`` (reserved + V, D); its first ``reserved`` rows are not used. Row i counts
    ``weights[i]`` times; ``smoothing`` spreads that share of the target over all V. With a ``lesson`` the teachers'
    mean law has its share of the target, at a temperature of 1 (Hinton et al. 2015). Under autocast the products have
    its type and the sums are float32. Value and gradients equal those of ``F.cross_entropy``, but the logits of all
    rows never exist at once: each piece of HEAD_ROWS stays in the cache.
    """
    return _HeadLoss.apply(hidden, table, targets, weights, smoothing, reserved, lesson)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``; from the CPU to CUDA by pinned memory, so that the host need not wait."""
    if tensor.device.type == "cpu" and device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def same_document(documents: Tensor | None, device: torch.device) -> Tensor | None:
    """Which tokens may attend to which (B, 1, T, T), on ``device``: those of the same document in ``documents`` (B, T).

    None if every row is one document, number 1.
    """
    if documents is None or bool((documents == 1).all()):
        return None
    documents = send(documents, device)
    return documents[:, None, :, None] == documents[:, None, None, :]


def hidden_at(
    model: Transformer,
    ids: Tensor,
    masked: Tensor,
    scored: Tensor,
    attention: Tensor | None = None,
    controls: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Hidden states (N, D) that predict the ``scored`` tokens (B, T), and these targets (N,); ``masked`` are hidden.

    The states of a dual model stand one place before their tokens. If ``ids`` and ``masked`` are on the CPU and the
    model is on a GPU, the CPU finds the positions: on the GPU that would stop the host until all queued work is done.
    """
    device = model.device
    index = scored.flatten().nonzero().squeeze(1)
    targets = ids.flatten().index_select(0, index)
    noisy = send(ids.masked_fill(masked, MASK_ID), device)
    hidden = model.hidden(noisy, attention, controls=None if controls is None else send(controls, device))
    return hidden.flatten(0, 1).index_select(0, send(index - model.shift, device)), send(targets, device)


def diffusion_loss(
    model: Transformer,
    ids: Tensor,
    masked: Tensor,
    t: Tensor,
    *,
    weighting: str,
    causal: Tensor | None = None,
    documents: Tensor | None = None,
    controls: Tensor | None = None,
    label_smoothing: float = 0.0,
    teachers: Teachers | None = None,
) -> Tensor:
    """Summed training loss of the masked tokens of ``ids`` (B, T), a scalar.

    With ``weighting="mean"`` it is plain cross-entropy, to be divided by the number of masked tokens. With ``"bound"``
    each token has the weight of the model's schedule at the time ``t`` (B,) of its row; divided by the number of
    scorable tokens, the expectation is the likelihood bound in nats per token. The sum is not divided here, so that
    micro-batches add up exactly.

    ``causal`` (B,), for a dual model: rows that learn the causal reading instead. They attend to the left only, and
    are scored at all their ``masked`` tokens, none of which is hidden. One pass serves all rows. GPT-BERT (Charpentier
    and Samuel 2024) trains both readings of one network; here the masked one is a diffusion model. ``ids`` of a dual
    model have BOS before each document, and END is predicted like a text token.

    ``documents`` (B, T) numbers the documents of each row, whose tokens see only each other; None means one per row.
    ``controls``: see ``Transformer.hidden``. ``teachers`` read the same rows, and their mean law is a part of each
    target, see ``head_loss``. Raises ValueError for any other weighting.
    """
    if weighting not in ("mean", "bound"):
        raise ValueError(f"weighting={weighting!r} is neither 'mean' nor 'bound'")
    hidden_tokens, attention = masked, same_document(documents, model.device)
    if causal is not None:
        hidden_tokens = masked & ~causal[:, None]
        left = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        seen = send(left | ~causal[:, None, None, None], model.device)  # (B, 1, T, T)
        attention = seen if attention is None else seen & attention

    def states(network: Transformer) -> tuple[Tensor, Tensor]:
        return hidden_at(network, ids, hidden_tokens, masked, attention, controls)

    lesson = None if teachers is None else teachers.lesson(lambda teacher: states(teacher)[0])
    states_at, targets = states(model)
    weights = None
    if weighting == "bound":
        of_row = model.schedule.weight(t)
        of_row = of_row if causal is None else of_row.masked_fill(causal, 1.0)
        weights = send(of_row[masked.nonzero()[:, 0]], states_at.device)
    return head_loss(
        states_at,
        model.output,
        targets - model.lowest,
        weights=weights,
        smoothing=label_smoothing,
        reserved=model.lowest,
        lesson=lesson,
    )
