"""Whole characters: whatever the order in which tokens settle, no character is left half spelled.

A token of a byte-level vocabulary may begin or end within a character of UTF-8. Each token is a step of the automaton
that reads UTF-8 (Unicode 16, table 3-7): a draw is refused if no tokens at the masked places could complete it.

Shapes: B rows, T tokens, N positions, V text vocabulary.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..data.tokenizer import MASK, NUM_RESERVED
from .draw import Numbers, choose

_STEPS: tuple[tuple[tuple[int, int, int], ...], ...] = (
    (
        (0x00, 0x7F, 0),
        (0xC2, 0xDF, 1),
        (0xE0, 0xE0, 4),
        (0xE1, 0xEC, 2),
        (0xED, 0xED, 5),
        (0xEE, 0xEF, 2),
        (0xF0, 0xF0, 6),
        (0xF1, 0xF3, 3),
        (0xF4, 0xF4, 7),
    ),
    ((0x80, 0xBF, 0),),  # 1, 2, 3: so many bytes are missing
    ((0x80, 0xBF, 1),),
    ((0x80, 0xBF, 2),),
    ((0xA0, 0xBF, 1),),  # 4 to 7: after a first byte that restricts the second
    ((0x80, 0x9F, 1),),
    ((0x90, 0xBF, 2),),
    ((0x80, 0x8F, 2),),
)
"""For each state of the automaton, 0 between characters: first byte, last byte, and the state after them."""
_BETWEEN, _ANYWHERE = 1, (1 << len(_STEPS)) - 1  # sets of states are bits of a number
_WHOLE, _OPEN = 0, -1  # kinds of token: whole characters only; MASK
_NEAR = 9  # tokens on either side that show a character of 4 bytes whole
_WHOLE_MOVES = (0, *(None for _ in _STEPS[1:]))
Moves = tuple[int | None, ...]
"""For each state the one after a token, None if the token cannot follow."""


class WholeCharacters:
    """Draws tokens so that the text can always be completed to whole characters.

    A row may be a part of a longer text: it may begin and end within a character where its given tokens say so.
    """

    def __init__(self, tokens: Sequence[bytes], allowed: int) -> None:
        """``tokens``: the text tokens (V); only the first ``allowed`` are drawn, single bytes among them."""
        kinds: dict[Moves, int] = {_WHOLE_MOVES: _WHOLE}
        self._kinds = np.zeros(NUM_RESERVED + len(tokens), dtype=np.int64)
        for i, token in enumerate(tokens):
            self._kinds[NUM_RESERVED + i] = kinds.setdefault(moves(token), len(kinds))
        self._kinds[MASK] = _OPEN
        drawn = np.unique(self._kinds[NUM_RESERVED : NUM_RESERVED + allowed]).tolist()
        after = [[_after(each, states) for states in range(_ANYWHERE + 1)] for each in kinds]
        before = [[_before(each, states) for states in range(_ANYWHERE + 1)] for each in kinds]
        # The last entry, -1, is that of MASK: any token that may be drawn.
        self._after = [*after, [reduce(int.__or__, column) for column in zip(*(after[k] for k in drawn), strict=True)]]
        self._before = [
            *before,
            [reduce(int.__or__, column) for column in zip(*(before[k] for k in drawn), strict=True)],
        ]
        self._permitted: dict[tuple[int, int], Tensor] = {}
        self._allowed = allowed

    def choose(
        self,
        ids: Tensor,
        where: Tensor,
        logits: Tensor,
        settings: GenerationConfig,
        numbers: Numbers,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N,) for the masked positions ``where`` of ``ids`` (B, T), and their probabilities (N,).

        As ``draw.choose``, but from left to right each token that leaves no way to complete the text is drawn again
        from those that leave one. So tokens come from the model's law given those before them, and any of them may
        settle without the others. Only a row whose given tokens spell no text can keep half a character.
        """
        counts = where.sum(1).tolist()
        tokens, chances = choose(logits, settings, numbers, None if isinstance(numbers, Generator) else counts)
        filled = ids.masked_scatter(where, tokens + NUM_RESERVED)
        kinds = self._kinds[filled.cpu().numpy()]
        done = 0
        for row, count in enumerate(counts):
            if count and not (np.isin(kinds[row], (_WHOLE, _OPEN))).all():
                own = numbers if isinstance(numbers, Generator) else numbers[row]
                places = where[row].nonzero().flatten().tolist()
                self._mend(kinds[row].tolist(), places, done, logits, tokens, chances, settings, own)
            done += count
        return tokens, chances

    def permitted(self, ids: Sequence[int], place: int) -> Tensor:
        """Tokens (V,) that may stand at ``place`` of a row, so that MASKs and tokens after it spell whole characters.

        All may stand there if given tokens allow none.
        """
        first = max(0, place - _NEAR)
        kinds = self._kinds[ids[first : place + _NEAR]].tolist()
        kinds[place - first] = _OPEN
        states, needed = self._ends(kinds)
        for kind in kinds[: place - first]:
            states = self._after[kind][states]
        mask = self._mask(states, needed[place - first + 1])
        return mask if bool(mask.any()) else self._mask(_ANYWHERE, _ANYWHERE)

    def _mend(
        self,
        kinds: list[int],
        places: list[int],
        first: int,
        logits: Tensor,
        tokens: Tensor,
        chances: Tensor,
        settings: GenerationConfig,
        numbers: Generator,
    ) -> None:
        """Draw again, in ``tokens`` and ``chances`` from number ``first`` on, what no text can hold in this row."""
        drawn = {place: first + i for i, place in enumerate(places)}
        states, needed = self._ends([_OPEN if place in drawn else kind for place, kind in enumerate(kinds)])
        for place, kind in enumerate(kinds):
            if place in drawn and not self._after[kind][states] & needed[place + 1]:
                i = drawn[place]
                good = self._mask(states, needed[place + 1])[: logits.shape[1]].to(logits.device)
                left = logits[i : i + 1].masked_fill(~good, -torch.inf)
                if left.max() > -torch.inf:
                    token, chance = choose(left, settings, numbers)
                    tokens[i], chances[i] = token[0], chance[0]
                    kind = int(self._kinds[NUM_RESERVED + int(token)])
            states = self._after[kind][states]

    def _ends(self, kinds: list[int]) -> tuple[int, list[int]]:
        """The states before the row, and for each place those from which the rest of the row can be completed.

        The row begins and ends between two characters, unless its given tokens show that it is cut within one.
        """
        for last in (_BETWEEN, _ANYWHERE):
            needed = [last]
            for kind in reversed(kinds):
                needed.append(self._before[kind][needed[-1]])
            for states in (_BETWEEN, _ANYWHERE):
                if states & needed[-1]:
                    return states, needed[::-1]
        return _ANYWHERE, needed[::-1]

    def _mask(self, states: int, needed: int) -> Tensor:
        """Tokens (V,) that lead from one of ``states`` to one of ``needed``."""
        key = states, needed
        if key not in self._permitted:
            good = np.array([bool(moved[states] & needed) for moved in self._after[:-1]])
            mask = torch.from_numpy(good[self._kinds[NUM_RESERVED:]])
            mask[self._allowed :] = False
            self._permitted[key] = mask
        return self._permitted[key]


def moves(token: bytes) -> Moves:
    """What reading ``token`` does to each state."""
    try:
        token.decode("utf-8")
    except UnicodeDecodeError:
        return tuple(_read(token, state) for state in range(len(_STEPS)))
    return _WHOLE_MOVES


def _read(token: bytes, state: int | None) -> int | None:
    for byte in token:
        if state is None:
            return None
        state = next((then for low, high, then in _STEPS[state] if low <= byte <= high), None)
    return state


def _after(each: Moves, states: int) -> int:
    """The set of states after a token that is read in one of ``states``."""
    return reduce(int.__or__, (1 << to for at, to in enumerate(each) if states >> at & 1 and to is not None), 0)


def _before(each: Moves, states: int) -> int:
    """The set of states in which a token can be read so that one of ``states`` follows."""
    return reduce(int.__or__, (1 << at for at, to in enumerate(each) if to is not None and states >> to & 1), 0)
