"""What an optimiser step minimises: the loss of a batch by the objective, what it is divided by, and its gradient."""

import torch
from torch import Tensor

from ..config import TrainingConfig
from ..data.tokenizer import BOS
from ..model.autoregressive import next_token_loss
from ..model.diffusion import diffusion_loss
from ..model.transformer import Transformer
from ..runtime import autocast, compile_errors
from .format_datasets import Rows


def add_gradients(model: Transformer, settings: TrainingConfig, batch: Rows, masked: Tensor, t: Tensor) -> Tensor:
    """Add the gradient of a batch's loss to the parameters', in micro-batches; the loss, a scalar on the device.

    ``masked`` (B, T) are the hidden places, ``t`` (B,) the mask rates. The micro-batches' gradients add up to the whole
    batch's. Raises WorldError where ``torch.compile`` fails.
    """
    weight = normaliser(settings, batch, masked)
    size = settings.micro_batch_size or len(batch)
    total = torch.zeros((), device=model.device)
    for start in range(0, len(batch), size):
        part = torch.arange(start, min(start + size, len(batch)))
        with compile_errors():
            loss = summed_loss(model, settings, batch.take(part), masked[part], t[part]) / weight
            loss.backward()
        total += loss.detach()
    return total


def normaliser(settings: TrainingConfig, batch: Rows, masked: Tensor) -> int:
    """What the summed loss of the whole batch is divided by: its tokens, or those that are hidden."""
    if settings.objective == "autoregressive" or settings.loss_weighting == "bound":
        return int(batch.scorable.sum())
    return int(masked.sum())


def summed_loss(model: Transformer, settings: TrainingConfig, batch: Rows, masked: Tensor, t: Tensor) -> Tensor:
    """Summed training loss of a micro-batch, a scalar."""
    attention = batch.attention(model.device)
    with autocast(model.device, settings.precision):
        if settings.objective == "autoregressive":
            return next_token_loss(model, batch.ids, BOS, batch.documents, attention, settings.label_smoothing)
        return diffusion_loss(
            model,
            batch.ids,
            masked,
            t,
            weighting=settings.loss_weighting,
            attention=attention,
            controls=batch.controls,
            label_smoothing=settings.label_smoothing,
        )
