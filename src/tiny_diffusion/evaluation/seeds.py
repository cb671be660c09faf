"""What several seeds say: mean, spread, and paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

ROUGH = 5  # with fewer seeds a bootstrap over them can hardly be wider than their range


@dataclass(frozen=True)
class Spread:
    """Mean over seeds, and their standard deviation (n - 1); None for one seed, which has no spread."""

    mean: float
    deviation: float | None
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + ("" if self.deviation is None else f" ±{self.deviation:.3f}")


@dataclass(frozen=True)
class Paired:
    """Mean difference a - b of runs paired by seed, with its 95 % interval by bootstrap over seeds."""

    mean: float
    low: float | None
    high: float | None
    lower: int
    seeds: int

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.mean:+.3f}"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def seeds_note(seeds: int) -> str:
    """How far differences over so many seeds can be trusted, in words."""
    if seeds == 1:
        return "one seed: nothing is known of the spread between seeds"
    rough = ", rough with so few" if seeds < ROUGH else ""
    return f"95 % intervals of differences by bootstrap over {seeds} paired seeds{rough}; ± is a standard deviation"


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation of one figure over seeds."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def paired(a: Sequence[float], b: Sequence[float], resamples: int, seed: int) -> Paired:
    """The difference a - b, seed by seed; both in the same order of seeds."""
    differences = np.array([x - y for x, y in zip(a, b, strict=True)])
    lower, n = int((differences < 0).sum()), len(differences)
    if n == 1:
        return Paired(float(differences[0]), None, None, lower, n)
    picks = np.random.default_rng(seed).integers(0, n, (resamples, n))
    low, high = np.quantile(differences[picks].mean(1), (0.025, 0.975))
    return Paired(float(differences.mean()), float(low), float(high), lower, n)
