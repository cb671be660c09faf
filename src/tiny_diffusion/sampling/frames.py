"""Moments of writing as pieces of text, for readers such as a terminal, a picture or a page.

Shapes: B rows, T tokens.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ..data.tokenizer import MASK, BookTokenizer
from .denoise import DenoisingState
from .results import Run, Written

Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A token, or neighbours that only together spell whole characters.

    text: empty while masked. confidence: the lowest of its tokens', 0 while masked. new: written since the frame
    before. ids: its tokens.
    """

    text: str
    state: Literal["given", "masked", "settled"]
    confidence: float
    new: bool
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Frame:
    """One moment of one text: its pieces in order, after ``step`` of ``steps`` (0: before the first)."""

    pieces: tuple[Piece, ...]
    step: int
    steps: int

    @property
    def text(self) -> str:
        """What stands already."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class _Moment:
    """One row of a state, as lists of T."""

    ids: list[int]
    confidence: list[float]
    step: int
    steps: int

    @classmethod
    def of(cls, state: DenoisingState, row: int) -> "_Moment":
        return cls(state.ids[row].tolist(), state.confidence[row].tolist(), state.step, state.steps)

    def goes_on_from(self, before: "_Moment") -> bool:
        """Whether both are of one text: the next step of a block, or a new block behind the finished ones."""
        if len(self.ids) == len(before.ids):
            return self.step > before.step
        return self.ids[: len(before.ids)] == before.ids


class Recording:
    """A run that can be read once, state by state, and keeps its states and its texts."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.states: list[DenoisingState] = []
        self.texts: list[Written] = []

    def __iter__(self) -> Iterator[DenoisingState]:
        while True:
            try:
                state = next(self._run)
            except StopIteration as done:
                self.texts = done.value
                return
            self.states.append(state)
            yield state


def spans(ids: Sequence[int], tokenizer: BookTokenizer) -> list[Span]:
    """Cut a row into ranges of tokens that decode one by one to what they decode to together.

    A token of a byte-level vocabulary may end within a character: it then goes with those that end the character.
    A MASK stands alone.
    """
    found: list[Span] = []
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for place, index in enumerate(ids):
        token = tokenizer.token_bytes(index)
        open_character = bool(decoder.getstate()[0])
        if open_character and token and token[0] & 0xC0 == 0x80:  # a byte that goes on with a character
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
            decoder.reset()
        decoder.decode(token)
    return found


def frames(states: Iterable[DenoisingState], tokenizer: BookTokenizer, row: int = 0) -> Iterator[Frame]:
    """The frame before the first step and that of each state as it comes, of one row.

    States do not say what was given: what the first one holds with confidence 1 counts so. A state that does not go
    on from the one before, such as another try, begins anew.
    """
    before: _Moment | None = None
    given: list[bool] = []
    for state in states:
        now = _Moment.of(state, row)
        if before is None or not now.goes_on_from(before):
            given = [i != MASK and c == 1 for i, c in zip(now.ids, now.confidence, strict=True)]
            before = _start(now, given)
            yield _frame(before, spans(before.ids, tokenizer), given, before, tokenizer)
        given += [False] * (len(now.ids) - len(given))
        yield _frame(now, spans(now.ids, tokenizer), given, before, tokenizer)
        before = now


def film(states: Sequence[DenoisingState], text: Written, tokenizer: BookTokenizer) -> list[Frame]:
    """All frames of a finished text, from the one before the first step on, each cut into the final text's pieces.

    What comes later is masked from the beginning, so that piece ``i`` is at one place in all frames. A text that
    stands in no state (one changed after writing) has its final frame alone.
    """
    moments = _moments(states, text)
    if not moments:
        return [final_frame(text, tokenizer)]
    cut, given = spans(text.ids, tokenizer), text.given
    padded = [_padded(moment, len(given)) for moment in (_start(moments[0], given), *moments)]
    first = _frame(padded[0], cut, given, padded[0], tokenizer)
    return [first, *(_frame(now, cut, given, before, tokenizer) for before, now in pairwise(padded))]


def final_frame(text: Written, tokenizer: BookTokenizer) -> Frame:
    """The finished text's own frame."""
    end = _Moment(list(text.ids), list(text.confidence), text.steps, text.steps)
    return _frame(end, spans(text.ids, tokenizer), text.given, end, tokenizer)


def _moments(states: Sequence[DenoisingState], text: Written) -> list[_Moment]:
    """The moments that led to ``text``: back from the last state that holds it to where its writing began."""
    wanted = list(text.ids)
    for last in reversed(range(len(states))):
        rows = states[last].ids.tolist()
        if wanted not in rows:
            continue
        row = rows.index(wanted)
        found = [_Moment.of(states[last], row)]
        for state in reversed(states[:last]):
            if len(state.ids) != len(rows) or not found[-1].goes_on_from(earlier := _Moment.of(state, row)):
                break
            found.append(earlier)
        return found[::-1]
    return []


def _start(first: _Moment, given: Sequence[bool]) -> _Moment:
    """The moment before ``first``: only what was given stands."""
    ids = [i if g else MASK for i, g in zip(first.ids, given, strict=False)]
    return _Moment(ids, [float(i != MASK) for i in ids], 0, first.steps)


def _padded(moment: _Moment, length: int) -> _Moment:
    more = length - len(moment.ids)
    return _Moment(moment.ids + [MASK] * more, moment.confidence + [0.0] * more, moment.step, moment.steps)


def _frame(
    now: _Moment, cut: Sequence[Span], given: Sequence[bool], before: _Moment, tokenizer: BookTokenizer
) -> Frame:
    pieces = []
    for start, end in cut:
        ids = now.ids[start:end]
        if MASK in ids:
            pieces.append(Piece("", "masked", 0.0, False, tuple(ids)))
            continue
        sure = min(now.confidence[start:end])
        state: Literal["given", "settled"] = "given" if all(given[start:end]) else "settled"
        pieces.append(Piece(tokenizer.decode(ids), state, sure, before.ids[start:end] != ids, tuple(ids)))
    return Frame(tuple(pieces), now.step, now.steps)
