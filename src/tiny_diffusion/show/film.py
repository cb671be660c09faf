"""Recovers how a finished text came out of the noise from the states of the run that wrote it.

A run may write several texts at once, fill one gap after another, try fillings that it discards, and write some tokens
a second time. A film shows one text and only the states that led to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from ..data.tokenizer import MASK, BookTokenizer
from ..sampling.denoise import DenoisingState
from ..writing.results import Written
from .frames import Frame, Moment, Span, final_frame, frame_of, spans


@dataclass(frozen=True)
class _Take:
    """How a stretch of a text was written: its ids and confidence, by number of the state."""

    stretch: Span
    moments: dict[int, tuple[list[int], list[float]]]
    end: int  # number of the last of these states: the stretch is final after it


def film(states: Sequence[DenoisingState], text: Written, tokenizer: BookTokenizer) -> list[Frame]:
    """Return all frames of a finished text, from the one before the first step on, each cut into the final pieces.

    Later parts are masked from the beginning, so that piece ``i`` is at the same place in all frames. The last frame is
    the text; a stretch that occurs in no state (because it was changed after writing) is masked until then.
    """
    rows: list[list[list[int]]] = [state.ids.tolist() for state in states]
    takes = [take for stretch in _stretches(text.given) if (take := _take(states, rows, text, stretch)) is not None]
    numbers = sorted({number for take in takes for number in take.moments})
    if not numbers:
        return [final_frame(text, tokenizer)]
    # Blocks and rewritten parts each count their own steps; the film counts all steps.
    moments = [Moment.start(text.ids, text.given, len(numbers))]
    moments += [_moment(number, step, len(numbers), text, takes) for step, number in enumerate(numbers, start=1)]
    last = moments[-1]
    if tuple(last.ids) != text.ids:
        moments.append(Moment(list(text.ids), list(text.confidence), last.step, last.steps))
    cut = spans(text.ids, tokenizer)
    pairs = [(moments[0], moments[0]), *pairwise(moments)]
    return [frame_of(now, cut, text.given, before, tokenizer) for before, now in pairs]


def _stretches(given: Sequence[bool]) -> list[Span]:
    """Ranges of tokens that were not given."""
    found, place = [], 0
    for was_given, run in groupby(given):
        length = len(list(run))
        if not was_given:
            found.append((place, place + length))
        place += length
    return found


def _take(
    states: Sequence[DenoisingState], rows: Sequence[list[list[int]]], text: Written, stretch: Span
) -> _Take | None:
    """The moments of a stretch, before and after the first state that contains it: those of its row."""
    found = _first_state(rows, text, stretch)
    if found is None:
        return None
    number, row, first = found
    start, end = stretch[0] - first, stretch[1] - first
    wanted, given = list(text.ids[first : stretch[1]]), text.given[first : stretch[1]]
    last = number
    for later in range(number + 1, len(rows)):
        if not _same_row(rows[last], rows[later], row, given):
            break
        if rows[later][row][:end] == wanted:
            last = later
    moments = {}
    for earlier in range(last, -1, -1):
        if not _same_row(rows[earlier], rows[last], row, given):
            break
        ids, confidence = rows[earlier][row][start:end], states[earlier].confidence[row, start:end].tolist()
        missing = end - start - len(ids)
        moments[earlier] = (ids + [MASK] * missing, confidence + [0.0] * missing)
    return _Take(stretch, moments, last)


def _first_state(rows: Sequence[list[list[int]]], text: Written, stretch: Span) -> tuple[int, int, int] | None:
    """Number of the first state with a row that begins with the text up to the stretch's end, or with its last part.

    Also returns the row, and where in the text it begins: at 0, or later, before some given token, if the row is a
    window.
    """
    wanted, end = list(text.ids), stretch[1]
    starts = [first for first in range(stretch[0] + 1) if first == 0 or any(text.given[first : stretch[0]])]
    for number, of_state in enumerate(rows):
        for row, ids in enumerate(of_state):
            for first in starts:
                if ids[0] == wanted[first] and ids[: end - first] == wanted[first:end]:
                    return number, row, first
    return None


def _same_row(earlier: list[list[int]], later: list[list[int]], row: int, given: Sequence[bool]) -> bool:
    """Whether two states have as many rows, and this row the same given tokens, possibly with more after them."""
    if len(earlier) != len(later) or len(earlier[row]) > len(later[row]):
        return False
    return all(a == b for a, b, g in zip(earlier[row], later[row], given, strict=False) if g)


def _moment(number: int, step: int, steps: int, text: Written, takes: Sequence[_Take]) -> Moment:
    """The whole text after state ``number``: the given tokens, those written by then, and MASK elsewhere."""
    ids = [i if g else MASK for i, g in zip(text.ids, text.given, strict=True)]
    confidence = [float(g) for g in text.given]
    for take in takes:
        start, end = take.stretch
        if number in take.moments:
            ids[start:end], confidence[start:end] = take.moments[number]
        elif number > take.end:
            ids[start:end], confidence[start:end] = text.ids[start:end], text.confidence[start:end]
    return Moment(ids, confidence, step, steps)
