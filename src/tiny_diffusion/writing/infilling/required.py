"""Words that must appear in a filling: which gap takes them, where in it they stand, and whether they stand whole.

Shapes: L tokens of a gap, V text vocabulary.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...data.tokenizer import MASK, NUM_RESERVED
from ...errors import UserError
from .boundaries import Opening
from .draft import Hole


@dataclass(frozen=True)
class RequiredWord:
    """A word's ids within a gap, with its space, and at the gap's very beginning, where it may go without."""

    text: str
    inner: tuple[int, ...]
    first: tuple[int, ...]


def checked(must: tuple[str, ...]) -> tuple[str, ...]:
    """``must`` as given; raises UserError where it is one string, or one of its strings is not a single word."""
    if isinstance(must, str):
        raise UserError(f"must={must!r} is one string; give a tuple of words, such as ({must!r},)")
    for word in must:
        if len(word.split()) != 1 or word != word.strip():
            raise UserError(f"{word!r} is not one word; give each word that must appear by itself, without spaces")
    return must


def required_words(hole: Hole, encode: Callable[[str], list[int]]) -> list[RequiredWord]:
    """The words that ``hole`` must hold, encoded for it."""
    bare = hole.opening is Opening.WORD or (hole.opening is Opening.FREE and not hole.before.isalnum())
    spaced = [tuple(encode(f" {word}")) for word in hole.must]
    alone = [tuple(encode(word)) for word in hole.must] if bare else spaced
    return [RequiredWord(*each) for each in zip(hole.must, spaced, alone, strict=True)]


def tokens_needed(words: Sequence[RequiredWord]) -> int:
    """The fewest tokens that hold all of ``words``: the one that gains most by it stands first."""
    return sum(len(word.inner) for word in words) - max((len(w.inner) - len(w.first) for w in words), default=0)


def best_place(word: RequiredWord, chances: Tensor) -> float:
    """The highest mean log-probability a token of ``word`` at one place, by log-probabilities (L, V) of the gap."""
    found = _place_scores(word.inner, chances)
    return max(found) / len(word.inner) if found else float("-inf")


def place_words(words: Sequence[RequiredWord], chances: Tensor, end: int, generator: Generator) -> list[int] | None:
    """Ids of a gap (L) with ``words`` before ``end`` and MASK elsewhere; None where they do not fit in the order drawn.

    The words come in a random order, each at a place drawn by the probability that the model gives it there
    (``chances``: log-probabilities (L, V)), among the places that leave room for those after it.
    """
    ids, start = [MASK] * len(chances), 0
    order = [words[i] for i in torch.randperm(len(words), generator=generator).tolist()]
    for i, word in enumerate(order):
        last = end - sum(len(later.inner) for later in order[i + 1 :])
        places = {p: word.first if p == 0 else word.inner for p in range(start, last)}
        places = {p: form for p, form in places.items() if p + len(form) <= last}
        if not places:
            return None
        scores = torch.tensor([_score(form, chances, p) for p, form in places.items()], dtype=torch.float64)
        drawn = int(torch.multinomial(scores.softmax(0), 1, generator=generator))
        place, form = list(places.items())[drawn]
        start = place + len(form)
        ids[place:start] = form
    return ids


def stand_whole(hole: Hole, text: str) -> bool:
    """Whether each word that ``hole`` must hold stands in its filling ``text``, not as a part of a longer word."""
    whole = hole.before + text + hole.after
    start, end = len(hole.before), len(hole.before) + len(text)
    for word, count in Counter(hole.must).items():
        pattern = re.compile(rf"(?<!\w)(?<!\w['’-]){re.escape(word)}(?!['’-]?\w)")
        found = [m for m in pattern.finditer(whole) if m.start() >= start and m.end() <= end]
        if len(found) < count:
            return False
    return True


def _place_scores(ids: Sequence[int], chances: Tensor) -> list[float]:
    return [_score(ids, chances, place) for place in range(len(chances) - len(ids) + 1)]


def _score(ids: Sequence[int], chances: Tensor, place: int) -> float:
    """Log-probability of ``ids`` from ``place`` on, each by itself."""
    rows = torch.arange(place, place + len(ids))
    return float(chances[rows, torch.tensor(ids) - NUM_RESERVED].sum())
