"""What a run does with its averaged weights: it validates them, scores its examples, and has them write text."""

import math

import torch
from torch import Tensor

from ..config import GenerationConfig, ProjectConfig
from ..data.artefacts import Processed
from ..data.tokenizer import BOS
from ..model.autoregressive import autoregressive_nats
from ..model.likelihood import likelihood_bound, uniform_mask_losses
from ..model.transformer import Transformer
from ..runtime import autocast, generator_for, seed_for
from ..writing.writer import Writer
from .rows import windows
from .run_state import RunState

VALIDATION, RESCORE, WRITE = 5, 6, 7  # purposes of random draws, see runtime.seed_for
ROWS_MORE = 4  # a pass without gradients takes so many times the rows of a training pass
RESCORED_RATE = 0.5  # mask rate at which the difficulty of examples is measured
TEXTS_AT_ONCE = 64
FRESH_EPOCHS = 10  # epochs for which rows that the model wrote are used


class Validation:
    """The validation windows of each stage of a run, scored on the same masks each time."""

    def __init__(self, config: ProjectConfig, data: Processed, rows: int) -> None:
        """``rows`` of a training batch are this process's share."""
        texts = data.texts("validation")
        self.settings, self.rows_at_once = config.training, ROWS_MORE * rows
        # A model has not learnt the tokens above its stage's level yet, and can tell nothing of text that needs them.
        of_level = {
            level: windows(texts, data.tokenizer, level, config.model.context) for level in set(config.stage_levels)
        }
        self.windows = [of_level[level] for level in config.stage_levels]
        self.bytes = sum(len(text.encode("utf-8")) for text in texts)

    def bits_per_byte(self, model: Transformer, stage: int, share: slice = slice(None)) -> float:
        """Bits per byte of ``model`` at the stage's vocabulary level: the bound, or the twin's exact figure.

        With a ``share`` of the windows, what these add to the figure.
        """
        return self.nats(model, self.windows[stage], share) / math.log(2) / self.bytes

    @torch.no_grad()
    def nats(self, model: Transformer, chosen: list[Tensor], share: slice = slice(None)) -> float:
        """Nats under ``model`` of the ``chosen`` windows, or of a ``share`` of them."""
        settings, batch = self.settings, self.rows_at_once
        with autocast(model.device, settings.precision):
            if settings.objective != "diffusion":  # the exact figure of the causal reading
                return float(autoregressive_nats(model, chosen[share], BOS, batch).sum())
            generator = generator_for(settings.seed, VALIDATION)
            draws = settings.validation_draws
            return float(likelihood_bound(model, chosen, draws, batch, generator, share=share).sum())


@torch.no_grad()
def example_losses(state: RunState) -> Tensor | None:
    """How hard the averaged model finds each example (E,), in nats, for the stage's dynamic scorer; None without one.

    One process measures; the others return zeros.
    """
    settings, stage = state.config.training, state.progress.stage
    scorer, examples = state.rows.scorers[stage], state.rows.encoded[stage]
    if scorer is None or settings.objective == "autoregressive":
        return None
    if not state.ranks.first:
        return torch.zeros(len(examples), dtype=torch.float64)
    cut = [torch.tensor(examples[i][: state.config.model.context]) for i in range(len(examples))]
    generator = generator_for(settings.seed, RESCORE, state.progress.step)
    with autocast(state.model.device, settings.precision):
        return uniform_mask_losses(state.average, cut, RESCORED_RATE, ROWS_MORE * settings.batch_size, generator)


def due_to_write(state: RunState, epoch: int) -> bool:
    """Whether new self-training rows are due: at the start of the last stage and every FRESH_EPOCHS in it."""
    p = state.progress
    last = p.stage == len(state.config.curriculum.stages) - 1
    fresh = p.stage_step % state.steps_per_epoch[p.stage] == 0
    return state.config.training.self_training_share > 0 and last and fresh and epoch % FRESH_EPOCHS == 0


def write_rows(state: RunState, epoch: int) -> Tensor:
    """Rows (R, T) that the averaged model writes: ``self_training_share`` of the stage's rows, at least one.

    They are written without controls, because they are learnt as text of no level. Each process writes its share, and
    leaves the other rows zero.
    """
    config = state.config
    count = max(1, round(config.training.self_training_share * state.rows.rows_per_epoch[state.progress.stage]))
    writer = Writer(state.average, state.data.tokenizer, lines=state.data.keeps_lines)
    written = torch.zeros(count, config.model.context, dtype=torch.long)
    for start in range(0, count, TEXTS_AT_ONCE)[state.ranks.share]:
        changes = {
            "num_samples": min(TEXTS_AT_ONCE, count - start),
            "length": config.model.context,
            "seed": seed_for(config.training.seed, WRITE, epoch, start),
        }
        texts = writer.write("", _plain(config).model_copy(update=changes))
        written[start : start + len(texts)] = torch.tensor([text.ids for text in texts])
    return written


def sample_settings(config: ProjectConfig) -> GenerationConfig:
    """How the text at the end of an epoch is written."""
    return _plain(config).model_copy(update={"num_samples": 1})


def write_sample(state: RunState, settings: GenerationConfig) -> str:
    """One text of the averaged model."""
    return Writer(state.average, state.data.tokenizer, lines=state.data.keeps_lines).write("", settings)[0].text


def _plain(config: ProjectConfig) -> GenerationConfig:
    return config.generation.uncontrolled().as_drawn().model_copy(update={"expert": "none"})
