"""Measures the value of the curriculum: schedules compared after equal numbers of optimiser steps on equal batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..config import ProjectConfig
from ..errors import UserError
from ..evaluation.seeds import Paired, Spread, paired, spread
from .plan import Lengths, Lookup
from .runs import Run, study_run
from .settings import fitted, plain, schedules
from .twin import seeds_of


@dataclass(frozen=True)
class AblationRow:
    """One schedule over all seeds; ``against`` is its test figure minus that of the study's first schedule."""

    schedule: str
    steps: int
    tokens: float
    flops: float
    validation: Spread
    test: Spread
    against: Paired | None


def budget(config: ProjectConfig, lengths: Lengths) -> int:
    """Optimiser steps of every run: ``study.ablation_epochs`` epochs of paragraphs."""
    (per_epoch,) = lengths.steps_per_epoch(plain(config, 1, config.training.seed))
    return per_epoch * config.study.ablation_epochs


def ablation_runs(config: ProjectConfig, lengths: Lengths) -> dict[str, list[Run]]:
    """Runs of each schedule, one for each seed. Batches have equal rows, so equal steps mean equal FLOPs.

    Packed sentences and pairs leave a little padding, so the numbers of tokens differ; they are reported. Raises
    UserError for a schedule that does not fit into the budget.
    """
    steps = budget(config, lengths)
    runs: dict[str, list[Run]] = {}
    known = schedules()
    for name in config.study.schedules:
        schedule = known[name]
        for seed in seeds_of(config):
            settings = {"seed": seed, "early_stopping_patience": 0, "max_steps": steps}
            run = config.override(curriculum=schedule, training=settings, model={"controls": False})
            schedule_here = fitted(schedule, lengths.steps_per_epoch(run), steps)
            runs.setdefault(name, []).append(study_run(f"{name}, seed {seed}", run, curriculum=schedule_here))
    return runs


def ablation_plan(runs: Mapping[str, Sequence[Run]]) -> list[Run]:
    """All runs, seed by seed, so that every prefix of seeds is a complete comparison."""
    return [run for same_seed in zip(*runs.values(), strict=True) for run in same_seed]


def ablation_rows(runs: Mapping[str, Sequence[Run]], find: Lookup) -> list[AblationRow]:
    """The table of a finished study, best test figure first; raises UserError unless compute was equal."""
    results = {name: [r for run in same if (r := find(run)) is not None] for name, same in runs.items()}
    spent = {r.flops for same in results.values() for r in same}
    if len(spent) != 1:
        raise UserError(f"runs of unequal compute cannot be compared: {sorted(spent)} FLOPs")
    reference, *_ = results
    rows = []
    for name, same in results.items():
        tests = [r.test.bits_per_byte for r in same]
        others = [r.test.bits_per_byte for r in results[reference]]
        rows.append(
            AblationRow(
                schedule=name,
                steps=same[0].steps,
                tokens=fmean(r.tokens for r in same),
                flops=same[0].flops,
                validation=spread([r.best.bits_per_byte for r in same]),
                test=spread(tests),
                against=None if name == reference else paired(tests, others),
            )
        )
    return sorted(rows, key=lambda row: row.test.mean)
