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

MOST_FRAMES = 300
"""Frames of a film at most: more make files and memory large, and no animation better."""


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


class Follower:
    """Makes the frames of one text while the states of its run come.

    Of several attempts in one state the first is shown. A new attempt begins with a frame of what was given. Each
    block, and each repair, counts its own steps; frames count all steps done, and the largest number still to come.
    """

    def __init__(self, tokenizer: BookTokenizer, number: int = 0) -> None:
        """Follow the text ``number``, from 0."""
        self._tokenizer, self._number = tokenizer, number
        self._before: Moment | None = None
        self._draw = -1
        self._done = self._last = 0  # steps before the current block, and the last step in it

    def after(self, state: WritingState) -> list[Frame]:
        """The frame of ``state``, with the one before the first step if an attempt begins; none without the text."""
        row = next((row for row, stretch in enumerate(state.stretches) if stretch.text == self._number), None)
        if row is None:
            return []
        self._done += self._last if state.step <= self._last else 0
        self._last = state.step
        ids, given = state.ids[row].tolist(), state.given[row].tolist()
        now = Moment(ids, state.confidence[row].tolist(), self._done + state.step, self._done + state.steps)
        before, found = self._before, []
        if before is None or state.stretches[row].draw != self._draw:
            self._draw = state.stretches[row].draw
            before = replace(Moment.start(ids, given, now.steps), step=self._done)
            found.append(frame_of(before, spans(before.ids, self._tokenizer), given, before, self._tokenizer))
        self._before = now
        return [*found, frame_of(now, spans(ids, self._tokenizer), given, before, self._tokenizer)]


def frames(states: Iterable[WritingState], tokenizer: BookTokenizer, number: int = 0) -> Iterator[Frame]:
    """Yield the frame before the first step and that of each state as it comes, for the text ``number``, from 0."""
    follower = Follower(tokenizer, number)
    for state in states:
        yield from follower.after(state)


def film(states: Sequence[WritingState], text: Written, tokenizer: BookTokenizer) -> list[Frame]:
    """Return frames of a finished text, from the one before the first step on, cut into the final text's pieces.

    Only the states that led to the text are shown, evenly thinned beyond MOST_FRAMES. Later parts are masked from the
    beginning, so that piece ``i`` is at the same place in all frames. The last frame is the text.
    """
    rows = [(state, row) for state in states for row, part in enumerate(state.stretches) if part in text.stretches]
    if not rows:
        return [final_frame(text, tokenizer)]
    now = Moment.start(text.ids, text.given, len(rows))
    moments = [now]
    # The start is a frame too, and so is a last change after all steps.
    shown = {round(i * len(rows) / (MOST_FRAMES - 2)) for i in range(1, MOST_FRAMES - 1)}
    # Blocks and repairs each count their own steps; the film counts all steps.
    for step, (state, row) in enumerate(rows, start=1):
        part = state.stretches[row]
        last = min(part.last, part.first + len(text.ids) - part.start)  # the end of a text may be cut off
        written, sure = (values[row, part.first : last].tolist() for values in (state.ids, state.confidence))
        inside = slice(part.start, part.start + len(written))
        ids, confidence = now.ids.copy(), now.confidence.copy()
        ids[inside], confidence[inside] = written, sure
        now = replace(now, ids=ids, confidence=confidence, step=step)
        if step in shown:
            moments.append(now)
    if tuple(moments[-1].ids) != text.ids:
        moments.append(replace(moments[-1], ids=list(text.ids), confidence=list(text.confidence)))
    cut = spans(text.ids, tokenizer)
    found: list[Frame] = []
    for before, now in [(moments[0], moments[0]), *pairwise(moments)]:
        found.append(frame_of(now, cut, text.given, before, tokenizer, found[-1].pieces if found else ()))
    return found


def final_frame(text: Written, tokenizer: BookTokenizer) -> Frame:
    """The frame of the finished text."""
    end = Moment(list(text.ids), list(text.confidence), text.steps, text.steps)
    return frame_of(end, spans(text.ids, tokenizer), text.given, end, tokenizer)


def frame_of(
    now: Moment,
    cut: Sequence[Span],
    given: Sequence[bool],
    before: Moment,
    tokenizer: BookTokenizer,
    last: Sequence[Piece] = (),
) -> Frame:
    """The frame of a moment cut into pieces; a piece that contains a MASK is masked. ``before`` decides what is new.

    ``last``: the pieces of the frame before, if cut alike. Those that stay the same are used again, which saves memory.
    """
    pieces = []
    for place, (start, end) in enumerate(cut):
        ids = now.ids[start:end]
        same = ids == before.ids[start:end] and now.confidence[start:end] == before.confidence[start:end]
        if last and same and not last[place].new:
            pieces.append(last[place])
            continue
        if MASK in ids:
            pieces.append(Piece("", "masked", 0.0, False, tuple(ids)))
            continue
        state: Literal["given", "settled"] = "given" if all(given[start:end]) else "settled"
        new = before.ids[start:end] != ids
        pieces.append(Piece(tokenizer.decode(ids), state, min(now.confidence[start:end]), new, tuple(ids)))
    return Frame(tuple(pieces), now.step, now.steps)
