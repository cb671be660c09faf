"""The book's layout: one space between words, one blank line between paragraphs, a line feed in verse, nothing else.

Shapes: V text vocabulary.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rules import Place, Span, token_spans, tokens_of

BREAK = "\n\n"
"""What separates paragraphs in passages and training rows."""
_WHITE = re.compile(r"\s+")


class BookLayout:
    """A rule: preparation leaves spaces and blank lines only, so other white space is a mistake.

    lines: the book is of verse or plays, where single line feeds are right too.
    """

    def __init__(self, tokenizer: BookTokenizer, *, lines: bool = False) -> None:
        self.tokenizer = tokenizer
        self.good = (" ", BREAK, BREAK[0]) if lines else (" ", BREAK)
        self._masks: dict[tuple[str, str | None, bool], Tensor] = {}

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Runs of white space that no book holds, as far as their tokens are ``free``.

        At either end of the text, part of a blank line is accepted.
        """
        text = self.tokenizer.decode(ids)
        runs = [match.span() for match in _WHITE.finditer(text)]
        wrong = [(a, b) for a, b in runs if not self._is_good(text[a:b], at_edge=a == 0 or b == len(text))]
        tokens = tokens_of(token_spans(self.tokenizer, ids), wrong)
        return [(min(own), max(own) + 1) for places in tokens if (own := [i for i in places if free[i]])]

    def allowed(self, place: Place) -> Tensor:
        """Tokens (V,) that leave no wrong white space, and none before or behind them that cannot become right."""
        before, behind = place.before, place.behind
        blank = before[len(before.rstrip()) :]
        key = blank, behind[: len(behind) - len(behind.lstrip())] if behind else None, blank == before
        if key not in self._masks:
            tokens = (self.tokenizer.token_bytes(NUM_RESERVED + i) for i in range(self.tokenizer.text_vocab_size))
            self._masks[key] = torch.tensor([self._joins(key, token.decode("utf-8", "replace")) for token in tokens])
        return self._masks[key]

    def _joins(self, key: tuple[str, str | None, bool], token: str) -> bool:
        """Whether ``token`` may stand between two pieces of white space, the second None where the text is open.

        The last part of the key: whether the first one begins the text.
        """
        blank, ahead, is_start = key
        text = blank + token + (ahead or "")
        for match in _WHITE.finditer(text):
            start, end = match.span()
            if end == len(text) and ahead is None:  # it may go on
                right = any(each.startswith(match.group()) for each in self.good)
            else:
                right = self._is_good(match.group(), at_edge=start == 0 and is_start)
            if not right and (end > len(blank) or BREAK.startswith(match.group())):
                return False
        return True

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """4 tokens: a longer run of white space at the edge of ``ids`` breaks the rule by itself."""
        return min(4, len(ids))

    def _is_good(self, run: str, *, at_edge: bool) -> bool:
        return run in self.good or (at_edge and run in BREAK)

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the white space as the model wants it."""


def break_ids(tokenizer: BookTokenizer) -> list[int]:
    """Ids of ``BREAK`` between two paragraphs, where the tokenizer's pattern splits it into two line feeds."""
    return 2 * tokenizer.encode(BREAK[0])
