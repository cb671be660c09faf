"""The book's layout: between words one space, between paragraphs one blank line, and no other white space."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..data.tokenizer import BookTokenizer
from .spans import Span, token_spans, tokens_of

BREAK = "\n\n"
"""What stands between paragraphs in passages and training rows."""
_WHITE = re.compile(r"\s+")


@dataclass(frozen=True)
class BookLayout:
    """A rule for ``mend``: preparation folds all white space to a space or a blank line, so other runs are slips."""

    tokenizer: BookTokenizer
    patience: int = 4  # a lone line feed may well become a blank line

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Runs of white space that no book holds, as far as their tokens are ``free``.

        At either end of the text a part of a blank line may stand.
        """
        text = self.tokenizer.decode(ids)
        runs = [match.span() for match in _WHITE.finditer(text) if not _as_in_book(text, *match.span())]
        tokens = tokens_of(token_spans(self.tokenizer, ids), runs)
        return [(min(own), max(own) + 1) for places in tokens if (own := [i for i in places if free[i]])]

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """A run of more tokens at the end of ``ids`` (``behind``: at their beginning) breaks the rule by itself."""
        return min(4, len(ids))

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the white space as the model wants it."""


def break_ids(tokenizer: BookTokenizer) -> list[int]:
    """``BREAK`` as it is encoded between two paragraphs: there the tokenizer's pattern cuts it into two line feeds."""
    return 2 * tokenizer.encode(BREAK[0])


def _as_in_book(text: str, start: int, end: int) -> bool:
    run = text[start:end]
    return run in (" ", BREAK) or (run in BREAK and (start == 0 or end == len(text)))
