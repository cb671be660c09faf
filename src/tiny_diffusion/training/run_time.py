"""How long a run will take on this machine, before it starts: from a few of its own steps, really taken."""

import copy
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..checkpoint import save_plain
from ..config import ProjectConfig
from ..writing.writer import Writer, most_passes
from .course import Course
from .flops import training_flops
from .objective import Objective
from .optimizers import Optimizers, make_optimizers
from .processes import ALONE
from .rows import Layout
from .saving import SHARE as SAVING_SHARE
from .trainer import Trainer

DAY = 86_400.0
CANDIDATES = ("cpu_30m", "cpu_10m", "cpu_2m", "cpu_1m")
MEASURING = 3.0  # seconds of steps at most
SHARE = 0.01  # and at most so much of the run
SAVED_COPIES = 3.5  # of the weights in a run's state: model, average, optimiser's state
SAMPLE_STEPS = 2  # of the sampler, whose time is scaled up
MOST_STEPS = 40
NOISY = 0.3  # spread of the middle half of the steps, as a share of their median: other programs are busy
REPEATS = 3  # times as long is measured then


class TimedOptimizers(Optimizers):
    """Optimisers at a learning rate of zero, so that the weights stay as they are, and the time they take."""

    seconds = 0.0

    def step(self, scale: float) -> None:
        """Do all the work of a step, with no effect."""
        began = time.perf_counter()
        super().step(0.0)
        self.seconds = time.perf_counter() - began


