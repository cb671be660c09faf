"""Doubled words: no word follows itself, unless the book has it so, as "had had" or French "nous nous".

Shapes: V text vocabulary.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..data.language.word_list import doubles
from ..data.language.words import WORD_RUN, folded
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rules import Place, Span, token_spans, tokens_of

_NEAR = 16  # tokens that hold the last two words


class DoubledWords:
    """A rule: a word and the next one, with only a space between them, differ, but for the doubles of ``book``."""

    def __init__(self, book: Iterable[str], tokenizer: BookTokenizer) -> None:
        self.book, self.tokenizer, self.size = frozenset(book), tokenizer, tokenizer.text_vocab_size
        self._spelled = defaultdict[str, list[int]](list)
        for token in range(self.size):
            self._spelled[folded(tokenizer.token_bytes(NUM_RESERVED + token).decode("utf-8", "replace"))].append(token)

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """For each doubled word the ``free`` tokens of the second one, or else of the first one."""
        text, found = self.tokenizer.decode(ids), []
        spans = token_spans(self.tokenizer, ids)
        for first, second in doubles(text):
            if folded(text[slice(*second)]) not in self.book:
                each = [[i for i in tokens if free[i]] for tokens in tokens_of(spans, (second, first))]
                found += [(min(own), max(own) + 1) for own in filter(None, each)][:1]
        return found

    def allowed(self, place: Place) -> Tensor | None:
        """Tokens (V,) after which the text does not end with a doubled word, or begin one with what is behind."""
        if place.pending or (place.behind and WORD_RUN.match(place.behind)):  # the word goes on
            return None
        begun = _last_run(place.before)
        before = place.before[: len(place.before) - len(begun)]
        barred = list[int]()
        if begun and (word := folded(begun)) not in self.book:  # the word may be whole
            barred += self._spelled[f" {word}"]
        if before.endswith(" ") and (word := folded(_last_run(before[:-1]))) not in self.book:
            barred += self._finishing(word, begun)
        if place.behind is not None and place.behind[:1] == " ":
            head = WORD_RUN.match(place.behind, 1)
            if head is not None and (word := folded(head.group())) not in self.book:
                barred += self._finishing(word, begun) + self._spelled[f" {word}"]
        if not barred:
            return None
        mask = torch.ones(self.size, dtype=torch.bool)
        mask[barred] = False
        return mask

    def _finishing(self, word: str, begun: str) -> list[int]:
        """The tokens that make ``word`` of its beginning ``begun``."""
        return self._spelled[word[len(begun) :]] if len(begun) < len(word) and word.startswith(folded(begun)) else []

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """A few tokens, which hold the last two words of ``ids``."""
        return min(_NEAR, len(ids))

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the word: the given text around it may leave no other."""


def _last_run(text: str) -> str:
    """The letters of a word that ``text`` ends with."""
    start = len(text)
    while start and WORD_RUN.match(text, start - 1):
        start -= 1
    return text[start:]
