"""Habits of the book: which words, and which letters, follow each other, and how far a text departs from that."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from ...data.ngrams import KneserNey
from .calibration import commonest
from .prose import Prose

WORD_ORDER, LETTER_ORDER = 3, 5  # lengths of the n-grams, in words and marks, and in characters
COMMON = 150  # the commonest words and marks stand for themselves, all others for their ending
ENDING = 2  # letters
_BEGIN, _END = "<", ">"
_ITEM = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")
_UNKNOWN = 0


class Habit:
    """Kneser-Ney models of one kind of item of the book's sentences, for the nats that an item of a text costs.

    There are two models, one of every other passage each (of each half of a book that is one passage). A sentence of
    the book is scored by the model that has not read it, any other one by both: so a text that the models have not read
    costs as much as the book itself if it has the same habits.
    """

    def __init__(self, book: Prose, items: Callable[[str], Sequence[str]], order: int, *, relative: bool) -> None:
        """``items`` splits a sentence. With ``relative`` the cost is that beyond the same items' mere frequency."""
        self._items = items
        split = [items(sentence) for sentence in book.sentences]
        self._ids = {item: i for i, item in enumerate(sorted({item for row in split for item in row}), _UNKNOWN + 1)}
        if len(book.runs) > 1:
            half = np.repeat(np.arange(len(book.runs)) % 2, np.diff(book.runs)[:, 0])
        else:
            half = np.arange(len(split)) * 2 // len(split)
        rows = [self._encode(row) for row in split]
        learnt = [[row for row, other in zip(rows, half, strict=True) if other != side] for side in (0, 1)]
        learnt = [each or rows for each in learnt]  # a book of one sentence has no other half
        self._models = [KneserNey(order, len(self._ids) + 1, each) for each in learnt]
        self._by_frequency = [KneserNey(1, len(self._ids) + 1, each) for each in learnt] if relative else []
        self._own = dict(zip(book.sentences, half.tolist(), strict=True))
        self._known: dict[str, tuple[float, int]] = {}

    def cost(self, prose: Prose) -> float:
        """Nats per item of ``prose``."""
        nats, items = np.sum([self._sentence(sentence) for sentence in prose.sentences], axis=0)
        return float(nats / items)

    def _encode(self, row: Sequence[str]) -> np.ndarray:
        return np.array([self._ids.get(item, _UNKNOWN) for item in row])

    def _sentence(self, sentence: str) -> tuple[float, int]:
        """Nats and number of the items of one sentence."""
        if sentence not in self._known:
            row = self._encode(self._items(sentence))
            sides = (self._own[sentence],) if sentence in self._own else (0, 1)
            nats = [-self._models[side].log_probs(row).sum() for side in sides]
            spared = [self._by_frequency[side].log_probs(row).sum() for side in sides] if self._by_frequency else [0.0]
            self._known[sentence] = float(np.mean(nats) + np.mean(spared)), len(row)
        return self._known[sentence]


def word_order(book: Prose) -> Habit:
    """The order of words and marks, whatever the choice of words: rare words count by their last letters alone."""
    every = (item for sentence in book.sentences for item in _ITEM.findall(sentence.casefold()))
    common = set(commonest(every, COMMON))

    def items(sentence: str) -> list[str]:
        found = _ITEM.findall(sentence.casefold())
        return [_BEGIN, *(item if item in common else f"~{item[-ENDING:]}" for item in found), _END]

    return Habit(book, items, WORD_ORDER, relative=True)


def letters(book: Prose) -> Habit:
    """Sequences of characters, spaces and marks included: spelling, vocabulary and phrases together."""
    return Habit(book, lambda sentence: f" {sentence} ", LETTER_ORDER, relative=False)
