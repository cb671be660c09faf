"""Repair: what breaks a rule in a finished row is hidden, and drawn again in order from what the rules allow.

Shapes: B rows, T tokens of a row, R tokens after it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.tokenizer import MASK
from ..runtime import generator_for
from ..sampling.denoise import DenoisingState
from .filler import Edge, Filler, window
from .rules import Rule

MEND = 8  # purpose of random draws, see ``runtime.seed_for``
ROUNDS, WAIVED = 16, 8
"""Most draws at one place before the text is refused, and before a rule that may be waived is."""


@dataclass
class Patient:
    """A row under repair: its number, the tokens that may change, the text around it, and what has been tried.

    again: the tokens to draw next. tries: draws at the place ``reached``, of ``draws`` in all. barred: tokens that were
    found wrong, by place. waived: places that are left as they are.
    """

    row: int
    free: list[bool]
    before: list[int]
    behind: list[int]
    rules: Sequence[Rule]
    again: list[bool] = field(default_factory=list)
    tries: int = 0
    reached: int = -1
    draws: int = 0
    barred: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    waived: set[int] = field(default_factory=set)

    def look(self, ids: list[int]) -> str | None:
        """Choose what to draw ``again``, nothing if all rules are kept; returns why the row must be refused, if so.

        The first draw at a place renews its own tokens, each further draw one more token on both sides, and then none
        of the tokens found at its beginning is allowed.
        """
        whole, first = self.before + ids + self.behind, len(self.before)
        loose = first * [False] + self.free + len(self.behind) * [False]
        self.again = len(ids) * [False]
        while True:
            found = [(*place, rule) for rule in self.rules for place in rule.places(whole, loose)]
            found = [each for each in found if each[0] not in self.waived]
            if not found:
                return None
            start, _, rule = min(found, key=lambda each: each[:2])
            self.tries, self.reached = (1, start) if start > self.reached else (self.tries + 1, self.reached)
            reason = rule.refusal(whole, loose) if self.tries > min(WAIVED, ROUNDS) else None
            if self.tries > (min(WAIVED, ROUNDS) if reason is None else ROUNDS):
                if reason is not None:
                    return reason
                self.waived.add(start)
                self.tries = 0
                continue
            self.draws += 1
            for start, end, _ in found:
                if self.tries > 1:
                    self.barred[start - first].add(whole[start])
                for place in range(max(0, start - first - self.tries + 1), min(len(ids), end - first + self.tries - 1)):
                    self.again[place] = self.free[place]
            return None


@dataclass(frozen=True)
class Repair:
    """Repairs rows that the masked reading has written, until they keep the rules or are refused.

    place: where in the text the rows begin, a part of the seeds; number: that of the first row. edges: places of the
    rows whose tokens are restricted. tail (R,): what the model sees after the rows, MASK where it is still open.
    """

    filler: Filler
    rules: Sequence[Rule]
    place: int = 0
    number: int = 0
    edges: tuple[Edge, ...] = ()
    tail: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def after(
        self,
        filling: Iterator[DenoisingState],
        free: Tensor,
        refused: dict[int, str],
        before: Sequence[list[int]] | None = None,
    ) -> Iterator[DenoisingState]:
        """The states of ``filling``, then those of repairing the rows of its last state; see ``states``."""
        state = None
        for state in filling:
            yield state
        if state is not None:
            yield from self.states(state, free, refused, before)

    def states(
        self,
        state: DenoisingState,
        free: Tensor,
        refused: dict[int, str],
        before: Sequence[list[int]] | None = None,
        behind: Sequence[list[int]] | None = None,
    ) -> Iterator[DenoisingState]:
        """States of repairing the rows of ``state`` whenever tokens settle; none if all keep the rules.

        Only ``free`` tokens (B, T) change. ``before``, ``behind``: for each row, the ids of the text around it.
        ``refused``: reasons by row number; rows that are in it are left alone, rows that are given up are added.
        """
        nothing: list[list[int]] = [[]] * len(free)
        patients = []
        for row, (ahead, after) in enumerate(zip(before or nothing, behind or nothing, strict=True)):
            if self.rules and self.number + row not in refused:
                ahead = ahead[len(ahead) - max(rule.reach(ahead) for rule in self.rules) :]
                after = after[: max(rule.reach(after, behind=True) for rule in self.rules)]
                patients.append(Patient(row, free[row].tolist(), ahead, after, self.rules))
        while patients:
            for each in patients:
                if (reason := each.look(state.ids[each.row].tolist())) is not None:
                    refused[self.number + each.row] = reason
            patients = [each for each in patients if any(each.again)]
            if patients:
                for latest in self._drawn_again(state, patients):
                    yield latest
                    state = latest

    def _drawn_again(self, state: DenoisingState, patients: Sequence[Patient]) -> Iterator[DenoisingState]:
        """States of drawing what each row wants ``again``: the first token of each hole, then the second, and so on.

        A row beyond the context is drawn in a window around its first hole.
        """
        filler, rows = self.filler, [each.row for each in patients]
        again = torch.tensor([each.again for each in patients])
        whole = torch.cat((state.ids[rows].cpu().masked_fill(again, MASK), self.tail.expand(len(rows), -1)), dim=1)
        length, known = whole.shape[1], again.shape[1]
        bounds = [window(p := each.again.index(True), p + 1, length, filler.context) for each in patients]
        ids = torch.stack([whole[i, slice(*bound)] for i, bound in enumerate(bounds)])
        hidden = torch.stack([F.pad(again[i], (0, length - known))[slice(*bound)] for i, bound in enumerate(bounds)])
        permit = filler.rules(
            self.rules,
            ahead=[[*each.before, *whole[i, : bounds[i][0]].tolist()] for i, each in enumerate(patients)],
            after=[[*whole[i, bounds[i][1] :].tolist(), *each.behind] for i, each in enumerate(patients)],
            extra={edge.place: edge.permitted for edge in self.edges},
            barred=[{p - bounds[i][0]: each.barred[p] for p in each.barred} for i, each in enumerate(patients)],
            finished=[each.tries > 1 for each in patients],
        )
        seeds = ((MEND, self.place, self.number + each.row, each.draws) for each in patients)
        numbers = [generator_for(filler.settings.seed, *seed) for seed in seeds]
        for drawn in filler.in_order(ids.to(state.ids.device), turns(hidden), numbers, permit):
            ids, confidence = state.ids.clone(), state.confidence.clone()
            for i, (row, (first, _)) in enumerate(zip(rows, bounds, strict=True)):
                places = hidden[i].nonzero().flatten().to(ids.device)
                ids[row, first + places] = drawn.ids[i, places]
                confidence[row, first + places] = drawn.confidence[i, places]
            yield DenoisingState(ids, confidence, drawn.step, drawn.steps)


def turns(hidden: Tensor) -> list[Tensor]:
    """The first place of each hole of ``hidden`` (B, T), then the second of each, and so on, each (B, T)."""
    found, left = [], hidden
    while left.any():
        first = left & ~F.pad(left[:, :-1], (1, 0))
        found.append(first)
        left = left & ~first
    return found
