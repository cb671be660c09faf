"""Burrows' Delta: how far apart two texts lie in their commonest words (Burrows 2002, Literary and Linguistic
Computing 17)."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from .prose import Prose

FloatArray = npt.NDArray[np.float64]


def commonest(items: Iterable[object], count: int) -> list[object]:
    """The `count` commonest items, ties by their order as text."""
    counts = Counter(items)
    return sorted(counts, key=lambda item: (-counts[item], str(item)))[:count]


def frequencies(items: Sequence[object], of: list[object]) -> FloatArray:
    """The share of `items` that each entry of `of` makes up, [len(of)]; NaN when there is no item."""
    counts = Counter(items)
    return np.array([counts[item] for item in of], dtype=np.float64) / (len(items) or float("nan"))


def word_pairs(prose: Prose) -> list[object]:
    """Neighbouring words within each sentence."""
    return [pair for words in prose.words for pair in zip(words, words[1:], strict=False)]


def burrows_delta(first: FloatArray, second: FloatArray, scale: FloatArray) -> float:
    """Mean absolute difference of two texts' z-scores: mean |first - second| / scale.

    first, second: frequencies of the same words [n]; scale: their standard deviations over the texts of the
    corpus [n], above 0. The corpus mean cancels out.
    """
    return float(np.mean(np.abs(first - second) / scale))
