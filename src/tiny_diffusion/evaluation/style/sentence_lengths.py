"""Sentence lengths: how far their distribution is from the book's, and how far the book's is from itself."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp, wasserstein_distance

from .prose import Prose

BIN, LAST_BIN = 5, 60  # words


@dataclass(frozen=True)
class LengthBin:
    """Shares of the sentences with ``least`` to ``least`` + 4 words; the last bin has 60 words or more."""

    least: int
    generated: float
    held_out: float
    book: float


@dataclass(frozen=True)
class Lengths:
    """Distances between distributions of sentence length: Wasserstein's in words, Kolmogorov and Smirnov's in [0, 1].

    ``held_out_*``: of the held-out text, in pieces made like the generated text. ``halves_*``: between the book's odd
    and even passages, None for a book of one passage. ``book`` in the histogram is the training text.
    """

    wasserstein: float
    ks: float
    ks_p_value: float
    held_out_wasserstein: float
    held_out_ks: float
    halves_wasserstein: float | None
    halves_ks: float | None
    histogram: list[LengthBin]


def length_shares(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The share of sentences in each bin of five words, the last one open: [13]."""
    places = np.minimum(lengths, LAST_BIN) // BIN
    return np.bincount(places, minlength=LAST_BIN // BIN + 1) / len(lengths)


def compare_lengths(text: Prose, own: list[Prose], book: Prose) -> Lengths:
    """Compare the sentence lengths of ``text``, and of ``own`` pieces of the held-out text, with those of ``book``."""
    lengths, book_lengths = text.lengths, book.lengths
    test = ks_2samp(lengths, book_lengths)
    held = np.concatenate([piece.lengths for piece in own])
    shares = zip(*(length_shares(each).tolist() for each in (lengths, held, book_lengths)), strict=True)
    halves = [book.take(book.runs[i::2]).lengths for i in (0, 1) if len(book.runs) > 1]
    return Lengths(
        wasserstein=float(wasserstein_distance(lengths, book_lengths)),
        ks=float(test.statistic),
        ks_p_value=float(test.pvalue),
        held_out_wasserstein=float(np.mean([wasserstein_distance(p.lengths, book_lengths) for p in own])),
        held_out_ks=float(np.mean([ks_2samp(p.lengths, book_lengths).statistic for p in own])),
        halves_wasserstein=float(wasserstein_distance(*halves)) if halves else None,
        halves_ks=float(ks_2samp(*halves).statistic) if halves else None,
        histogram=[LengthBin(BIN * i, *row) for i, row in enumerate(shares)],
    )
