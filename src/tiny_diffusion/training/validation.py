"""What the averaged weights make of text: the validation passages, and the stage's own examples."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..data.tokenizer import BOS
from ..model.autoregressive import autoregressive_nats
from ..model.likelihood import likelihood_bound, uniform_mask_losses
from ..model.transformer import Transformer
from ..runtime import autocast, generator_for
from .rows import windows

if TYPE_CHECKING:
    from .trainer import Trainer

VALIDATION, RESCORE = 5, 6  # purposes of random draws, see runtime.seed_for
ROWS_MORE = 4  # a pass without gradients takes so many times a training batch
RESCORED_RATE = 0.5  # mask rate at which the examples' difficulty is measured


class Validation:
    """The validation windows of one run, scored on the same masks each time."""

    def __init__(self, config: ProjectConfig, data: Processed, rows: int) -> None:
        """``rows``: of a training batch in this process."""
        texts = data.texts("validation")
        self.settings, self.rows_at_once = config.training, ROWS_MORE * rows
        self.windows = windows(texts, data.tokenizer, config.model.vocab_level, config.model.context)
        self.bytes = sum(len(text.encode("utf-8")) for text in texts)

    @torch.no_grad()
    def bits_per_byte(self, model: Transformer) -> float:
        """Bits per byte of ``model``: the bound, or exact for the twin."""
        settings, batch = self.settings, self.rows_at_once
        with autocast(model.device, settings.precision):
            if settings.objective == "autoregressive":
                nats = autoregressive_nats(model, self.windows, BOS, batch)
            else:
                generator = generator_for(settings.seed, VALIDATION)
                nats = likelihood_bound(model, self.windows, settings.validation_draws, batch, generator)
        return float(nats.sum()) / math.log(2) / self.bytes


@torch.no_grad()
def rescore(trainer: "Trainer") -> None:
    """Tell the stage's dynamic scorer, if it has one, how hard the averaged model finds each example."""
    settings, progress = trainer.config.training, trainer.progress
    scorer = trainer.rows.scorers[progress.stage]
    if scorer is None or settings.objective == "autoregressive":
        return
    examples = trainer.rows.encoded[progress.stage]
    cut = [torch.tensor(examples[i][: trainer.config.model.context]) for i in range(len(examples))]
    generator = generator_for(settings.seed, RESCORE, progress.step)
    with autocast(trainer.device, settings.precision):
        losses = uniform_mask_losses(trainer.average, cut, RESCORED_RATE, ROWS_MORE * settings.batch_size, generator)
    scorer.update(np.arange(len(cut)), trainer.ranks.agree(losses).numpy())
