"""Runs of white space or of punctuation: they stand in a text only as they stand in the book.

Shapes: V text vocabulary.
"""

import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Self

import torch
from torch import Tensor

from ..data.language.words import PUNCTUATION
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rules import BREAK, Place, Span, read_bytes, token_spans, tokens_of

_FAR = 32  # tokens that show enough of a row of dots, however long those of the book are

Between = tuple[str, str | None, bool]
"""The run before a place, the one behind it, None where the text is open, and whether the first begins the text."""


class BookRuns:
    """A rule: each run of some kind of character is one that the book has.

    At either end of a text, a part of such a run is right too.
    """

    def __init__(self, tokenizer: BookTokenizer, kind: str, good: Collection[str]) -> None:
        """``kind``: pattern of one character; ``good``: the runs."""
        self.tokenizer, self.good = tokenizer, frozenset(good)
        self._beginnings = {run[:end] for run in self.good for end in range(1, len(run) + 1)}
        self.run, other = re.compile(f"(?:{kind})+"), re.compile(f"(?:(?!{kind}).)+", re.DOTALL)
        # Tokens that differ in other characters only are alike to the rule.
        self._shape = cache(lambda text: other.sub("a", text))
        self._tokens = [tokenizer.token_bytes(NUM_RESERVED + i) for i in range(tokenizer.text_vocab_size)]
        self._wide = sorted({mark for run in self.good for mark in run if not mark.isascii()})
        self._masks: dict[tuple[bytes, Between], Tensor] = {}

    @classmethod
    def white_space(cls, tokenizer: BookTokenizer, *, lines: bool) -> Self:
        """One space between words, one blank line between paragraphs: preparation leaves nothing else in a book.

        lines: the book is of verse or plays, where single line feeds are right too.
        """
        return cls(tokenizer, r"\s", (" ", BREAK, BREAK[0]) if lines else (" ", BREAK))

    @classmethod
    def punctuation(cls, tokenizer: BookTokenizer, good: Collection[str]) -> Self:
        """Marks stand side by side only as in ``good``, see ``Punctuation.runs``: no ",," and no ";,"."""
        return cls(tokenizer, PUNCTUATION, good)

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Runs that the book does not have, as far as their tokens are ``free``."""
        text = self.tokenizer.decode(ids)
        runs = [match.span() for match in self.run.finditer(text)]
        wrong = [(a, b) for a, b in runs if not self._is_right(text[a:b], cut=a == 0 or b == len(text))]
        tokens = tokens_of(token_spans(self.tokenizer, ids), wrong)
        return [(min(own), max(own) + 1) for places in tokens if (own := [i for i in places if free[i]])]

    def allowed(self, place: Place) -> Tensor:
        """Tokens (V,) that leave no wrong run, and none before or behind them that cannot become right."""
        before, start = place.before, len(place.before)
        while start and self.run.match(before, start - 1):
            start -= 1
        ahead = self.run.match(place.behind) if place.behind else None
        between = before[start:], (ahead.group() if ahead else "") if place.behind else None, start == 0
        if (key := (place.pending, between)) not in self._masks:
            joins = cache(lambda shape: self._joins(between, shape))
            spelled = (read_bytes(place.pending + token) for token in self._tokens)
            verdicts = [any(joins(self._shape(text + end)) for end in self._ends(rest)) for text, rest in spelled]
            self._masks[key] = torch.tensor(verdicts)
        return self._masks[key]

    def _ends(self, rest: bytes) -> list[str]:
        """What an incomplete character may become: nothing if it is none, else a letter or a mark of a good run."""
        return ["a", *(mark for mark in self._wide if mark.encode().startswith(rest))] if rest else [""]

    def _joins(self, between: Between, token: str) -> bool:
        """Whether ``token`` may stand ``between`` two runs."""
        lead, ahead, is_start = between
        text = lead + token + (ahead or "")
        for match in self.run.finditer(text):
            (start, end), run = match.span(), match.group()
            if start >= len(lead) + len(token):  # it stands behind the token
                continue
            is_open = end == len(text) and ahead is None  # it may go on
            right = run in self._beginnings if is_open else self._is_right(run, cut=start == 0 and is_start)
            if not right and (end > len(lead) or run in self._beginnings):
                return False
        return True

    def _is_right(self, run: str, *, cut: bool) -> bool:
        return run in self.good or (cut and any(run in each for each in self.good))

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """As many tokens as show a run that is too long, and what stands beside it."""
        return min(max(map(len, self.good), default=0) + 2, _FAR, len(ids))

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the run: the given text around it may leave no other."""
