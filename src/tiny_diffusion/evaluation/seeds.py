"""What several seeds say: mean, spread, and paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t


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
    """Mean difference a - b of runs paired by seed, with its 95 % interval by Student's t over seeds."""

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
    return f"95 % intervals of differences by Student's t over {seeds} paired seeds; ± is a standard deviation"


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation of one figure over seeds."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def paired(a: Sequence[float], b: Sequence[float]) -> Paired:
    """The difference a - b, seed by seed; both in the same order of seeds.

    A bootstrap over so few values as studies have covers far less than it says: Student's t takes their number in.
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean, lower, n = fmean(differences), sum(d < 0 for d in differences), len(differences)
    if n == 1:
        return Paired(mean, None, None, lower, n)
    half = float(t.ppf(0.975, n - 1)) * stdev(differences) / n**0.5
    return Paired(mean, mean - half, mean + half, lower, n)
