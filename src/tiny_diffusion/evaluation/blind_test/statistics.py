"""Statistics of people's answers: accuracy, differences of ratings, agreement between raters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from .answers_file import ASPECTS
from .records import Answer, Origin, Progress
from .store import ALL_RATERS, AnswerStore

VERSION = 1
CONFIDENCE = 0.95

FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """How well one rater (or all together, ``ALL_RATERS``) told the book from the model.

    interval: Wilson, 95 %. fooled: share of the model's passages taken for the book's. doubted: the reverse.
    """

    rater: str
    answers: int
    right: int
    accuracy: float
    interval: Interval
    fooled: float
    doubted: float


@dataclass(frozen=True)
class RatingDifference:
    """Mean rating (1 to 5) of the book's and of the model's passages, and the first minus the second."""

    aspect: str
    raters: int
    real: float
    generated: float
    difference: float
    interval: Interval


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha for one question; None if it is undefined (see ``krippendorff_alpha``)."""

    question: str
    raters: int
    alpha: float | None


@dataclass(frozen=True)
class BlindReport:
    """All figures of a blind test. Only raters who have finished count; ``progress`` lists everybody.

    resampled_accuracy: 95 % interval of all raters' accuracy over other raters and other passages, None below two
    raters. The Wilson interval of all raters assumes independent answers, but answers to the same passage are not
    independent.
    """

    version: int
    origin: Origin
    progress: list[Progress]
    scores: list[Score]
    resampled_accuracy: Interval | None
    differences: list[RatingDifference]
    agreement: list[Agreement]

    @property
    def passages(self) -> int:
        """Number of passages that each rater judges."""
        return int(self.origin.settings["evaluation.blind_passages"])

    @property
    def overall(self) -> Score | None:
        """The score of all raters, or of the only one; None if nobody has finished."""
        return self.scores[-1] if self.scores else None

    @property
    def told_apart(self) -> bool | None:
        """Whether people tell the two apart better (True) or worse (False) than by guessing; None if that is open.

        Decided by the interval over other raters and passages, or by Wilson's if there is one rater.
        """
        if self.overall is None:
            return None
        low, high = self.resampled_accuracy or self.overall.interval
        return True if low > 0.5 else False if high < 0.5 else None


def report(store: AnswerStore, resamples: int) -> BlindReport:
    """Figures of all raters who have finished; the bootstrap uses the test's own seed."""
    answers = store.answers()
    seed = store.origin.settings["evaluation.seed"]
    names = list(dict.fromkeys(a.rater for a in answers))
    scores = [score(name, [a for a in answers if a.rater == name]) for name in names]
    several = len(names) > 1
    real, right = _table(answers, lambda a: float(a.said_real == a.real))
    rated = [a for a in answers if a.ratings]
    return BlindReport(
        version=VERSION,
        origin=store.origin,
        progress=store.progress(),
        scores=[*scores, score(ALL_RATERS, answers)] if several else scores,
        resampled_accuracy=bootstrap_mean(real, right, resamples, seed) if several else None,
        differences=[rating_difference(rated, aspect, resamples, seed) for aspect in ASPECTS] if rated else [],
        agreement=_agreement(answers) if several else [],
    )


def score(rater: str, answers: list[Answer]) -> Score:
    """The figures of one rater's (or all raters') answers, which must include some about each kind."""
    right = sum(a.said_real == a.real for a in answers)
    wrong = {kind: [a.said_real != a.real for a in answers if a.real == kind] for kind in (True, False)}
    return Score(
        rater=rater,
        answers=len(answers),
        right=right,
        accuracy=right / len(answers),
        interval=wilson_interval(right, len(answers)),
        fooled=sum(wrong[False]) / len(wrong[False]),
        doubted=sum(wrong[True]) / len(wrong[True]),
    )


