"""A Kneser-Ney model's law of what stands in a gap, given the text on both sides of it.

By Bayes' rule, p(filling | left, right) = p(left filling right) / sum of p(left f right) over all fillings f of as
many tokens. The sum is exact, at any order. An interpolated back-off model is an automaton: its states are the
n-grams met in training that are shorter than its order, and the longest of them that a context ends with tells all
about what follows. A token leads from a state to the n-gram that it completes, or where that was never met, to
where it leads from the shorter context, with that one's probability times the state's back-off weight. So the
probability of the right side is carried back over a token of the gap by one pass over the n-grams, not over all
pairs of states and tokens. Of either side no more than the ``order - 1`` tokens next to the gap count.

Shapes: S states (the empty context, then the n-grams of one token, of two, and so on), V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from tiny_diffusion.data.ngrams import FloatArray, IntArray, KneserNey
from tiny_diffusion.errors import UserError


@dataclass(frozen=True)
class _Arcs:
    """The n-grams of one length as ways from a state to a state.

    source: the state of all tokens but the last; token: the last; chance: of it after them; target: the state it
    leads to; shorter: the n-gram, of the next shorter length, without the first token; weight: the back-off weight
    of each state that n-grams of this length begin with.
    """

    source: IntArray
    token: IntArray
    chance: FloatArray
    target: IntArray
    shorter: IntArray
    weight: FloatArray


class TwoSided:
    """Scores and fills gaps with a fitted Kneser-Ney model, by the conventions of ``ngrams``."""

    def __init__(self, model: KneserNey) -> None:
        """Index the n-grams of ``model``."""
        self.order, self.vocab_size = model.order, model.vocab_size
        levels, none = model.levels, np.zeros(1, np.int64)
        # The root stands for an n-gram of no token: any token after any state, which leads to the empty context.
        self._arcs = [_Arcs(none, none, np.array([1 / self.vocab_size]), none, none, np.ones(1))]
        self._first = list(accumulate([1, *(len(level.keys) for level in levels)], initial=0))
        for length, level in enumerate(levels, start=1):
            lower = self._arcs[-1]
            context, token = np.divmod(level.keys, self.vocab_size)
            shorter = np.zeros(len(token), np.int64)
            if length > 1:
                shorter = model.find(levels[length - 2].keys, lower.shorter[context], token)
            table = level.raw if level.continuation is None else level.continuation
            own = np.arange(len(token)) + self._first[length]
            self._arcs.append(
                _Arcs(
                    source=context,
                    token=token,
                    chance=table.mass[:-1] + table.weight[context] * lower.chance[shorter],
                    target=own if length < self.order else shorter + self._first[length - 1],
                    shorter=shorter,
                    weight=table.weight[:-1],
                )
            )

    @property
    def states(self) -> int:
        """Number of states."""
        return self._first[self.order]

    def log_prob(self, left: Sequence[int], filling: Sequence[int], right: Sequence[int]) -> float:
        """Log-probability in nats of ``filling``, given the ids beside it, among all fillings of as many tokens.

        With an empty ``right`` it is the model's own, given the left side. Raises ``UserError`` for a left side of
        fewer than ``order - 1`` tokens: what stands before it would count.
        """
        outlook = self.outlooks(right, len(filling))
        begin = state = self._state(left)
        total = 0.0
        for token in filling:
            chances, targets = self._next(state)
            total += float(np.log(chances[token]))
            state = int(targets[token])
        return total + float(np.log(outlook[-1][state]) - np.log(outlook[0][begin]))

    def likeliest(self, left: Sequence[int], size: int, right: Sequence[int], beam: int) -> list[int]:
        """The likeliest filling of ``size`` tokens that a beam of so many beginnings finds.

        A beginning's score is its exact probability given both sides. Raises as ``log_prob``.
        """
        outlook = self.outlooks(right, size)
        states, scores, beginnings = np.array([self._state(left)]), np.zeros(1), np.zeros((1, 0), np.int64)
        for place in range(1, size + 1):
            found = [self._next(int(state)) for state in states]
            chances, targets = (np.stack(arrays) for arrays in zip(*found, strict=True))  # (beginnings, V) each
            total = scores[:, None] + np.log(chances)
            best = np.argsort(-(total + np.log(outlook[place][targets])), axis=None, kind="stable")[:beam]
            row, token = np.divmod(best, self.vocab_size)
            states, scores = targets[row, token], total[row, token]
            beginnings = np.column_stack((beginnings[row], token))
        return [int(token) for token in beginnings[0]]

    def outlooks(self, right: Sequence[int], size: int) -> list[FloatArray]:
        """Probability (S,) of ``right`` from each state with ``size`` unknown tokens before it, with one less, to 0."""
        outlook = np.ones(self.states)
        for token in reversed(right[: self.order - 1]):
            chances, targets = self._step(token)
            outlook = chances * outlook[targets]
        found = [outlook]
        for _ in range(size):
            found.append(self._carried_back(found[-1]))
        return found[::-1]

    def _carried_back(self, outlook: FloatArray) -> FloatArray:
        """Expected ``outlook`` (S,) one token later, from each state."""
        result = np.empty(self.states)
        shorter = outlook[:1]  # what the root expects: a uniform token leads to the empty context
        for lower, arcs, own in self._ascending():
            skipped = arcs.weight[arcs.source] * (lower.chance * outlook[lower.target])[arcs.shorter]
            gained = arcs.chance * outlook[arcs.target] - skipped
            result[own] = arcs.weight * shorter[lower.shorter]
            result[own] += np.bincount(arcs.source, weights=gained, minlength=own.stop - own.start)
            shorter = result[own]
        return result

    def _ascending(self) -> Iterator[tuple[_Arcs, _Arcs, slice]]:
        """For the states of each length, from the empty context: the ways to them, from them, and where they are."""
        for length in range(self.order):
            yield self._arcs[length], self._arcs[length + 1], slice(self._first[length], self._first[length + 1])

    def _step(self, token: int) -> tuple[FloatArray, IntArray]:
        """Probability (S,) of ``token`` after each state, and the state (S,) that it leads to."""
        chances, targets = np.empty(self.states), np.empty(self.states, np.int64)
        chance, target = self._arcs[0].chance, self._arcs[0].target
        for lower, arcs, own in self._ascending():
            chance, target = arcs.weight * chance[lower.shorter], target[lower.shorter]
            met = np.flatnonzero(arcs.token == token)
            chance[arcs.source[met]], target[arcs.source[met]] = arcs.chance[met], arcs.target[met]
            chances[own], targets[own] = chance, target
        return chances, targets

    def _next(self, state: int) -> tuple[FloatArray, IntArray]:
        """Probability (V,) of each token after ``state``, and the state (V,) that it leads to."""
        length = int(np.searchsorted(self._first, state, side="right")) - 1
        path = [state - self._first[length]]
        for arcs in reversed(self._arcs[1 : length + 1]):
            path.append(int(arcs.shorter[path[-1]]))
        chances = np.full(self.vocab_size, 1 / self.vocab_size)
        targets = np.zeros(self.vocab_size, np.int64)
        for arcs, context in zip(self._arcs[1 : length + 2], reversed(path), strict=True):
            begin, end = np.searchsorted(arcs.source, [context, context + 1])
            met = slice(int(begin), int(end))
            chances *= arcs.weight[context]
            chances[arcs.token[met]] = arcs.chance[met]
            targets[arcs.token[met]] = arcs.target[met]
        return chances, targets

    def _state(self, left: Sequence[int]) -> int:
        """The state after ``left``."""
        if len(left) < self.order - 1:
            raise UserError(f"{len(left)} tokens on the left of a gap are too few: order {self.order} asks for more")
        state = 0
        for token in left[len(left) - self.order + 1 :]:
            state = int(self._next(state)[1][token])
        return state
