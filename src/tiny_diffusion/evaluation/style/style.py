"""Style: one score from 0 to 100 for how like the book a text is written, with its parts.

The book is cut into pieces made like the generated texts: as many runs of whole sentences, of as many words, from
random places of the training text. Each part of the score is a distance d(text, book). The same distance of the pieces
shows how much the book differs from itself at this size; its 99 % quantile is the part's own distance q:

    part = 100 * min(1, q / d)        score = lowest part

So 100 means "as near as nearly all of the book's own pieces", and 50 "twice as far off". The lowest part decides, so
that nothing makes up for what is unlike the book. The held-out text, cut alike, scores near 100; it is reported beside
the generated text as a check, as are other books if given. The fewer words are measured, the more the book's own pieces
vary, and the milder the score.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from ...config import EvaluationConfig
from . import vocabulary
from .calibration import (
    Features,
    FloatArray,
    Measure,
    Part,
    burrows_delta,
    calibrate,
    commonest,
    fit_features,
    frequencies,
)
from .habits import Habit, letters, word_order
from .prose import Prose, draw_pieces, require_prose, require_sides
from .sentence_lengths import compare_lengths
from .style_report import DELTA, OtherBook, RankShare, StyleReport, TextStyle

RANKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000)


def measure_style(
    generated: list[str],
    held: list[str],
    training: list[str],
    language: str,
    settings: EvaluationConfig,
    other_books: dict[str, str] | None = None,
) -> StyleReport:
    """Score the style of ``generated`` against the book, by the formula above.

    ``language`` is a two-letter code. Texts without a word are left out. So are texts at the end that exceed the number
    of words in the held-out text, because it could not be cut alike. Raises UserError if no word is left on a side.
    """
    text, held_out, book = require_sides(generated, held, training, language, "style")
    pieces = draw_pieces(book, text, settings.book_pieces, settings.seed)
    own = draw_pieces(held_out, text, settings.book_pieces, settings.seed)
    # A run stops at the end of a sentence, so a piece can be slightly shorter than the text.
    window = min([settings.type_token_window, *(int(p.lengths.sum()) for p in (text, *pieces, *own))])
    how: dict[str, Any] = {"language": language, "window": window, "zipf": settings.rare_zipf}
    words = commonest(book.all_words, settings.delta_words)
    delta = fit_features(lambda prose: frequencies(prose.all_words, words), pieces, text)
    assert delta is not None, "a text with a word has frequencies"
    measures = _measures(book, pieces, text, delta, partial(_vocabulary, **how))
    own_parts = [[measure.score(piece) for measure in measures] for piece in own]
    parts = [measure.score(text) for measure in measures]
    types = set(text.all_words)
    return StyleReport(
        score=total(parts),
        parts=parts,
        held_out_score=float(np.mean([total(row) for row in own_parts])),
        held_out_parts=_mean_parts(own_parts),
        lengths=compare_lengths(text, own, book),
        delta=delta.distance(text),
        held_out_delta=float(np.mean([delta.distance(piece) for piece in own])),
        vocabulary_overlap=len(types & set(book.all_words)) / len(types),
        type_token_window=window,
        generated=_text_style(text, **how),
        held_out=_text_style(own[0], **how),
        zipf=_zipf(text, own[0]),
        other_books=[
            _other(name, other, text, own, measures, delta, language, settings)
            for name, other in (other_books or {}).items()
        ],
    )


def total(parts: list[Part]) -> float:
    """The lowest of the parts' scores."""
    return min(part.score for part in parts)


def _mean_parts(rows: list[list[Part]]) -> dict[str, float]:
    """The mean score of each part over texts."""
    return {same[0].name: float(np.mean([part.score for part in same])) for same in zip(*rows, strict=True)}


def _measures(
    book: Prose, pieces: list[Prose], text: Prose, delta: Features, variety: Callable[[Prose], FloatArray]
) -> list[Measure]:
    """The distances of the parts, each with the book's own; those that cannot be measured here are left out."""
    lengths = book.lengths
    others = {
        "vocabulary": fit_features(variety, pieces, text),
        "punctuation": fit_features(lambda prose: prose.marks.sum(0) / prose.lengths.sum(), pieces, text),
        "dialogue": fit_features(_dialogue, pieces, text),
    }
    return [
        calibrate("sentence length", lambda p: float(wasserstein_distance(p.lengths, lengths)), pieces),
        calibrate(DELTA, delta.distance, pieces),
        *(calibrate(name, f.distance, pieces) for name, f in others.items() if f is not None),
        _by_habit("word order", word_order(book), pieces),
        _by_habit("letters", letters(book), pieces),
    ]


def _by_habit(name: str, habit: Habit, pieces: list[Prose]) -> Measure:
    """How much more each item costs than in the mean piece of the book; text that is easier to foretell is not off."""
    centre = float(np.mean([habit.cost(piece) for piece in pieces]))
    return calibrate(name, lambda prose: max(0.0, habit.cost(prose) - centre), pieces)


def _dialogue(prose: Prose) -> FloatArray:
    return np.array([prose.spoken.sum() / prose.characters.sum()])


def _zipf(text: Prose, held: Prose) -> list[RankShare]:
    """Frequencies by rank, as far as either text has words."""
    sides = (vocabulary.rank_shares(each.all_words, RANKS) for each in (text, held))
    shares = zip(RANKS, *sides, strict=True)
    return [RankShare(*row) for row in shares if row[1:] != (None, None)]


def _vocabulary(prose: Prose, language: str, window: int, zipf: float) -> FloatArray:
    words = prose.all_words
    rare = vocabulary.rare_word_share(prose.sentences, language, zipf)
    shares = vocabulary.type_token_ratio(words, window), vocabulary.hapax_share(words)
    return np.array([*shares, vocabulary.zipf_slope(words), rare])


def _text_style(prose: Prose, language: str, window: int, zipf: float) -> TextStyle:
    words, lengths = prose.all_words, prose.lengths
    ratio, hapax, slope, rare = _vocabulary(prose, language, window, zipf).tolist()
    return TextStyle(
        sentences=len(lengths),
        words=len(words),
        sentence_length_mean=float(lengths.mean()),
        sentence_length_sd=float(lengths.std()),
        type_token_ratio=ratio,
        hapax_share=hapax,
        zipf_slope=None if np.isnan(slope) else slope,
        rare_word_share=None if np.isnan(rare) else rare,
        function_word_share=vocabulary.function_word_share(words, language),
        dialogue_share=float(_dialogue(prose)[0]),
        lix=vocabulary.lix(words, len(lengths)),
        letters_per_word=sum(map(len, words)) / len(words),
    )


def _other(
    name: str,
    other: str,
    text: Prose,
    own: list[Prose],
    measures: list[Measure],
    delta: Features,
    language: str,
    settings: EvaluationConfig,
) -> OtherBook:
    book = require_prose([other], language, f"style: the texts of {name!r}")
    pieces = draw_pieces(book, text, settings.book_pieces, settings.seed)
    there = delta.of(book)[delta.kept]
    distances = [burrows_delta(delta.of(p)[delta.kept], there, delta.scale) for p in (text, *own)]
    parts = [[measure.score(piece) for measure in measures] for piece in pieces]
    return OtherBook(
        name=name,
        score=float(np.mean([total(row) for row in parts])),
        parts=_mean_parts(parts),
        delta_to_generated=distances[0],
        delta_to_held_out=float(np.mean(distances[1:])),
    )
