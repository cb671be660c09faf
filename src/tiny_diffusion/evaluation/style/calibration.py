"""Calibration: a distance of a text from the book, relative to the distances of pieces of the book itself."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .prose import Prose

FloatArray = npt.NDArray[np.float64]

OWN_QUANTILE = 0.99
"""A text gets the full score if it is no farther off than this quantile of the book's own pieces.

It is high because the lowest of several parts decides, and the book's own text should fail none of them by chance.
"""


@dataclass(frozen=True)
class Part:
    """One part of the score: the text's distance from the book, the book's own distance, and the score (0 to 100)."""

    name: str
    distance: float
    own: float
    score: float


@dataclass(frozen=True, eq=False)
class Measure:
    """A distance of prose from the book, and the distance that nearly all pieces of the book stay below."""

    name: str
    distance: Callable[[Prose], float]
    own: float

    def score(self, prose: Prose) -> Part:
        """100 if ``prose`` is no farther off than the book's own pieces, otherwise 100 own / distance."""
        distance = self.distance(prose)
        score = 100.0 if distance <= self.own else 100 * self.own / distance
        return Part(self.name, distance, self.own, score)


def calibrate(name: str, distance: Callable[[Prose], float], pieces: Sequence[Prose]) -> Measure:
    """Make a measure whose own distance is the 99 % quantile over ``pieces`` of the book.

    If the pieces do not differ at all (as in a book without any speech), the own distance is 1: one deviation, or one
    word.
    """
    own = float(np.quantile([distance(piece) for piece in pieces], OWN_QUANTILE))
    return Measure(name, distance, own if own > 0 else 1.0)


@dataclass(frozen=True, eq=False)
class Features:
    """Figures of a text that can be measured here, [n], with their mean and deviation over pieces of the book.

    ``of`` computes all figures of a text; ``kept`` holds the positions of those that can be used.
    """

    of: Callable[[Prose], FloatArray]
    kept: npt.NDArray[np.int64]
    centre: FloatArray
    scale: FloatArray

    def distance(self, prose: Prose) -> float:
        """Burrows' Delta over the kept figures between ``prose`` and the mean piece of the book.

        A figure that ``prose`` lacks (another book too short for a window) counts as one deviation off.
        """
        figures = self.of(prose)[self.kept]
        return burrows_delta(np.where(np.isnan(figures), self.centre + self.scale, figures), self.centre, self.scale)


def fit_features(of: Callable[[Prose], FloatArray], pieces: Sequence[Prose], generated: Prose) -> Features | None:
    """Fit figures on pieces of the book; None if none of them can be measured.

    A figure is left out if a piece or the generated text lacks it (NaN: the slope of one word, or rarity in a language
    without a frequency list). The smallest deviation is one over the number of generated words, because a share cannot
    differ by less than one word.
    """
    rows = np.array([of(piece) for piece in pieces])
    kept = np.flatnonzero(np.isfinite(rows).all(axis=0) & np.isfinite(of(generated)))
    if kept.size == 0:
        return None
    rows = rows[:, kept]
    return Features(of, kept, rows.mean(axis=0), np.maximum(rows.std(axis=0), 1 / generated.lengths.sum()))


def commonest(items: Iterable[object], count: int) -> list[object]:
    """The ``count`` commonest items; ties are ordered by their text."""
    counts = Counter(items)
    return sorted(counts, key=lambda item: (-counts[item], str(item)))[:count]


def frequencies(items: Sequence[object], of: list[object]) -> FloatArray:
    """The share of ``items`` that equals each entry of ``of``, [len(of)]."""
    counts = Counter(items)
    return np.array([counts[item] for item in of], dtype=np.float64) / len(items)


def burrows_delta(first: FloatArray, second: FloatArray, scale: FloatArray) -> float:
    """Mean absolute difference between the z-scores of two texts: mean |first - second| / scale.

    first, second: frequencies of the same words [n]. scale: their standard deviations over the texts of the corpus [n],
    above 0. The corpus mean cancels out. Source: Burrows (2002), Literary and Linguistic Computing 17.
    """
    return float(np.mean(np.abs(first - second) / scale))
