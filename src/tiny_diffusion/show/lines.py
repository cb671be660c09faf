"""Breaks text into lines of a fixed width that stay as they are while tokens settle."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.cells import cell_len

from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .frames import Frame, Piece

SHADE = "░"
BREAK = "¶"
NUM_BYTES = 256
ROOM = 1.2  # width of an unsettled token relative to a typical one: wider is steadier but leaves lines shorter
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    """``text`` without characters that would move a terminal's cursor or change its colours; line feeds stay."""
    return _CONTROL.sub(lambda found: " " if found[0] == "\t" else "\N{REPLACEMENT CHARACTER}", text)


def may_part(left: str, right: str) -> bool:
    """Whether a line may end between two texts: at a space, or beside a wide character (CJK)."""
    wide = cell_len(left[-1:]) == 2 or cell_len(right[:1]) == 2
    return wide or left[-1:].isspace() or right[:1].isspace()


def unsettled_width(tokenizer: BookTokenizer, allowed: int) -> int:
    """Cells, including a leading space, that represent one of the first ``allowed`` text tokens before it is known.

    Frequent tokens are learnt early: by Zipf's law the nth has the weight 1 / (n + 10) in the mean of their widths.
    """
    learnt = range(NUM_RESERVED + NUM_BYTES, NUM_RESERVED + allowed)
    weights = [1 / (n + 10) for n in range(len(learnt))]
    total = sum(weight * cell_len(tokenizer.decode([index])) for weight, index in zip(weights, learnt, strict=True))
    return max(2, round(ROOM * total / sum(weights))) if weights else 2


@dataclass(frozen=True)
class Cell:
    """A piece as it is drawn in a line, and the place of its first token in the row."""

    piece: Piece
    text: str
    place: int

    @property
    def last(self) -> int:
        """The place of its last token."""
        return self.place + len(self.piece.ids) - 1


Word = list[Cell]  # cells that stay on one line


class Lines:
    """Breaks one frame after another into lines; a line keeps its tokens as long as they fit.

    An unsettled token has a fixed width. What no longer fits moves to the next line, as does the beginning of a word
    that turns out to continue there; nothing ever moves up. So most steps change only a few lines, and the number of
    lines stays the same unless the text outgrows them.
    """

    def __init__(self, width: int, unsettled: int) -> None:
        self.width = width
        self.unsettled = unsettled
        self._starts: list[int] = []  # place of the first token of each line after the first

    def wrap(self, frame: Frame) -> list[list[Cell]]:
        """The frame's lines, each at most ``width`` cells wide unless a single token is wider."""
        lines: list[list[Cell]] = [[]]
        kept, starts, used = list(self._starts), [], 0
        for word in self._words(frame):
            first, last = word[0].place, word[-1].last
            while kept and kept[0] < first:
                del kept[0]
            due = bool(kept) and kept[0] <= last
            if lines[-1] and (due or used + _width(word) > self.width):
                del kept[:1]  # the rest of a full line joins the next one
                lines.append([])
                starts.append(first)
                used = 0
            if not lines[-1]:
                word = [replace(word[0], text=word[0].text.lstrip(" ")), *word[1:]]
            lines[-1] += word
            used += _width(word)
        self._starts = starts
        return lines

    def _words(self, frame: Frame) -> Iterator[Word]:
        word: Word = []
        place = 0
        for piece in frame.pieces:
            cell = Cell(piece, self._drawn(piece), place)
            if word and _parted(word[-1], cell):
                yield from self._fitting(word)
                word = []
            word.append(cell)
            place = cell.last + 1
        if word:
            yield from self._fitting(word)

    def _drawn(self, piece: Piece) -> str:
        if piece.state == "masked":
            return " " + SHADE * (self.unsettled - 1)
        return re.sub("\n+", BREAK + " ", printable(piece.text))

    def _fitting(self, word: Word) -> Iterator[Word]:
        """The word, or its cells one by one if it is wider than a line."""
        if _width(word) <= self.width:
            yield word
        else:
            yield from ([cell] for cell in word)


def _parted(left: Cell, right: Cell) -> bool:
    return "masked" in (left.piece.state, right.piece.state) or may_part(left.text, right.text)


def _width(word: Word) -> int:
    return sum(cell_len(cell.text) for cell in word)
