"""Statistics over several seeds: mean, spread, and paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t


@dataclass(frozen=True)
class Spread:
    """Mean over seeds, standard deviation (n - 1), and the mean's 95 % interval by Student's t.

    For one seed everything but the mean is None.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    seeds: int

    @property
    def interval(self) -> str:
        """The mean's interval as text; empty for one seed."""
        return "" if self.low is None else f"[{self.low:.3f}, {self.high:.3f}]"

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + ("" if self.deviation is None else f" ±{self.deviation:.3f}")


@dataclass(frozen=True)
class Paired:
    """Mean difference a - b of runs paired by seed, with its 95 % interval by Student's t over seeds.

    lower: number of seeds for which a is below b.
    """

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
    """A sentence on how far differences over that many seeds can be trusted."""
    if seeds == 1:
        return "one seed: nothing is known of the spread between seeds"
    return f"95 % intervals by Student's t over {seeds} seeds, differences paired by seed; ± is a standard deviation"


def spread(values: Sequence[float]) -> Spread:
    """Mean, deviation and interval of one figure over seeds."""
    mean, n = fmean(values), len(values)
    if n == 1:
        return Spread(mean, None, None, None, n)
    half = _half_width(values)
    return Spread(mean, stdev(values), mean - half, mean + half, n)


def paired(a: Sequence[float], b: Sequence[float]) -> Paired:
    """The difference a - b, seed by seed; both in the same order of seeds.

    A bootstrap over so few values covers far less than it claims to; Student's t takes their number into account.
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean, lower, n = fmean(differences), sum(d < 0 for d in differences), len(differences)
    if n == 1:
        return Paired(mean, None, None, lower, n)
    half = _half_width(differences)
    return Paired(mean, mean - half, mean + half, lower, n)


def _half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean by Student's t, for at least two values."""
    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
