"""What an optimiser step minimises: the loss of a batch by the objective, what it is divided by, and its gradient."""

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from ..data.tokenizer import BOS
from ..model.autoregressive import next_token_loss
from ..model.diffusion import diffusion_loss
from ..model.transformer import Transformer
from ..runtime import autocast, compile_errors
from .processes import Ranks, without_exchange
from .rows import Rows


class Stopped(Exception):
    """A stop was asked for amid work that is thrown away: the resumed run does it again."""


class Objective(nn.Module):
    """The summed training loss of rows by the settings' objective; a module, for that is what torch distributes."""

    def __init__(self, model: Transformer, settings: TrainingConfig) -> None:
        super().__init__()
        self.model = model
        self.settings = settings

    def forward(self, rows: Rows, masked: Tensor, t: Tensor) -> Tensor:
        """Summed loss of ``rows``, a scalar; ``masked`` (B, T) are the hidden places, ``t`` (B,) the mask rates."""
        model, settings = self.model, self.settings
        attention = rows.attention(model.device)
        with autocast(model.device, settings.precision):
            if settings.objective == "autoregressive":
                return next_token_loss(model, rows.ids, BOS, rows.documents, attention, settings.label_smoothing)
            return diffusion_loss(
                model,
                rows.ids,
                masked,
                t,
                weighting=settings.loss_weighting,
                attention=attention,
                controls=rows.controls,
                label_smoothing=settings.label_smoothing,
            )


def add_gradients(
    objective: nn.Module,
    settings: TrainingConfig,
    batch: Rows,
    masked: Tensor,
    t: Tensor,
    ranks: Ranks,
    stops: Callable[[], bool],
) -> Tensor:
    """Add the gradient of a batch's loss to the parameters', in micro-batches; the loss, a scalar on the device.

    ``objective``: an Objective as ``ranks`` distributes it; each process takes its rows of ``batch``, and a row without
    weight where there are fewer rows than processes. The micro-batches' gradients add up to the whole batch's. Raises
    Stopped, with a part of the gradients added, when ``stops`` says so between two micro-batches; WorldError where
    ``torch.compile`` fails.
    """
    mine = ranks.share(len(batch))
    # The exchange takes the mean over the processes, where the sum is wanted.
    weight = normaliser(settings, batch, masked) / ranks.count if len(mine) else math.inf
    mine = mine if len(mine) else torch.zeros(1, dtype=torch.long)
    parts = mine.split(settings.micro_batch_size or len(mine))
    total = torch.zeros((), device=next(objective.parameters()).device)
    for i, part in enumerate(parts, start=1):
        with compile_errors(), nullcontext() if i == len(parts) else without_exchange(objective):
            loss = objective(batch.take(part), masked[part], t[part]) / weight
            loss.backward()
        total += loss.detach()
        if i < len(parts) and stops():
            raise Stopped
    return ranks.total(total / ranks.count)


def normaliser(settings: TrainingConfig, batch: Rows, masked: Tensor) -> int:
    """What the summed loss of the whole batch is divided by: its tokens, or those that are hidden."""
    if settings.objective == "autoregressive" or settings.loss_weighting == "bound":
        return int(batch.scorable.sum())
    return int(masked.sum())
