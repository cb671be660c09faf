"""Pseudo-data: rows that the averaged model writes itself."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..config.controls import uncontrolled
from ..runtime import seed_for
from ..writing.writer import Writer

if TYPE_CHECKING:
    from .trainer import Trainer

WRITE = 7  # purpose of random draws, see runtime.seed_for
TEXTS_AT_ONCE = 64


def due_to_write(trainer: "Trainer", epoch: int) -> bool:
    """True when fresh pseudo-data is due: in the last stage, at its start and every ten epochs."""
    progress = trainer.progress
    last = progress.stage == len(trainer.config.curriculum.stages) - 1
    fresh = progress.stage_step % trainer.steps_per_epoch[progress.stage] == 0
    return trainer.config.training.self_training_share > 0 and last and fresh and epoch % 10 == 0


def write_rows(trainer: "Trainer", epoch: int) -> Tensor:
    """Rows written by the averaged model (R, T): the configured share of the stage's rows, at least one.

    They are written without controls, for they are learnt as text of no level.
    """
    config = trainer.config
    share = config.training.self_training_share
    count = max(1, round(share * trainer.rows.rows_per_epoch[trainer.progress.stage]))
    written = []
    writer = Writer(trainer.average, trainer.data.tokenizer)
    for start in range(0, count, TEXTS_AT_ONCE):
        settings = (
            uncontrolled(config.generation)
            .as_drawn()
            .model_copy(
                update={
                    "num_samples": min(TEXTS_AT_ONCE, count - start),
                    "length": config.model.context,
                    "seed": seed_for(config.training.seed, WRITE, epoch, start),
                }
            )
        )
        written += [text.ids for text in writer.write("", settings)]
    return torch.tensor(written)
