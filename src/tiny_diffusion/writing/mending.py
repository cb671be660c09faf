"""Mending: what breaks a rule is drawn again with another seed, its surroundings kept, until nothing does.

Shapes: B rows, T tokens of a block, P tokens before it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from ..data.tokenizer import MASK
from ..sampling.denoise import DenoisingState
from .spans import Span

ROUNDS = 16
"""Draws at one place before it is given up."""


class Rule(Protocol):
    """What a finished text must keep.

    patience: draws at one place before the tokens that stood first in it may not stand there again.
    """

    @property
    def patience(self) -> int: ...

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Tokens to draw again, the first of each place ``free``; no place when the text keeps the rule."""

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> str | None:
        """Why a text that ``ROUNDS`` draws could not mend is refused; None where it is accepted as it is."""

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """How many of the settled tokens ``ids`` matter to what is written behind them, or more.

        ``behind``: to what is written before them.
        """


Redraw = Callable[[Tensor, Mapping[int, set[int]], int, int], Iterator[DenoisingState]]
"""States of drawing a row (1, T) where it has MASK, the tokens barred at each place, the row's number, the draw's."""


def mend(
    state: DenoisingState,
    free: Tensor,
    around: tuple[Tensor, Tensor],
    rules: Sequence[Rule],
    redraw: Redraw,
    refused: dict[int, str],
    *,
    onward: bool,
) -> Iterator[DenoisingState]:
    """States of mending the rows of ``state`` one by one, a state whenever a token settles; none if all keep the rules.

    Only ``free`` tokens (B, T) change; ``around`` is what stands before the rows (B, P) and behind them (B, Q).
    ``refused``: reasons by the numbers of rows that are given up already, and left alone; others are added to them.
    Draw after draw at one place, more tokens on both its sides are drawn with it, one at the second draw, two at the
    third; ``onward`` (autoregressive models): always all behind it, none before it.
    """
    if not rules:
        return
    for row, (ahead, behind) in enumerate(zip(*(side.tolist() for side in around), strict=True)):
        if row in refused:
            continue
        ahead = ahead[len(ahead) - max(rule.reach(ahead) for rule in rules) :]
        behind = behind[: max(rule.reach(behind, behind=True) for rule in rules)]
        for latest in _mend_row(state, row, free[row], (ahead, behind), rules, redraw, refused, onward):
            yield latest
            state = latest


def _mend_row(
    state: DenoisingState,
    row: int,
    free: Tensor,
    around: tuple[list[int], list[int]],
    rules: Sequence[Rule],
    redraw: Redraw,
    refused: dict[int, str],
    onward: bool,
) -> Iterator[DenoisingState]:
    before, behind = around
    loose = len(before) * [False] + free.tolist() + len(behind) * [False]
    kept, draws, tries, reached = list(rules), 0, 0, -1
    barred: defaultdict[int, set[int]] = defaultdict(set)
    while True:
        ids = before + state.ids[row].tolist() + behind
        found = [(place, rule) for rule in kept for place in rule.places(ids, loose)]
        if not found:
            return
        (first, _), rule = min(found, key=lambda each: each[0])
        tries, reached = (1, first) if first > reached else (tries + 1, reached)
        if tries > ROUNDS:
            reason = rule.give_up(ids, loose)
            if reason is not None:
                refused[row] = reason
                return
            kept.remove(rule)
            tries, reached = 0, -1
            continue
        draws += 1
        for (start, _), rule in found:
            if tries > rule.patience:
                barred[start - len(before)].add(ids[start])
        where = _around([place for place, _ in found], tries - 1, loose, onward)[len(before) :][: len(free)]
        again = free.new_tensor(where)
        last = state.ids[row : row + 1].masked_fill(again, MASK)
        for drawn in redraw(last, barred, row, draws):
            if drawn.ids.equal(last):
                continue  # a step in which nothing settles, as most are when few tokens are drawn
            last = drawn.ids
            ids_now, confidence = state.ids.clone(), state.confidence.clone()
            ids_now[row] = drawn.ids[0]
            confidence[row] = drawn.confidence[0].where(again, confidence[row])
            latest = DenoisingState(ids_now, confidence, drawn.step, drawn.steps)
            yield latest
        state = latest


def broken(rules: Sequence[Rule], ids: Sequence[int], free: Sequence[bool]) -> str | None:
    """Why a finished text must be refused; None where it keeps every rule, or is accepted as it is."""
    reasons = (rule.give_up(ids, free) for rule in rules if rule.places(ids, free))
    return next((reason for reason in reasons if reason is not None), None)


def _around(places: Sequence[Span], width: int, free: Sequence[bool], onward: bool) -> list[bool]:
    """Where a ``free`` token stands in one of ``places`` or at most ``width`` tokens from it, or anywhere onward."""
    if onward:
        first = min(start for start, _ in places)
        return [own and i >= first for i, own in enumerate(free)]
    chosen = len(free) * [False]
    for start, end in places:
        for i in range(max(0, start - width), min(len(free), end + width)):
            chosen[i] = free[i]
    return chosen
