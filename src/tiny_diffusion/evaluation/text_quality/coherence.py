"""Coherence: how sentences connect, and whether a text repeats itself in loops.

Each figure is reported beside the held-out text's: mean and standard deviation over pieces made like the generated
texts. Likeness is the cosine of TF-IDF embeddings fitted on the training text alone.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from ...config import EvaluationConfig
from ...data.embedding import TfidfEmbedding, fit_tfidf
from ...data.language.connectives import count_roles, has_connectives
from ...data.language.word_list import word_frequencies
from ...data.language.words import split_words
from ..style.calibration import FloatArray
from ..style.names import carry_over, common_words
from ..style.prose import Prose, draw_pieces, require_sides

LONGEST_PERIOD = 64
"""Longest phrase, in words, whose immediate repetition counts as a loop; longer ones show in ``self_repeat``."""


@dataclass(frozen=True)
class Loop:
    """A phrase repeated immediately: words in the whole stretch, words in the phrase, and the phrase; 0 if none."""

    words: int
    period: int
    phrase: str


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of ``n`` words."""
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


@dataclass(frozen=True)
class Figure:
    """A figure of the generated text, and of the held-out text: mean and standard deviation over pieces.

    None if it cannot be measured: texts too short, no names, or a language without a table of connectives.
    """

    name: str
    generated: float | None
    held_out: float | None
    spread: float | None


@dataclass(frozen=True)
class CoherenceReport:
    """Figures by name, the distance in sentences for "apart", the longest loops, and a baseline for likeness.

    ``unordered_likeness`` is the likeness of two held-out sentences taken at random: the value for sentences in any
    order.
    """

    figures: list[Figure]
    sentence_gap: int
    unordered_likeness: float | None
    loop: Loop
    held_out_loop: Loop


class SentenceLikeness:
    """Cosines between sentences, by an embedding fitted on training sentences."""

    def __init__(self, training: Prose, dim: int, seed: int) -> None:
        """Fit on the sentences of the training text."""
        self._counter = CountVectorizer(analyzer=split_words, dtype=np.float64)
        counts = self._counter.fit_transform(training.sentences).tocsr()
        self._embedding: TfidfEmbedding = fit_tfidf(counts, dim, seed)

    def embed(self, prose: Prose) -> FloatArray:
        """Unit rows, or zero rows for sentences without a known word: [sentences, dimensions]."""
        return self._embedding.transform(self._counter.transform(prose.sentences).tocsr())

    def apart(self, prose: Prose, gap: int) -> float | None:
        """Mean cosine of sentences ``gap`` apart in the same text; None if no text has so many sentences."""
        pairs = [(i, i + gap) for first, end in prose.runs.tolist() for i in range(first, end - gap)]
        if not pairs:
            return None
        vectors = self.embed(prose)
        one, other = np.array(pairs).T
        return float(np.einsum("nd,nd->n", vectors[one], vectors[other]).mean())

    def unordered(self, prose: Prose) -> float | None:
        """Mean cosine over all pairs of sentences; None below two."""
        vectors = self.embed(prose)
        count = len(vectors)
        if count < 2:
            return None
        total = vectors.sum(axis=0)
        return float((total @ total - (vectors**2).sum()) / (count * (count - 1)))


def connectives_per_100(prose: Prose, language: str) -> float | None:
    """Discourse connectives per 100 words; None for a language without a table of them."""
    if not has_connectives(language):
        return None
    return float(100 * count_roles(prose.sentences, language).sum() / prose.lengths.sum())


def unseen_share(prose: Prose, vocabulary: Collection[str]) -> float:
    """Share of the words that are not in ``vocabulary``."""
    words = prose.all_words
    return sum(word not in vocabulary for word in words) / len(words)


def invented_share(prose: Prose, vocabulary: Collection[str], language: str) -> float | None:
    """Share of the words that are neither in ``vocabulary`` nor in general use; None without a list of words.

    The list holds every word that wordfreq has met: what is not in it is hardly a word.
    """
    general = _general_words(language)
    if not general:
        return None
    words = prose.all_words
    return sum(word not in vocabulary and word not in general for word in words) / len(words)


@cache
def _general_words(language: str) -> frozenset[str]:
    """The words in general use, split like those of a text; empty if wordfreq has no list for ``language``."""
    return frozenset(word for entry in word_frequencies(language) or () for word in split_words(entry))


def measure_coherence(
    generated: list[str], held: list[str], training: list[str], language: str, settings: EvaluationConfig
) -> CoherenceReport:
    """Compare the coherence of ``generated`` with that of ``held``; embedding and names are learnt from ``training``.

    ``language`` is a two-letter code. Texts without a word are left out, and so are texts at the end that exceed the
    number of words in ``held``; raises UserError if no word is left on a side.
    """
    text, own, book = require_sides(generated, held, training, language, "coherence")
    pieces = draw_pieces(own, text, settings.book_pieces, settings.seed)
    likeness = SentenceLikeness(book, settings.coherence_dim, settings.seed)
    measures = _measures(likeness, book, language, settings)
    return CoherenceReport(
        figures=[_figure(name, measure, text, pieces) for name, measure in measures.items()],
        sentence_gap=settings.sentence_gap,
        unordered_likeness=likeness.unordered(own),
        loop=_loop(text),
        held_out_loop=_loop(own),
    )


def _measures(
    likeness: SentenceLikeness, book: Prose, language: str, settings: EvaluationConfig
) -> dict[str, Callable[[Prose], float | None]]:
    common, gap = common_words(book.sentences), settings.sentence_gap
    repeat = settings.repeat_order
    measures: dict[str, Callable[[Prose], float | None]] = {
        "likeness of neighbours": lambda prose: likeness.apart(prose, 1),
        f"likeness {gap} apart": lambda prose: likeness.apart(prose, gap),
        f"names taken up within {gap}": lambda prose: carry_over(prose, common, gap),
        "connectives in 100 words": lambda prose: connectives_per_100(prose, language),
    }
    for n in settings.distinct_orders:
        measures[f"distinct-{n}"] = lambda prose, n=n: distinct(prose.texts, n)  # type: ignore[misc]
    vocabulary = frozenset(book.all_words)
    measures["words new to the book"] = lambda prose: unseen_share(prose, vocabulary)
    measures["invented words"] = lambda prose: invented_share(prose, vocabulary, language)
    measures[f"repeated {repeat}-grams"] = lambda prose: self_repeat(prose.texts, repeat)
    measures["longest loop (words)"] = lambda prose: float(_loop(prose).words)
    return measures


def _figure(name: str, measure: Callable[[Prose], float | None], text: Prose, pieces: list[Prose]) -> Figure:
    found = [value for value in map(measure, pieces) if value is not None]
    mean, spread = (float(np.mean(found)), float(np.std(found))) if found else (None, None)
    return Figure(name, measure(text), mean, spread)


def _loop(prose: Prose) -> Loop:
    """The longest loop in any text."""
    return max((longest_loop(words) for words in prose.texts), key=lambda loop: loop.words)
