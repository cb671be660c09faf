"""A two-sample test: how often a classifier tells the model from held-out text (Lopez-Paz and Oquab 2017).

50 % means that it cannot. It learns from other texts than it judges, and sees what the style score sees (order of words
and letters, new words, variety, punctuation) and short sequences of words and characters.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from ...config import EvaluationConfig
from ...data.language.words import split_words
from ...errors import UserError
from ..style.calibration import FloatArray
from ..style.habits import letters, word_order
from ..style.prose import Prose, read_prose, require_prose
from .coherence import unseen_share
from .novelty import cut

TWO_SAMPLE = "two-sample test"  # name of the step
FOLDS = 5
SHRINK = 1 / 3  # of the few measured figures beside the many sequences, whose rows have unit length
PENALTY = 3.0  # scikit-learn's C


@dataclass(frozen=True)
class TwoSample:
    """Share of passages that the classifier assigns rightly, mean of both sides, with a 95 % interval over texts.

    words: in each passage. generated, held_out: number of passages.
    """

    accuracy: float
    low: float
    high: float
    words: int
    generated: int
    held_out: int


def measure_two_sample(
    generated: list[str], held: list[str], training: list[str], language: str, settings: EvaluationConfig
) -> TwoSample:
    """Tell passages of ``settings.two_sample_words`` words of ``generated`` texts from those of ``held`` passages.

    All passages of one text are in the same fold. ``training`` teaches the figures, never the classifier. Raises
    UserError if a side has fewer than two texts of that length.
    """
    words = settings.two_sample_words
    passages: list[str] = []
    groups: list[int] = []
    sides: list[bool] = []
    for side, texts in ((True, generated), (False, held)):
        found = [_passages(text, words) for text in texts]
        if sum(map(bool, found)) < 2:
            name = "generated" if side else "held-out"
            raise UserError(f"the {TWO_SAMPLE} needs two {name} texts of {words} words or more")
        for pieces in found:
            groups += [max(groups, default=-1) + 1] * len(pieces)
            sides += [side] * len(pieces)
            passages += pieces
    book = require_prose(training, language, f"the {TWO_SAMPLE}: the training texts")
    model, texts_of = np.array(sides), np.array(groups)
    right = _judged(passages, _figures(passages, book, language), model, texts_of, settings.seed)
    low, high = np.quantile(_resampled(right, model, texts_of, settings), (0.025, 0.975)).tolist()
    accuracy = float((right[model].mean() + right[~model].mean()) / 2)
    return TwoSample(accuracy, low, high, words, int(model.sum()), int((~model).sum()))


def _passages(text: str, words: int) -> list[str]:
    """Consecutive passages of exactly ``words`` words."""
    return [piece for piece in cut([text], words, len(text)) if len(split_words(piece)) == words]


def _figures(passages: list[str], book: Prose, language: str) -> FloatArray:
    """What the style score measures, of each passage: [passages, figures]."""
    order, spelling, known = word_order(book), letters(book), frozenset(book.all_words)
    rows = []
    for prose in (read_prose([passage], language) for passage in passages):
        count = len(prose.all_words)
        variety = len(set(prose.all_words)) / count
        figures = [order.cost(prose), spelling.cost(prose), unseen_share(prose, known), variety, prose.lengths.mean()]
        rows.append([*figures, *(prose.marks.sum(0) / count)])
    return np.array(rows)


def _judged(passages: list[str], figures: FloatArray, sides: np.ndarray, groups: np.ndarray, seed: int) -> FloatArray:
    """Whether each passage is assigned rightly by a classifier that has not seen its text: 0 or 1, [passages]."""
    folds = min(FOLDS, *(len(set(groups[sides == side].tolist())) for side in (True, False)))
    right = np.zeros(len(passages))
    for learnt, judged in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(passages, sides, groups):
        sequences = (
            TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True),
            TfidfVectorizer(analyzer=_word_sequences, sublinear_tf=True),
        )
        scaler = StandardScaler().fit(figures[learnt])
        rows = {}
        for part in (learnt, judged):
            texts = [passages[i] for i in part]
            found = [s.fit_transform(texts) if part is learnt else s.transform(texts) for s in sequences]
            rows[part is learnt] = sparse.hstack([SHRINK * scaler.transform(figures[part]), *found], format="csr")
        classifier = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=2000)
        right[judged] = classifier.fit(rows[True], sides[learnt]).predict(rows[False]) == sides[judged]
    return right


def _word_sequences(text: str) -> list[str]:
    """Words, and pairs and triples of neighbouring ones."""
    words = split_words(text)
    return [" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)]


def _resampled(right: FloatArray, sides: np.ndarray, groups: np.ndarray, settings: EvaluationConfig) -> FloatArray:
    """The accuracy with other texts drawn on each side, [resamples]."""
    rng = np.random.default_rng(settings.seed)
    found = np.zeros(settings.bootstrap)
    for side in (True, False):
        own, place = np.unique(groups[sides == side], return_inverse=True)
        hits, sizes = np.bincount(place, right[sides == side]), np.bincount(place)
        drawn = rng.integers(len(own), size=(settings.bootstrap, len(own)))
        found += hits[drawn].sum(1) / sizes[drawn].sum(1) / 2
    return found
