"""Coherence: how sentences connect, and whether a text repeats itself in loops.

Each figure is reported beside the held-out text's: mean and standard deviation over pieces made like the generated
texts. Likeness is the cosine of TF-IDF embeddings fitted on the training text alone.
"""

from collections.abc import Callable, Collection
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
from ..style.names import carry_over, fit_names
from ..style.prose import Prose, draw_pieces, require_prose, trim
from .repetition import Loop, distinct, longest_loop, self_repeat


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
    read = {"generated": generated, "held-out": held, "training": training}
    sides = {side: require_prose(texts, language, f"coherence: the {side} texts") for side, texts in read.items()}
    own, book = sides["held-out"], sides["training"]
    text = trim(sides["generated"], int(own.lengths.sum()))
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
    names, gap = fit_names(book.sentences), settings.sentence_gap
    repeat = settings.repeat_order
    measures: dict[str, Callable[[Prose], float | None]] = {
        "likeness of neighbours": lambda prose: likeness.apart(prose, 1),
        f"likeness {gap} apart": lambda prose: likeness.apart(prose, gap),
        f"names taken up within {gap}": lambda prose: carry_over(prose, names, gap),
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
