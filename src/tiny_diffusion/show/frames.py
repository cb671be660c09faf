"""Moments of writing as pieces of text, for a terminal, a picture or a page.

Shapes: B rows, T tokens.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..data.tokenizer import MASK, BookTokenizer
from ..sampling.denoise import DenoisingState
from ..writing.results import Refused, Run, Written

Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A token, or neighbouring tokens that spell whole characters only together.

    text: empty while masked. confidence: the lowest of its tokens, 0 while masked. new: written since the previous
    frame. ids: its tokens.
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
        """The text written so far."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Moment:
    """One row of a state, as lists of length T."""

    ids: list[int]
    confidence: list[float]
    step: int
    steps: int

    @classmethod
    def of(cls, state: DenoisingState, row: int) -> "Moment":
        """The moment of a row."""
        return cls(state.ids[row].tolist(), state.confidence[row].tolist(), state.step, state.steps)

    @classmethod
    def start(cls, ids: Sequence[int], given: Sequence[bool], steps: int) -> "Moment":
        """The moment before the first step: only the given tokens are known."""
        shown = [i if g else MASK for i, g in zip(ids, given, strict=True)]
        return cls(shown, [float(g) for g in given], 0, steps)


class Recording:
    """A run that can be read once, state by state; keeps its states, its texts, and why some are missing."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.states: list[DenoisingState] = []
        self.texts: list[Written] = []
        self.refused: Refused | None = None

    def __iter__(self) -> Iterator[DenoisingState]:
        while True:
            try:
                state = next(self._run)
            except StopIteration as done:
                self.texts = done.value
                return
            except Refused as refused:
                self.texts, self.refused = refused.texts, refused
                return
            self.states.append(state)
            yield state


def spans(ids: Sequence[int], tokenizer: BookTokenizer) -> list[Span]:
    """Cut a row into ranges of tokens that decode separately to the same text as together.

    A token of a byte-level vocabulary may end within a character; it then joins the tokens that complete the character.
    A MASK is a range of its own.
    """
    found: list[Span] = []
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for place, index in enumerate(ids):
        token = tokenizer.token_bytes(index)
        open_character = bool(decoder.getstate()[0])
        if open_character and token and token[0] & 0xC0 == 0x80:  # a byte that continues a character
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
            decoder.reset()
        decoder.decode(token)
    return found


def frames(states: Iterable[DenoisingState], tokenizer: BookTokenizer, row: int = 0) -> Iterator[Frame]:
    """Yield the frame before the first step and that of each state as it comes, for one row.

    States do not say which tokens were given: those that the first state holds with confidence 1 count as given. A row
    of another length or with other given tokens starts a new text, unless it is the previous row with a block of tokens
    after it. Each block, and each redrawn part, counts its own steps; frames count all steps done, and the largest
    number still to come.
    """
    before: Moment | None = None
    given: list[bool] = []
    done = last = 0  # steps before the current block, and the last step in it
    for state in states:
        done, last = (done + last if state.step <= last else done), state.step
        now = Moment.of(replace(state, step=done + state.step, steps=done + state.steps), row)
        if before is None or not _goes_on(before, now, given):
            given = [i != MASK and c == 1 for i, c in zip(now.ids, now.confidence, strict=True)]
            before = replace(Moment.start(now.ids, given, now.steps), step=done)
            yield frame_of(before, spans(before.ids, tokenizer), given, before, tokenizer)
        given += [False] * (len(now.ids) - len(given))
        yield frame_of(now, spans(now.ids, tokenizer), given, before, tokenizer)
        before = now


def final_frame(text: Written, tokenizer: BookTokenizer) -> Frame:
    """The frame of the finished text."""
    end = Moment(list(text.ids), list(text.confidence), text.steps, text.steps)
    return frame_of(end, spans(text.ids, tokenizer), text.given, end, tokenizer)


def frame_of(
    now: Moment, cut: Sequence[Span], given: Sequence[bool], before: Moment, tokenizer: BookTokenizer
) -> Frame:
    """The frame of a moment cut into pieces; a piece that contains a MASK is masked. ``before`` decides what is new."""
    pieces = []
    for start, end in cut:
        ids = now.ids[start:end]
        if MASK in ids:
            pieces.append(Piece("", "masked", 0.0, False, tuple(ids)))
            continue
        state: Literal["given", "settled"] = "given" if all(given[start:end]) else "settled"
        new = before.ids[start:end] != ids
        pieces.append(Piece(tokenizer.decode(ids), state, min(now.confidence[start:end]), new, tuple(ids)))
    return Frame(tuple(pieces), now.step, now.steps)


def _goes_on(before: Moment, now: Moment, given: Sequence[bool]) -> bool:
    """Whether ``now`` is a later moment of the same row, possibly with more tokens after it."""
    if len(now.ids) == len(before.ids):
        return all(a == b for a, b, g in zip(before.ids, now.ids, given, strict=True) if g)
    return now.ids[: len(before.ids)] == before.ids
