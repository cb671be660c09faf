"""Repetition within a text: distinct n-grams, recurring n-grams, and loops."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UserError

LONGEST_PERIOD = 64
"""Longest phrase, in words, whose immediate repetition counts as a loop; longer ones show in ``self_repeat``."""


@dataclass(frozen=True)
class Loop:
    """A phrase repeated immediately: words in the whole stretch, words in the phrase, and the phrase; 0 if none."""

    words: int
    period: int
    phrase: str


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of ``n`` words; raises UserError if ``n`` is below 1."""
    if n < 1:
        raise UserError(f"n-gram length {n} is too small: it must be 1 or more")
    return list(zip(*(words[offset:] for offset in range(n)), strict=False))


def distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """Distinct n-grams over all n-grams of all texts together (Li et al. 2016); None without any n-gram.

    The figure falls as texts grow: compare it at equal size.
    """
    found = [gram for words in texts for gram in ngrams(words, n)]
    return len(set(found)) / len(found) if found else None


def self_repeat(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """Share of n-grams that occurred in the same text before (rep-n, Welleck et al. 2020); None without any n-gram."""
    grams = [ngrams(words, n) for words in texts]
    total = sum(map(len, grams))
    return 1 - sum(len(set(found)) for found in grams) / total if total else None


def longest_loop(words: Sequence[str]) -> Loop:
    """The longest stretch in which one phrase of at most 64 words follows itself, twice or more.

    Among stretches of equal length, the one with the shortest phrase.
    """
    identity: dict[str, int] = {}
    ids = np.array([identity.setdefault(word, len(identity)) for word in words])
    best = Loop(0, 0, "")
    for period in range(1, min(LONGEST_PERIOD, len(ids) // 2) + 1):
        same = np.concatenate(([False], ids[period:] == ids[:-period], [False]))
        edges = np.flatnonzero(same[1:] != same[:-1]).reshape(-1, 2)  # start and end of each run of equal words
        if edges.size == 0:
            continue
        start, end = edges[(edges[:, 1] - edges[:, 0]).argmax()].tolist()
        # A run shorter than the phrase is not a complete repetition of it.
        if end - start >= period and end - start + period > best.words:
            best = Loop(end - start + period, period, " ".join(words[start : start + period]))
    return best
