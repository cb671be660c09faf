"""A text in the making: fixed parts and holes, in characters and in tokens.

The tokens of a byte-level BPE begin with their space: what a reader sees as ``on a ___ night`` is to the model the
tokens of ``on a``, a hole that begins with a space, and those of `` night``. So the space before a hole is encoded
with the hole; in the text it belongs to the fixed part, and stands there once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from ...data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from ..filler import window
from .boundaries import Opening
from .template import Fixed, Gap

# Words of a sentence and a paragraph in prose, from short to long; each is searched up to half the context.
USUAL_WORDS = {"sentence": (5, 40), "paragraph": (30, 120)}


@dataclass(frozen=True)
class Hole:
    """A gap where it stands. ``before``, ``after``: the characters beside it; ``must``: words that it must hold."""

    gap: Gap
    opening: Opening
    before: str
    after: str
    must: tuple[str, ...] = ()

    def words_of(self, text: str) -> str:
        """The filling without the space that sets it off from what stands before."""
        own_space = self.opening in (Opening.JOIN, Opening.FREE) and text.startswith(" ")
        return text[1:] if own_space else text


@dataclass(frozen=True)
class Part:
    """A stretch of a draft: fixed text, or a hole with its filling; MASKs of its expected size while it is open.

    steps: of the draw that filled it; 0 where the same draw filled an earlier part.
    """

    text: str
    ids: tuple[int, ...]
    confidence: tuple[float, ...]
    hole: Hole | None = None
    steps: int = 0

    @property
    def open(self) -> bool:
        """Whether this is a hole still to be filled."""
        return self.hole is not None and MASK in self.ids


Draft = list[Part]


def draft_of(pieces: Sequence[Fixed | Gap], encode: Callable[[str], list[int]], size: Callable[[Gap], int]) -> Draft:
    """The draft of a template's pieces; ``size`` gives the tokens that a gap is expected to take."""
    draft: Draft = []
    for i, piece in enumerate(pieces):
        before = pieces[i - 1] if i else None
        after = pieces[i + 1] if i + 1 < len(pieces) else None
        if isinstance(piece, Fixed):
            opening = _opening(piece) if isinstance(after, Gap) else None
            ids = _encode(piece.text, opening, encode)
            draft.append(Part(piece.text, tuple(ids), (1.0,) * len(ids)))
        else:
            start = before.text if isinstance(before, Fixed) else ""
            end = after.text if isinstance(after, Fixed) else " " if after else ""
            hole = Hole(piece, _opening(before), start[-1:], end[:2])
            draft.append(open_part(hole, size(piece)))
    return draft


def hole_at(draft: Draft, index: int) -> Hole:
    """The hole at ``index``."""
    hole = draft[index].hole
    assert hole is not None, f"part {index} is fixed text"
    return hole


def open_part(hole: Hole, size: int) -> Part:
    """A hole of ``size`` tokens to fill."""
    return Part("", (MASK,) * size, (0.0,) * size, hole)


def filled_part(
    hole: Hole, ids: Sequence[int], confidence: Sequence[float], tokenizer: BookTokenizer, steps: int
) -> Part:
    """A hole with its filling; the space that the fixed part before it has given is not in its text."""
    text = tokenizer.decode(ids)
    return Part(text[1:] if hole.opening is Opening.SPACE else text, tuple(ids), tuple(confidence), hole, steps)


def text_of(draft: Draft, tokenizer: BookTokenizer) -> str:
    """The text of a draft without open holes: its fixed parts as they were given, and what fills its holes.

    Holes side by side are read together, for a character may have begun in one and end in the next.
    """
    pieces = []
    for filled, parts in groupby(draft, key=lambda part: part.hole is not None):
        run = list(parts)
        if filled:
            ids = [i for part in run for i in part.ids]
            run = [filled_part(hole_at(run, 0), ids, (), tokenizer, 0)]
        pieces += [part.text for part in run]
    return "".join(pieces)


def surroundings(draft: Draft, first: int, last: int) -> tuple[list[int], list[int]]:
    """Ids of what stands before the parts ``first``..``last``, and of what is known to stand right behind them."""
    known = takewhile(lambda part: not part.open, draft[last + 1 :])
    return [i for part in draft[:first] for i in part.ids], [i for part in known for i in part.ids]


def around(draft: Draft, first: int, last: int, context: int) -> tuple[list[int], int]:
    """Ids of the parts ``first``..``last`` with as much text on both sides as fits, and where they begin in them."""
    middle = [i for part in draft[first : last + 1] for i in part.ids]
    left = _up_to(context, (part.ids[-context:][::-1] for part in reversed(draft[:first])))[::-1]
    right = _up_to(context, (part.ids for part in draft[last + 1 :]))
    ids = left + middle + right
    start, end = window(len(left), len(left) + len(middle), len(ids), context)
    return ids[start:end], len(left) - start


def tokens_a_word(texts: Iterable[str], tokenizer: BookTokenizer, level: int) -> float:
    """Mean tokens of the words in ``texts`` at a vocabulary level; of the vocabulary's own where there are none."""
    words = " ".join(texts).split()
    if not words:
        tokens = (
            tokenizer.token_bytes(i).decode("utf-8", "replace") for i in range(NUM_RESERVED, tokenizer.vocab_size)
        )
        words = [token.strip() for token in tokens if token.startswith(" ")]  # the space itself at least
    return len(tokenizer.encode(" " + " ".join(words), level)) / len(words)


def with_part(draft: Draft, index: int, part: Part) -> Draft:
    """``draft`` with another part at ``index``."""
    return [*draft[:index], part, *draft[index + 1 :]]


def with_must(draft: Draft, index: int, must: tuple[str, ...]) -> Draft:
    """``draft`` with the words that the hole at ``index`` must hold."""
    return with_part(draft, index, replace(draft[index], hole=replace(hole_at(draft, index), must=must)))


def _opening(before: Fixed | Gap | None) -> Opening:
    if isinstance(before, Gap):
        return Opening.JOIN
    if before is None or before.text[-1:].isspace():
        return Opening.SPACE if before is not None and before.text.endswith(" ") else Opening.WORD
    return Opening.FREE


def _encode(text: str, opening: Opening | None, encode: Callable[[str], list[int]]) -> list[int]:
    """Ids of fixed text before a gap that opens so, or before none."""
    if opening is Opening.SPACE:
        return encode(text[:-1])
    if opening is Opening.WORD:
        return encode(f"{text}a")[:-1]  # white space before a word is cut otherwise than at the end of a text
    return encode(text)


def _up_to(count: int, parts: Iterable[Sequence[int]]) -> list[int]:
    """The first ``count`` ids of ``parts``, or fewer where there are no more."""
    ids: list[int] = []
    for part in parts:
        ids += part[: count - len(ids)]
        if len(ids) == count:
            break
    return ids
