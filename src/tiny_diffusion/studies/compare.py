"""Finds where diffusion passes its autoregressive twin: both are trained over a grid of lengths, sizes and seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from ..config import ProjectConfig
from ..evaluation.seeds import Paired, Spread, paired, spread
from ..model.flops import critical_flops
from .plan import Lengths, Lookup
from .runs import Run, RunResult, study_run
from .settings import plain
from .twin import Setting, seeds_of, sweep_runs, twin_run, winner


@dataclass(frozen=True)
class GridPoint:
    """One length of training over all seeds: planned epochs and FLOPs, best validation, and that checkpoint's test."""

    epochs: int
    flops: float
    validation: Spread
    test: Spread


@dataclass(frozen=True)
class Crossing:
    """Where a curve first goes below another.

    at_first: whether it is below at the first point already. back: the first later point where it is not below any
    more; None if it stays below to the end.
    """

    epochs: float
    flops: float
    at_first: bool
    back: float | None


@dataclass(frozen=True)
class SizeResult:
    """Both curves of one size, where they cross, and what the formula predicts for this number of unique tokens.

    equal, best: where the diffusion curve first goes below the twin after as many epochs, and below the twin at its
    best. Test figures, diffusion minus twin: ``differences`` after as many epochs, ``at_best`` with each at its best by
    validation.
    """

    size: str
    parameters: int
    unique_tokens: int
    critical_flops: float
    setting: Setting
    diffusion: tuple[GridPoint, ...]
    twin: tuple[GridPoint, ...]
    equal: Crossing | None
    best: Crossing | None
    differences: dict[int, Paired]
    at_best: Paired

    @property
    def best_diffusion(self) -> GridPoint:
        """The diffusion model's best length by validation."""
        return best_point(self.diffusion)

    @property
    def best_twin(self) -> GridPoint:
        """The twin's best length by validation."""
        return best_point(self.twin)


def best_point(curve: Sequence[GridPoint]) -> GridPoint:
    """The point of a curve with the best validation over all seeds."""
    return min(curve, key=lambda point: point.validation.mean)


def crossover(
    epochs: Sequence[float], flops: Sequence[float], curve: Sequence[float], other: Sequence[float]
) -> Crossing | None:
    """The first place where ``curve`` is below ``other``, interpolated between grid points in log epochs.

    None if that happens nowhere on the grid.
    """
    gaps = [a - b for a, b in zip(curve, other, strict=True)]
    i = next((i for i, gap in enumerate(gaps) if gap < 0), None)
    if i is None:
        return None
    back = next((e for e, gap in zip(epochs[i:], gaps[i:], strict=True) if gap >= 0), None)
    if i == 0:
        return Crossing(epochs[0], flops[0], True, back)
    share = gaps[i - 1] / (gaps[i - 1] - gaps[i])

    def between(values: Sequence[float]) -> float:
        return math.exp((1 - share) * math.log(values[i - 1]) + share * math.log(values[i]))

    return Crossing(between(epochs), between(flops), False, back)


def diffusion_run(config: ProjectConfig, epochs: int, seed: int) -> Run:
    """A diffusion run on paragraphs alone, with the settings of ``config``."""
    return study_run(f"diffusion {epochs} epochs, seed {seed}", plain(config, epochs, seed))


def grid(config: ProjectConfig, find: Lookup, seed: int) -> tuple[dict[int, Run], dict[int, Run]]:
    """Runs of one size and seed by epochs: diffusion, and the twin at the sweep's best dropout and weight decay."""
    best = winner(config, find)
    diffusion = {epochs: diffusion_run(config, epochs, seed) for epochs in config.study.epochs}
    twin_lengths = sorted({*config.study.epochs, best.epochs})  # with those of the twin at its best
    return diffusion, {epochs: twin_run(config, replace(best, epochs=epochs), seed) for epochs in twin_lengths}


def compare_plan(sizes: Mapping[str, ProjectConfig], find: Lookup) -> list[Run]:
    """Sweeps first, then all runs seed by seed, so that a study stopped early still contains whole curves."""
    runs = [(size, run) for size, config in sizes.items() for run in sweep_runs(config).values()]
    for number in range(next(iter(sizes.values())).study.seeds):
        for size, config in sizes.items():
            for same in grid(config, find, config.training.seed + number)[::-1]:
                runs += [(size, run) for run in same.values()]
    return [replace(run, label=f"{size}: {run.label}") if len(sizes) > 1 else run for size, run in runs]


def size_result(size: str, config: ProjectConfig, lengths: Lengths, find: Lookup) -> SizeResult:
    """The curves of one size, from finished runs."""
    grids = [grid(config, find, seed) for seed in seeds_of(config)]
    diffusion = _curve([g[0] for g in grids], lengths, find)
    twin = _curve([g[1] for g in grids], lengths, find)
    by_epochs = {point.epochs: point for point in twin}
    epochs = [p.epochs for p in diffusion]
    flops = [p.flops for p in diffusion]
    curve = [p.validation.mean for p in diffusion]
    best, best_twin = best_point(diffusion), best_point(twin)

    def difference(epochs: int, of_twin: int) -> Paired:
        pairs = [[_result(run, find).test.bits_per_byte for run in (g[0][epochs], g[1][of_twin])] for g in grids]
        return paired(*zip(*pairs, strict=True))

    rows = lengths.rows(plain(config, 1, config.training.seed))
    unique = len(rows.encoded[-1][0])
    return SizeResult(
        size=size,
        parameters=_result(grids[0][0][epochs[-1]], find).parameters,
        unique_tokens=unique,
        critical_flops=critical_flops(unique),
        setting=winner(config, find),
        diffusion=diffusion,
        twin=twin,
        equal=crossover(epochs, flops, curve, [by_epochs[e].validation.mean for e in epochs]),
        best=crossover(epochs, flops, curve, [best_twin.validation.mean] * len(epochs)),
        differences={e: difference(e, e) for e in epochs},
        at_best=difference(best.epochs, best_twin.epochs),
    )


def _curve(grids: Sequence[Mapping[int, Run]], lengths: Lengths, find: Lookup) -> tuple[GridPoint, ...]:
    points = []
    for epochs in grids[0]:
        results = [_result(g[epochs], find) for g in grids]
        validation = spread([r.best.bits_per_byte for r in results])
        test = spread([r.test.bits_per_byte for r in results])
        flops = fmean(lengths.flops(g[epochs].config, lengths.steps(g[epochs].config)) for g in grids)
        points.append(GridPoint(epochs, flops, validation, test))
    return tuple(points)


def _result(run: Run, find: Lookup) -> RunResult:
    result = find(run)
    assert result is not None, f"{run.label} is not finished"
    return result