@dataclass(frozen=True)
class Pace:
    """Measured seconds: of the optimiser in a step, of each row in a step, of a validation with a new best checkpoint,
    a sample, and of writing the run's state.

    ``steps``: real steps that were timed.
    """

    optimizer: float
    row: float
    validation: float
    sample: float
    state: float
    steps: int

    def slowed(self, times: float) -> "Pace":
        """The pace of a machine that is so many times as slow."""
        return Pace(
            times * self.optimizer,
            times * self.row,
            times * self.validation,
            times * self.sample,
            times * self.state,
            self.steps,
        )

    def step(self, rows: int) -> float:
        """Seconds of an optimiser step on ``rows`` rows."""
        return self.optimizer + rows * self.row

    def run(self, epochs: Sequence[int], rows: Sequence[int], batch: int, eval_every: int, sample_every: int) -> float:
        """Seconds of a run whose stages have so many ``epochs`` of so many ``rows``."""
        seconds, saves = 0.0, 0
        for count, in_epoch in zip(epochs, rows, strict=True):
            seconds += count * (math.ceil(in_epoch / batch) * self.optimizer + in_epoch * self.row)
            seconds += math.ceil(count / eval_every) * self.validation
            seconds += (count // sample_every) * self.sample if sample_every else 0
            saves += math.ceil(count / eval_every)
        return seconds + min(saves * self.state, self.state + seconds * SAVING_SHARE / (1 - SAVING_SHARE)) + self.state


def expected_seconds(trainer: Trainer, pace: Pace) -> float:
    """Seconds of all steps, validations, samples and saves that are left of the run."""
    training = trainer.config.training
    epochs = [stage.epochs for stage in trainer.config.curriculum.stages]
    rows = trainer.rows.rows_per_epoch
    whole = pace.run(epochs, rows, training.batch_size, training.eval_every_epochs, training.sample_every_epochs)
    steps = sum(count * math.ceil(n / training.batch_size) for count, n in zip(epochs, rows, strict=True))
    return whole * (trainer.course.end - trainer.progress.step) / steps


def measure_pace(trainer: Trainer, limit: float = MEASURING) -> Pace:
    """Time a few steps of the last stage's own rows, a part of a validation and of a sample, and a save.

    Takes up to ``limit`` seconds, or SHARE of the run if that is less, but at least two steps of one row and one of a
    batch; a batch that takes more than half the limit is timed on fewer rows. Where the steps differ much, other
    programs disturb them, and more are timed. The run is left as it was: its weights get steps of size zero. Of several
    processes each measures itself alone, on its share of a batch: what they exchange is not counted.
    """
    stage = len(trainer.stage_steps) - 1
    layout = trainer.rows.epoch(stage, 0)
    batch = min(trainer.ranks.rows(trainer.config.training.batch_size), len(layout))
    with _rehearsal(trainer, stage) as (twin, optimizers):
        _timed_step(twin, layout, 1)  # the first one allocates
        seconds = _timed_step(twin, layout, 1)
        row = max(1e-9, seconds - optimizers.seconds)
        rows = max(1, min(batch, int((limit - optimizers.seconds) / 2 / row)))
        if trainer.compiled:  # which the run needs as well; batches of other sizes run uncompiled
            _timed_step(twin, layout, rows := batch)
        limit = min(limit, SHARE * trainer.total_steps * (optimizers.seconds + batch * row))
        spent, steps = seconds, [(optimizers.seconds, row)] if rows == 1 else []
        while not steps or (spent < limit * (REPEATS if _noisy(steps) else 1) and len(steps) < MOST_STEPS):
            seconds = _timed_step(twin, layout, rows)
            spent += seconds
            steps.append((optimizers.seconds, max(1e-9, seconds - optimizers.seconds) / rows))
        validation = _validation_seconds(twin, limit)
        sample = _sample_seconds(twin)
    optimizer, row = (statistics.median(column) for column in zip(*steps, strict=True))
    weights = _save_seconds(trainer)
    return Pace(optimizer, row / trainer.ranks.count, validation + weights, sample, SAVED_COPIES * weights, len(steps))


def _noisy(steps: Sequence[tuple[float, float]]) -> bool:
    """Whether the seconds of the ``steps`` (of the optimizer, of a row) spread widely."""
    if len(steps) < 3:
        return True
    low, middle, high = statistics.quantiles([row for _, row in steps], n=4)
    return high - low > NOISY * middle


@contextmanager
def _rehearsal(trainer: Trainer, stage: int) -> Iterator[tuple[Trainer, TimedOptimizers]]:
    """A trainer on the same weights whose steps cost what real ones cost and change nothing."""
    real = make_optimizers(trainer.model, trainer.config.training)
    optimizers = TimedOptimizers(real.members, real.peaks)
    twin = copy.copy(trainer)
    twin.optimizers, twin.average = optimizers, trainer.model
    twin.ranks, twin.objective = ALONE, Objective(trainer.model, trainer.config.training)
    twin.validation = copy.copy(trainer.validation)  # its windows will be fewer
    twin.progress = replace(trainer.progress, stage=stage, best=-math.inf, seconds=None)  # no best: nothing is written
    twin.course = Course(trainer.config.training, trainer.stage_steps, twin.progress)
    yield twin, optimizers
    trainer.model.train()


def _timed_step(twin: Trainer, layout: Layout, rows: int) -> float:
    twin.progress.step = twin.progress.stage_step = 0
    return twin.train_step(twin.rows.take(layout, torch.arange(rows)), 0).done(0.0).seconds


def _validation_seconds(twin: Trainer, limit: float) -> float:
    """Seconds of a whole validation, from as many of its windows as fit into half of ``limit``."""
    windows = twin.validation.windows
    seconds, count = 0.0, 0
    for count in (1, 4, 16, len(windows)):
        count = min(count, len(windows))
        twin.validation.windows = windows[:count]
        began = time.perf_counter()
        twin.validate(0)
        seconds = time.perf_counter() - began
        if count == len(windows) or 4 * seconds > limit / 2:
            break
    return seconds * len(windows) / count


def _sample_seconds(twin: Trainer) -> float:
    """Seconds of one text written on the way, of the most steps that it may take; 0 when none will be."""
    if not twin.config.training.sample_every_epochs:
        return 0.0
    settings = twin.sample_settings
    few = settings.model_copy(update={"sampler": "first_hitting", "steps": min(SAMPLE_STEPS, settings.steps)})
    began = time.perf_counter()
    Writer(twin.average.eval(), twin.data.tokenizer).write("", few)
    seconds = time.perf_counter() - began
    if twin.config.model.causal:  # a step a token, whatever the settings say
        return seconds
    context = twin.config.model.context
    return seconds * most_passes(settings, context) / most_passes(few, context)


def _save_seconds(trainer: Trainer) -> float:
    """Seconds of writing the weights once, as the best checkpoint is."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        save_plain(Path(folder) / "weights.pt", trainer.model.state_dict())
        return time.perf_counter() - began


def preset_within(tokens_per_epoch: int, rate: float, limit: float = DAY) -> str | None:
    """The largest CPU preset whose run on so many tokens an epoch ends within ``limit`` seconds.

    ``rate``: operations a second of this machine in the steps that were measured.
    """
    for name in CANDIDATES:
        config = ProjectConfig.preset(name)
        if training_flops(config, config.vocab_size, tokens_per_epoch * config.curriculum.epochs) / rate <= limit:
            return name
    return None
