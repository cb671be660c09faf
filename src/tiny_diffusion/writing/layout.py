"""The book's layout: one space between words, one blank line between paragraphs, a line feed in verse, nothing else.

Also where tokens stand in the text that they spell, since a token may hold only a part of a character.
"""

import codecs
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..data.tokenizer import BookTokenizer

Span = tuple[int, int]
"""The first character (or token) and the one after the last."""
BREAK = "\n\n"
"""What separates paragraphs in passages and training rows."""
_WHITE = re.compile(r"\s+")


@dataclass(frozen=True)
class BookLayout:
    """A rule for ``repair``: preparation leaves spaces and blank lines only, so other white space is a mistake.

    lines: the book is of verse or plays, where single line feeds are right too.
    """

    tokenizer: BookTokenizer
    lines: bool = False
    patience: int = 4  # a single line feed may well become a blank line
    rounds: int = 16

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Runs of white space that no book holds, as far as their tokens are ``free``.

        At either end of the text, part of a blank line is accepted.
        """
        text = self.tokenizer.decode(ids)
        runs = [match.span() for match in _WHITE.finditer(text) if not self._as_in_book(text, *match.span())]
        tokens = tokens_of(token_spans(self.tokenizer, ids), runs)
        return [(min(own), max(own) + 1) for places in tokens if (own := [i for i in places if free[i]])]

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """4 tokens: a longer run of white space at the edge of ``ids`` breaks the rule by itself."""
        return min(4, len(ids))

    def _as_in_book(self, text: str, start: int, end: int) -> bool:
        run = text[start:end]
        if run in (" ", BREAK) or (self.lines and run == "\n"):
            return True
        return run in BREAK and (start == 0 or end == len(text))

    def completion(self, ids: Sequence[int], free: Sequence[bool], place: Span) -> None:
        """No list says what else may stand there: it is drawn again."""

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the white space as the model wants it."""


def break_ids(tokenizer: BookTokenizer) -> list[int]:
    """Ids of ``BREAK`` between two paragraphs, where the tokenizer's pattern splits it into two line feeds."""
    return 2 * tokenizer.encode(BREAK[0])


def token_spans(tokenizer: BookTokenizer, ids: Iterable[int]) -> list[Span]:
    """The characters of ``tokenizer.decode(ids)`` that each token contributes to.

    Both ends rise from token to token. A token that ends within a character includes it, and the next one begins there.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    spans, done = [], 0
    for index in ids:
        start = done
        done += len(decoder.decode(tokenizer.token_bytes(index)))
        spans.append((start, done + bool(decoder.getstate()[0])))
    return spans


def tokens_of(spans: Sequence[Span], places: Iterable[Span]) -> list[range]:
    """The tokens, given by their ``token_spans``, that contribute to each of ``places`` of the text."""
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return [range(bisect_right(ends, start), bisect_left(starts, end)) for start, end in places]