def wilson_interval(right: int, total: int) -> Interval:
    """95 % interval of a proportion (Wilson 1927), without continuity correction."""
    found = binomtest(right, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def rating_difference(answers: list[Answer], aspect: str, resamples: int, seed: int) -> RatingDifference:
    """Mean rating of the book's passages minus the model's; every answer must have ratings."""
    real, table = _table(answers, lambda a: float(a.ratings[aspect]))
    draws = _resampled_means(real, table, resamples, seed)
    low, high = _quantiles(draws[0] - draws[1])
    means = table[:, real].mean(), table[:, ~real].mean()
    return RatingDifference(
        aspect, len(table), float(means[0]), float(means[1]), float(means[0] - means[1]), (low, high)
    )


def bootstrap_mean(real: npt.NDArray[np.bool_], table: FloatArray, resamples: int, seed: int) -> Interval:
    """95 % interval of the mean of ``table`` (raters, passages) over other raters and other passages."""
    draws = _resampled_means(real, table, resamples, seed)
    return _quantiles(draws[0] * real.mean() + draws[1] * (1 - real.mean()))


def krippendorff_alpha(units: list[list[float]], *, ordinal: bool = False) -> float | None:
    """Agreement of any number of raters: 1 is perfect, 0 is chance, below 0 is less than chance.

    ``units``: for each passage, the values that raters gave it (a rater may be missing). The nominal difference counts
    values as equal or not; the ordinal one counts the ranks between them. None if no two raters share a passage, or if
    all values are equal, so that nothing could vary. Source: Krippendorff, Computing Krippendorff's Alpha-Reliability
    (2011).
    """
    shared = [unit for unit in units if len(unit) > 1]
    values = sorted({value for unit in shared for value in unit})
    if len(values) < 2:
        return None
    counts = np.array([[unit.count(value) for value in values] for unit in shared], dtype=np.float64)  # (U, V)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))  # (U, V, V)
    observed = (pairs / (counts.sum(1) - 1)[:, None, None]).sum(0)
    totals = observed.sum(0)
    expected = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    distance = 1 - np.eye(len(values))
    if ordinal:
        middles = np.cumsum(totals) - totals / 2  # the middle rank of each value
        distance = (middles[:, None] - middles[None, :]) ** 2
    return float(1 - (observed * distance).sum() / (expected * distance).sum())


def _agreement(answers: list[Answer]) -> list[Agreement]:
    """Agreement of all raters on the verdict, and of those who rate on each aspect."""
    _, verdicts = _table(answers, lambda a: float(a.said_real))
    found = [Agreement("real or generated", len(verdicts), krippendorff_alpha(verdicts.T.tolist()))]
    rated = [a for a in answers if a.ratings]
    for aspect in ASPECTS if rated else ():
        _, table = _table(rated, lambda a, key=aspect: float(a.ratings[key]))  # type: ignore[misc]
        found.append(Agreement(aspect, len(table), krippendorff_alpha(table.T.tolist(), ordinal=True)))
    return found


def _table(answers: list[Answer], value: Callable[[Answer], float]) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Which passages are real (P,), and the values (raters, P): complete, since a finished rater has judged all."""
    truth = {a.passage: a.real for a in answers}
    found = {(a.rater, a.passage): value(a) for a in answers}
    names = dict.fromkeys(a.rater for a in answers)
    table = np.array([[found[name, passage] for passage in sorted(truth)] for name in names])
    return np.array([truth[passage] for passage in sorted(truth)]), table


def _resampled_means(real: npt.NDArray[np.bool_], table: FloatArray, resamples: int, seed: int) -> FloatArray:
    """Means of the real and of the generated passages' values in each resample: (2, resamples).

    Raters and passages (real and generated separately) are drawn with replacement, independently, because an answer
    depends on both: the pigeonhole bootstrap (Owen 2007). With one rater only the passages vary.
    """
    rng = np.random.default_rng(seed)
    raters = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), resamples)  # (B, R)
    means = []
    for part in (table[:, real], table[:, ~real]):
        size = part.shape[1]
        passages = rng.multinomial(size, np.full(size, 1 / size), resamples)  # (B, P)
        means.append(((raters @ part) * passages).sum(1) / (len(table) * size))
    return np.array(means)


def _quantiles(draws: FloatArray) -> Interval:
    low, high = np.quantile(draws, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)
