"""The autoregressive twin at its best: its own sweep, then the compute of a diffusion run.

On a small book a causal model overfits within a few epochs unless it is regularised. At a diffusion model's own
settings it would look much worse than it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ..config import ProjectConfig
from ..errors import UserError
from ..evaluation.seeds import Paired, Spread, paired, spread
from ..files import atomic_write
from .plan import Lengths, Lookup
from .runs import Run, RunResult, study_run
from .settings import plain, twin_of

EQUAL, WINNER = "equal compute", "sweep's winner"


@dataclass(frozen=True)
class Setting:
    """A point of the twin's sweep."""

    dropout: float
    weight_decay: float
    epochs: int


@dataclass(frozen=True)
class TwinOverSeeds:
    """One length of the twin over all seeds; ``against`` is its test figure minus the sweep's winner's."""

    name: str
    epochs: int
    validation: Spread
    test: Spread
    against: Paired | None


def seeds_of(config: ProjectConfig) -> range:
    """The seeds of a study, from ``training.seed`` on."""
    return range(config.training.seed, config.training.seed + config.study.seeds)


def twin_run(config: ProjectConfig, setting: Setting, seed: int) -> Run:
    """The twin of ``config`` at one setting, on paragraphs alone, like the diffusion runs of ``compare``."""
    label = f"twin {setting.epochs} epochs, dropout {setting.dropout:g}, decay {setting.weight_decay:g}, seed {seed}"
    return study_run(label, twin_of(plain(config, setting.epochs, seed), setting.dropout, setting.weight_decay))


def sweep_runs(config: ProjectConfig) -> dict[Setting, Run]:
    """The sweep over dropout, weight decay and epochs, on the first seed."""
    grid = config.study
    settings = product(grid.twin_dropouts, grid.twin_weight_decays, grid.twin_epochs)
    return {s: twin_run(config, s, config.training.seed) for s in (Setting(*values) for values in settings)}


def winner(config: ProjectConfig, find: Lookup) -> Setting:
    """The sweep's best setting by validation among the runs done so far; the first of the grid if there are none."""
    sweep = sweep_runs(config)
    done = {setting: result for setting, run in sweep.items() if (result := find(run)) is not None}
    if not done:
        return next(iter(sweep))
    return min(done, key=lambda setting: done[setting].best.bits_per_byte)


def equal_run(config: ProjectConfig, setting: Setting, steps: int, lengths: Lengths, seed: int) -> Run:
    """The twin with a schedule of ``steps`` optimiser steps, the compute of the diffusion run it is compared with."""
    (per_epoch,) = lengths.steps_per_epoch(plain(config, 1, seed))
    run = twin_run(config, replace(setting, epochs=-(-steps // per_epoch)), seed)
    return study_run(f"{run.label}, {EQUAL}", run.config, **{"training.max_steps": steps})


def twin_plan(config: ProjectConfig, steps: int, lengths: Lengths, find: Lookup) -> list[Run]:
    """The sweep, then its winner and the equal-compute run for each seed."""
    best = winner(config, find)
    runs = list(sweep_runs(config).values())
    for seed in seeds_of(config):
        runs += [twin_run(config, best, seed), equal_run(config, best, steps, lengths, seed)]
    return runs


def over_seeds(config: ProjectConfig, steps: int, lengths: Lengths, find: Lookup) -> list[TwinOverSeeds]:
    """The sweep's winner and the equal-compute run of a finished plan, each over all seeds."""
    best = winner(config, find)
    named = {
        WINNER: [twin_run(config, best, seed) for seed in seeds_of(config)],
        EQUAL: [equal_run(config, best, steps, lengths, seed) for seed in seeds_of(config)],
    }
    results = {name: [r for run in runs if (r := find(run)) is not None] for name, runs in named.items()}
    tests = {name: [r.test.bits_per_byte for r in same] for name, same in results.items()}
    return [
        TwinOverSeeds(
            name=name,
            epochs=named[name][0].config.curriculum.epochs,
            validation=spread([r.best.bits_per_byte for r in same]),
            test=spread(tests[name]),
            against=None if name == WINNER else paired(tests[name], tests[WINNER]),
        )
        for name, same in results.items()
    ]


def steps_within(config: ProjectConfig, flops: float, lengths: Lengths) -> int:
    """Optimiser steps that cost about ``flops``; raises UserError if that is less than one."""
    steps = round(flops / lengths.flops(config, 1))
    if steps < 1:
        raise UserError(f"{flops:.1e} FLOPs are less than one training step of this twin")
    return steps


def best_of(runs: Sequence[Run], find: Lookup) -> tuple[Run, RunResult]:
    """The finished run with the best validation."""
    done = [(run, result) for run in runs if (result := find(run)) is not None]
    return min(done, key=lambda pair: pair[1].best.bits_per_byte)


def publish(result: RunResult, target: Path) -> None:
    """Copy a run's best checkpoint to ``target``, completely or not at all; raises UserError if it is gone."""
    if not result.checkpoint.exists():
        raise UserError(
            f"{result.checkpoint} is gone: delete the folder {result.checkpoint.parent}, and the run is repeated"
        )
    with atomic_write(target) as file:
        file.write(result.checkpoint.read_bytes())
