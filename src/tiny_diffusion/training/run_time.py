"""How long a run will take on this machine: measured before it starts, from a few real steps of its own."""

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..checkpoint import save_plain
from ..config import ProjectConfig
from ..model.flops import training_flops
from ..runtime import compile_errors
from ..writing.continuing import most_passes, reading_of
from .averaged_model import Validation, sample_settings, write_sample
from .course import Course, Line, Progress
from .optimizers import Optimizers, make_optimizers
from .output_folder import SAVING_SHARE
from .processes import ALONE
from .run_state import RunState
from .step import Stepper
from .trainer import Trainer

DAY = 86_400.0
CANDIDATES = ("cpu_30m", "cpu_10m", "cpu_5m", "cpu_2m", "cpu_1m")
MEASURING = 3.0  # largest number of seconds for steps
SHARE = 0.01  # and largest share of the run
SAVED_COPIES = 3.5  # of the weights in the state of a run: model, average, optimiser
SAMPLE_STEPS = 2  # of the sampler; their time is scaled up
MOST_STEPS = 40
NOISY = 0.3  # spread of the middle half of the steps, as a share of their median, beyond which other programs are busy
REPEATS = 3  # so many times longer is measured then


class TimedOptimizers(Optimizers):
    """Optimisers at a learning rate of zero, which leaves the weights as they are; ``seconds``: of the last step."""

    seconds = 0.0

    def step(self, scale: float) -> None:
        """Do all the work of a step without effect."""
        began = time.perf_counter()
        super().step(0.0)
        self.seconds = time.perf_counter() - began


@dataclass(frozen=True)
class Pace:
    """Measured seconds: of the optimiser in a step, of each row in a step, of a validation with a new best checkpoint,
    of a sample, and of writing the run's state.

    ``steps``: number of real steps that were timed.
    """

    optimizer: float
    row: float
    validation: float
    sample: float
    state: float
    steps: int

    def slowed(self, times: float) -> "Pace":
        """The pace of a machine that is so many times slower."""
        parts = ("optimizer", "row", "validation", "sample", "state")
        return replace(self, **{part: times * getattr(self, part) for part in parts})

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


@compile_errors()
def measure_pace(trainer: Trainer, limit: float = MEASURING) -> Pace:
    """Time a few steps of the last stage's own rows, a part of a validation and of a sample, and a save.

    This takes up to ``limit`` seconds, or SHARE of the run if that is less, but at least two steps of one row and one
    of a batch. A batch that takes more than half the limit is timed on fewer rows. If the steps differ much, other
    programs disturb them, and more steps are timed. The run is left as it was. Each of several processes measures
    itself alone, on its share of a batch, without what they exchange.
    """
    rehearsal = Rehearsal(trainer.state)
    batch = min(trainer.ranks.rows(trainer.config.training.batch_size), len(rehearsal.layout))
    rehearsal.step(1)  # the first one allocates
    optimizer, row = rehearsal.step(1)
    rows = max(1, min(batch, int((limit - optimizer) / 2 / row)))
    if trainer.compiled:  # the run needs the compilation as well; batches of other sizes run uncompiled
        rehearsal.step(rows := batch)
    limit = min(limit, SHARE * trainer.total_steps * (optimizer + batch * row))
    spent, steps = optimizer + row, [(optimizer, row)] if rows == 1 else []
    while not steps or (spent < limit * (REPEATS if _noisy(steps) else 1) and len(steps) < MOST_STEPS):
        steps.append(rehearsal.step(rows))
        spent += steps[-1][0] + rows * steps[-1][1]
    validation = _validation_seconds(rehearsal.state, trainer.validation, limit)
    sample = _sample_seconds(rehearsal.state)
    trainer.model.train()
    optimizer, row = (statistics.median(column) for column in zip(*steps, strict=True))
    weights, count = _save_seconds(trainer.state), trainer.ranks.count
    seen = validation / count + weights
    return Pace(optimizer, row / count, seen, sample, SAVED_COPIES * weights, len(steps))


def _noisy(steps: Sequence[tuple[float, float]]) -> bool:
    """Whether the seconds of the ``steps`` (of the optimiser, of a row) spread widely."""
    if len(steps) < 3:
        return True
    low, middle, high = statistics.quantiles([row for _, row in steps], n=4)
    return high - low > NOISY * middle


class Rehearsal:
    """Steps on the weights of a run that cost what real steps cost and change nothing: the learning rate is zero."""

    def __init__(self, state: RunState) -> None:
        """Rehearse the last stage of ``state``, in this process alone; the weights are their own average."""
        real = make_optimizers(state.model, state.config.training)
        self.optimizers = TimedOptimizers(real.members, real.peaks)
        stage = len(state.stage_steps) - 1
        progress = Progress(stage=stage, line=Line(sum(state.stage_steps)))
        self.state = replace(
            state, ranks=ALONE, average=state.model, optimizers=self.optimizers, progress=progress, written=None
        )
        course = Course(state.config, state.stage_steps, progress)
        self.layout = state.rows.epoch(stage, 0)
        self._stepper = Stepper(self.state, course, stops=lambda: False)

    def step(self, rows: int) -> tuple[float, float]:
        """Seconds of the optimiser and of each row in a step on ``rows`` rows."""
        progress = self.state.progress
        progress.step = progress.stage_step = 0
        seconds = self._stepper.step(self.layout.take(torch.arange(rows)), 0).done(0.0).seconds
        return self.optimizers.seconds, max(1e-9, seconds - self.optimizers.seconds) / rows


def _validation_seconds(state: RunState, validation: Validation, limit: float) -> float:
    """Seconds of a whole validation in the last stage, from as many of its windows as fit into half of ``limit``."""
    windows = validation.windows[-1]
    seconds, count, whole = 0.0, 0, len(windows)
    for count in (1, 4, 16, whole):
        count = min(count, whole)
        began = time.perf_counter()
        validation.nats(state.average, windows[:count])
        seconds = time.perf_counter() - began
        if count == whole or 4 * seconds > limit / 2:
            break
    return seconds * whole / count


def _sample_seconds(state: RunState) -> float:
    """Seconds of one text written during training, with the most steps that it may take; 0 if none will be written."""
    if not state.config.training.sample_every_epochs:
        return 0.0
    settings, model = sample_settings(state.config), state.config.model
    reading = reading_of(model, settings)  # by the causal one the whole text is written
    few = settings.model_copy(update={"reading": reading})
    if reading != "causal":
        few = few.model_copy(update={"sampler": "first_hitting", "steps": min(SAMPLE_STEPS, settings.steps)})
    state.average.eval()
    began = time.perf_counter()
    write_sample(state, few)
    seconds = time.perf_counter() - began
    return seconds * most_passes(settings, model) / most_passes(few, model)


def _save_seconds(state: RunState) -> float:
    """Seconds of writing the weights once, as for the best checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        save_plain(Path(folder) / "weights.pt", state.model.state_dict())
        return time.perf_counter() - began


def preset_within(tokens_per_epoch: int, shelf_tokens: int, rate: float, limit: float = DAY) -> str | None:
    """The largest CPU preset whose run ends within ``limit`` seconds; None if there is none.

    ``shelf_tokens``: of all epochs on the shelf. ``rate``: operations per second of this machine in the measured steps.
    """
    for name in CANDIDATES:
        config = ProjectConfig.preset(name)
        tokens = tokens_per_epoch * config.curriculum.epochs + shelf_tokens
        if training_flops(config, config.vocab_size, tokens) / rate <= limit:
            return name
    return None
