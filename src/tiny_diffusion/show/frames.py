"""Moments of writing as pieces of text, for a terminal, a picture or a page.

Shapes: B rows, T tokens.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from ..data.tokenizer import MASK, BookTokenizer
from ..writing.results import Refused, Run, WritingState, Written
from ..writing.rules import Span


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
    def start(cls, ids: Sequence[int], given: Sequence[bool], steps: int) -> "Moment":
        """The moment before the first step: only the given tokens are known."""
        shown = [i if g else MASK for i, g in zip(ids, given, strict=True)]
        return cls(shown, [float(g) for g in given], 0, steps)


class Recording:
    """A run that can be read once, state by state; keeps its states, its texts, and why some are missing."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.states: list[WritingState] = []
        self.texts: list[Written] = []
        self.refused: Refused | None = None

    def __iter__(self) -> Iterator[WritingState]:
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


def frames(states: Iterable[WritingState], tokenizer: BookTokenizer, number: int = 0) -> Iterator[Frame]:
    """Yield the frame before the first step and that of each state as it comes, for the text ``number``, from 0.

    Of several attempts in one state the first is shown. A new attempt begins with a frame of what was given. Each
    block, and each repair, counts its own steps; frames count all steps done, and the largest number still to come.
    """
    before: Moment | None = None
    draw = -1
    done = last = 0  # steps before the current block, and the last step in it
    for state in states:
        row = next((row for row, stretch in enumerate(state.stretches) if stretch.text == number), None)
        if row is None:
            continue
        done, last = (done + last if state.step <= last else done), state.step
        ids, given = state.ids[row].tolist(), state.given[row].tolist()
        now = Moment(ids, state.confidence[row].tolist(), done + state.step, done + state.steps)
        if before is None or state.stretches[row].draw != draw:
            draw = state.stretches[row].draw
            before = replace(Moment.start(ids, given, now.steps), step=done)
            yield frame_of(before, spans(before.ids, tokenizer), given, before, tokenizer)
        yield frame_of(now, spans(ids, tokenizer), given, before, tokenizer)
        before = now


def film(states: Sequence[WritingState], text: Written, tokenizer: BookTokenizer) -> list[Frame]:
    """Return all frames of a finished text, from the one before the first step on, cut into the final text's pieces.

    Only the states that led to the text are shown. Later parts are masked from the beginning, so that piece ``i`` is at
    the same place in all frames. The last frame is the text.
    """
    rows = [(state, row) for state in states for row, part in enumerate(state.stretches) if part in text.stretches]
    if not rows:
        return [final_frame(text, tokenizer)]
    moments = [Moment.start(text.ids, text.given, len(rows))]
    # Blocks and repairs each count their own steps; the film counts all steps.
    for step, (state, row) in enumerate(rows, start=1):
        part, now = state.stretches[row], replace(moments[-1], step=step)
        last = min(part.last, part.first + len(text.ids) - part.start)  # the end of a text may be cut off
        written, sure = (values[row, part.first : last].tolist() for values in (state.ids, state.confidence))
        inside = slice(part.start, part.start + len(written))
        ids, confidence = now.ids.copy(), now.confidence.copy()
        ids[inside], confidence[inside] = written, sure
        moments.append(replace(now, ids=ids, confidence=confidence))
    if tuple(moments[-1].ids) != text.ids:
        moments.append(replace(moments[-1], ids=list(text.ids), confidence=list(text.confidence)))
    cut = spans(text.ids, tokenizer)
    pairs = [(moments[0], moments[0]), *pairwise(moments)]
    return [frame_of(now, cut, text.given, before, tokenizer) for before, now in pairs]


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
