"""A study as a plan: a list of runs, computed purely from what is known, so that it can be stopped and resumed."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from statistics import median

from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..model.flops import run_flops
from ..training.epochs import StageRows, stage_steps
from ..training.events import Event
from ..training.run_time import measure_pace
from ..training.trainer import Trainer
from .runs import Interrupted, Run, RunResult, Scoring, Store

Lookup = Callable[[Run], RunResult | None]
# Later runs may depend on the results of earlier ones; until these are known, the plan has likely settings for them.
Plan = Callable[[Lookup], list[Run]]


@dataclass(frozen=True)
class RunStarted:
    """Run number ``index`` (from 1) of the plan's distinct runs begins or continues."""

    index: int
    runs: tuple[Run, ...]
    run: Run


@dataclass(frozen=True)
class RunDone:
    """A run is finished and stored."""

    run: Run
    result: RunResult


StudyEvent = Event | Scoring | RunStarted | RunDone


def distinct(runs: list[Run], store: Store) -> list[Run]:
    """The plan's runs, each once: two labels may have the same settings."""
    first: dict[str, Run] = {}
    for run in runs:
        first.setdefault(store.key(run), run)
    return list(first.values())


def execute(plan: Plan, store: Store) -> Generator[StudyEvent, None, None]:
    """Do the plan's runs that are not stored yet, in order.

    Raises Interrupted if ``store.stop_requested`` was set, with everything saved.
    """
    while True:
        runs = distinct(plan(store.find), store)
        waiting = [run for run in runs if store.find(run) is None]
        if not waiting:
            return
        if store.stop_requested:
            raise Interrupted
        yield RunStarted(len(runs) - len(waiting) + 1, tuple(runs), waiting[0])
        yield RunDone(waiting[0], (yield from store.train(waiting[0])))


class Lengths:
    """Rows, steps and compute of runs on one book before they are made; encodes each kind of rows once."""

    def __init__(self, data: Processed) -> None:
        self.data = data
        self._rows: dict[str, StageRows] = {}
        self._sizes: dict[tuple[str, int], int] = {}

    def rows(self, config: ProjectConfig) -> StageRows:
        """The rows that a run of ``config`` reads; their number does not depend on its epochs."""
        stages = tuple(stage.model_copy(update={"epochs": 1}) for stage in config.curriculum.stages)
        curriculum = config.curriculum.model_copy(update={"stages": stages})
        model = config.model
        training = config.training
        key = repr((model.context, model.vocab_level, model.dual, training.seed, training.merge_dropout, curriculum))
        if key not in self._rows:
            self._rows[key] = StageRows(config, self.data)
        return self._rows[key]

    def steps_per_epoch(self, config: ProjectConfig) -> list[int]:
        """Optimiser steps per epoch of each stage."""
        batch = config.training.batch_size
        return [-(-rows // batch) for rows in self.rows(config).rows_per_epoch]

    def steps(self, config: ProjectConfig) -> int:
        """Optimiser steps planned for the whole run."""
        return sum(stage_steps(config, self.rows(config).rows_per_epoch))

    def flops(self, config: ProjectConfig, steps: int) -> float:
        """Training FLOPs of ``steps`` steps."""
        return run_flops(config, self.data.tokenizer.ids_of(config.model.vocab_level), steps)

    def work(self, run: Run, store: Store) -> float:
        """FLOPs of training and test scoring together: a forward pass costs a third of a step."""
        config, settings = run.config, store.evaluation
        windows = self._tokens(settings.split, config.model.vocab_level) / config.model.context
        rows = min(windows, settings.windows or windows) * (1 if config.model.causal else settings.draws)
        steps = self.steps(config) + rows / config.training.batch_size / 3
        return self.flops(config, 1) * steps

    def _tokens(self, split: str, level: int) -> int:
        if (split, level) not in self._sizes:
            tokenizer = self.data.tokenizer
            self._sizes[split, level] = sum(len(tokenizer.encode(t, level)) for t in self.data.texts(split))
        return self._sizes[split, level]


def speed(runs: list[Run], store: Store) -> float:
    """Training FLOPs per second on this machine: from the stored runs, otherwise from some steps of the first run."""
    known = [result for run in runs if (result := store.find(run)) is not None]
    if known:
        return median(result.flops / result.seconds for result in known)
    config = runs[0].config
    trainer = Trainer(config, store.data, store.folder(runs[0]))
    return run_flops(config, trainer.model.vocab_size, 1) / measure_pace(trainer).step(config.training.batch_size)
