"""Repair: tokens that break a rule are drawn again with another seed and their surroundings kept, until none does.

Shapes: B rows, T tokens of a row, R tokens after it, N places that must change, V text vocabulary.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Generator, Tensor

from ..data.tokenizer import BOS, MASK
from ..runtime import generator_for, memory_errors
from ..sampling.causal_reader import CausalReader
from ..sampling.denoise import DenoisingState
from ..sampling.draw import Numbers, choose, forbid
from ..sampling.predictor import Predictor
from .completion import Completion
from .filler import Edge, Filler, window
from .layout import Span

MEND = 8  # purpose of random draws, see ``runtime.seed_for``
ROUNDS = 16
"""Most draws at one place before it is given up."""


class Rule(Protocol):
    """What a finished text must keep.

    patience: after this many draws at one place, the token found at its beginning is barred from it. rounds: draws at
    one place before it is given up, at most ``ROUNDS``.
    """

    @property
    def patience(self) -> int: ...

    @property
    def rounds(self) -> int: ...

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Tokens to draw again, the first of each place being ``free``; empty if the text keeps the rule."""

    def completion(self, ids: Sequence[int], free: Sequence[bool], place: Span) -> Completion | None:
        """What must be drawn at a place; None if anything may be, which is tried until it keeps the rule."""

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> str | None:
        """Why a text that ``ROUNDS`` draws could not repair is refused; None if it is accepted as it is."""

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """How many of the settled tokens ``ids`` may matter to what is written after them.

        ``behind``: to what is written before them.
        """


@dataclass(frozen=True)
class Repair:
    """Repairs rows that a filler has written, until they keep the rules or ``ROUNDS`` draws at one place have failed.

    place: where in the text the rows begin, a part of the seeds; number: that of the first row. edges: places of the
    rows whose tokens are restricted. tail (R,): what the model sees after the rows, MASK where it is still open.
    """

    filler: Filler
    rules: Sequence[Rule]
    place: int = 0
    number: int = 0
    edges: tuple[Edge, ...] = ()
    tail: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def fill(
        self, rows: Tensor, numbers: Numbers, refused: dict[int, str], before: Sequence[list[int]] | None = None
    ) -> Iterator[DenoisingState]:
        """States of filling the MASKs of ``rows`` (B, T) of any length, then of repairing them; see ``states``."""
        filling = self.filler.in_windows(rows, lambda window, _: self.filler.denoise(window, numbers))
        yield from self.after(filling, rows == MASK, refused, before)

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
        """States of repairing the rows of ``state`` one by one, whenever a token settles; none if all keep the rules.

        Only ``free`` tokens (B, T) change. ``before``, ``behind``: for each row, the ids of the text around it.
        ``refused``: reasons by row number; rows that are in it are left alone, rows that are given up are added.
        The first draw at a place renews its own tokens, each further draw one more token on both sides. For the
        causal reading every draw renews everything after the place, and nothing before it.
        """
        if not self.rules:
            return
        nothing: list[list[int]] = [[]] * len(free)
        for row, (ahead, after) in enumerate(zip(before or nothing, behind or nothing, strict=True)):
            if self.number + row in refused:
                continue
            ahead = ahead[len(ahead) - max(rule.reach(ahead) for rule in self.rules) :]
            after = after[: max(rule.reach(after, behind=True) for rule in self.rules)]
            for latest in self._repair_row(state, row, free[row], ahead, after, refused):
                yield latest
                state = latest

    def _repair_row(
        self,
        state: DenoisingState,
        row: int,
        free: Tensor,
        before: list[int],
        behind: list[int],
        refused: dict[int, str],
    ) -> Iterator[DenoisingState]:
        """States of repairing one row, from its first place on; see ``states``."""
        loose = len(before) * [False] + free.tolist() + len(behind) * [False]
        rules, draws, tries, reached = list(self.rules), 0, 0, -1
        barred: defaultdict[int, set[int]] = defaultdict(set)
        while True:
            ids = before + state.ids[row].tolist() + behind
            found = [(place, rule) for rule in rules for place in rule.places(ids, loose)]
            if not found:
                return
            (first, _), rule = min(found, key=lambda each: each[0])
            tries, reached = (1, first) if first > reached else (tries + 1, reached)
            if tries > min(rule.rounds, ROUNDS):
                reason = rule.give_up(ids, loose)
                if reason is not None:
                    refused[self.number + row] = reason
                    return
                rules.remove(rule)
                tries, reached = 0, -1
                continue
            draws += 1
            for (start, _), rule in found:
                if tries > rule.patience:
                    barred[start - len(before)].add(ids[start])
            ready = self._completions(found, ids, loose, tries, len(before))
            if ready:
                for latest in self._completed(state, row, free, ready, barred, draws):
                    yield latest
                    state = latest
                continue
            again = self._widened([place for place, _ in found], tries - 1, loose)[len(before) :][: len(free)]
            for latest in self._drawn_again(state, row, free.new_tensor(again), barred, draws):
                yield latest
                state = latest

    def _completions(
        self, found: Sequence[tuple[Span, Rule]], ids: list[int], free: list[bool], tries: int, before: int
    ) -> list[tuple[Span, Completion]]:
        """The places, in the row, whose rule says what must be drawn there; for the causal reading the first place."""
        if self.filler.causal:
            found = [min(found, key=lambda each: each[0])]
        return [
            ((start - before, end - before), completion)
            for (start, end), rule in found
            if tries > rule.patience and (completion := rule.completion(ids, free, (start, end))) is not None
        ]

    def _completed(
        self,
        state: DenoisingState,
        row: int,
        free: Tensor,
        ready: Sequence[tuple[Span, Completion]],
        barred: Mapping[int, set[int]],
        draw: int,
    ) -> Iterator[DenoisingState]:
        """States of drawing what must stand at some places of one row, from left to right, one pass for all places.

        In a row beyond the context each place has a window and passes of its own. For the causal reading everything
        after the place is then drawn again.
        """
        ids, confidence = state.ids.clone(), state.confidence.clone()
        numbers = generator_for(self.filler.settings.seed, MEND, self.place, self.number + row, draw, 1)
        for (start, end), _ in ready:
            ids[row, start:end], confidence[row, start:end] = MASK, 0.0
        whole = ids.shape[1] + len(self.tail) <= self.filler.context
        for group in [ready] if whole else [[each] for each in ready]:
            for turn in range(max(end - start for (start, end), _ in group)):
                asked = [(start + turn, end, words) for (start, end), words in group if start + turn < end]
                places = [place for place, _, _ in asked]
                ids[row, places], confidence[row, places] = self._next_of_words(ids[row], asked, barred, numbers)
                yield DenoisingState(ids.clone(), confidence.clone(), 1, 1)
        if self.filler.causal:
            later = free & (torch.arange(len(free), device=free.device) >= ready[0][0][1])
            if later.any():
                yield from self._drawn_again(DenoisingState(ids, confidence, 1, 1), row, later, {}, draw)

    @torch.inference_mode()
    def _next_of_words(
        self,
        row: Tensor,
        asked: Sequence[tuple[int, int, Completion]],
        barred: Mapping[int, set[int]],
        numbers: Generator,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N,) and their probabilities (N,) for some places of ``row`` (T,), each with the end of its words.

        Barred tokens are avoided if the words allow it. Where no token goes on with the words, any is drawn.
        """
        reserved, places = self.filler.model.reserved, [place for place, _, _ in asked]
        row = torch.cat((row, self.tail.to(row.device)))
        first, last = window(places[0], asked[-1][1], len(row), self.filler.context)
        with memory_errors():
            logits = self._logits(row[None, first:last], [place - first for place in places])  # (N, V)
        logits = forbid(logits, self.filler.allowed).clone()
        for i, (place, end, words) in enumerate(asked):
            permitted = words.tokens(end - place)
            permitted = permitted - barred.get(place, set()) or permitted
            if permitted:
                index = [token - reserved for token in permitted]
                only = torch.full_like(logits[i], -torch.inf)
                only[index] = logits[i, index]
                logits[i] = only
        drawn, chances = choose(logits, self.filler.settings, numbers)
        tokens = drawn + reserved
        for (_, _, words), token in zip(asked, tokens.tolist(), strict=True):
            words.take(token)
        return tokens, chances

    def _drawn_again(
        self, state: DenoisingState, row: int, again: Tensor, barred: Mapping[int, set[int]], draw: int
    ) -> Iterator[DenoisingState]:
        """States of drawing the tokens ``again`` (T,) of one row, one state whenever a token settles."""
        last = state.ids[row : row + 1].masked_fill(again, MASK)
        numbers = generator_for(self.filler.settings.seed, MEND, self.place, self.number + row, draw)
        for drawn in self.redrawn(last, barred, numbers):
            if drawn.ids.equal(last):
                continue  # nothing settled in this step, as in most steps when few tokens are drawn
            last = drawn.ids
            ids, confidence = state.ids.clone(), state.confidence.clone()
            ids[row] = drawn.ids[0]
            confidence[row] = drawn.confidence[0].where(again, confidence[row])
            yield DenoisingState(ids, confidence, drawn.step, drawn.steps)

    def redrawn(self, row: Tensor, barred: Mapping[int, set[int]], numbers: Generator) -> Iterator[DenoisingState]:
        """States of filling the MASKs of one row (1, T), none with a token that is ``barred`` at its place."""
        length = row.shape[1]

        def fill(window: Tensor, first: int) -> Iterator[DenoisingState]:
            return self._fill_window(window, {place - first: tokens for place, tokens in barred.items()}, numbers)

        for state in self.filler.in_windows(torch.cat((row, self.tail[None].to(row.device)), dim=1), fill):
            yield replace(state, ids=state.ids[:, :length], confidence=state.confidence[:, :length])

    def _fill_window(self, row: Tensor, barred: Mapping[int, set[int]], numbers: Generator) -> Iterator[DenoisingState]:
        """States of filling the MASKs of ``row`` (1, T), a window.

        Masked places with barred tokens (for the causal reading: only the first masked place) come first, in one pass,
        each with a token that is not barred. This is what many draws would give if the barred ones were discarded.
        """
        row, confidence = row.clone(), (row != MASK).float()
        masked = (row[0] == MASK).nonzero().flatten().tolist()
        places = [place for place in (masked[:1] if self.filler.causal else masked) if place in barred]
        if places:
            with memory_errors():
                row[0, places], confidence[0, places] = self._others(row, places, barred, numbers)
        if len(places) == len(masked):
            yield DenoisingState(row, confidence, 1, 1)
            return
        edges = tuple(edge for edge in self.edges if row[0, edge.place] == MASK)
        for state in self.filler.denoise(row, numbers, () if self.filler.causal else [edges]):
            drawn = state.confidence.clone()
            drawn[0, places] = confidence[0, places]
            yield replace(state, confidence=drawn)

    @torch.inference_mode()
    def _others(
        self, row: Tensor, places: list[int], barred: Mapping[int, set[int]], numbers: Generator
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N,) for ``places`` that are not barred there, and their probabilities (N,).

        If all candidate tokens of a place are barred, the restriction is lifted there.
        """
        model, permitted = self.filler.model, {edge.place: edge.permitted for edge in self.edges}
        logits = forbid(self._logits(row, places), self.filler.allowed)  # (N, V)
        for i, place in enumerate(places):
            if place in permitted:
                logits[i] = logits[i].masked_fill(~permitted[place].to(logits.device), -torch.inf)
            others = logits[i].clone()
            others[[token - model.reserved for token in barred[place]]] = -torch.inf
            if others.max() > -torch.inf:
                logits[i] = others
        where = torch.zeros_like(row, dtype=torch.bool)
        where[0, places] = True
        tokens, chances = self.filler.whole.choose(row, where, logits, self.filler.settings, numbers)
        return tokens + model.reserved, chances

    def _logits(self, row: Tensor, places: list[int]) -> Tensor:
        """Float32 logits (N, V) at ``places`` of ``row`` (1, T); the causal reading sees the text before one place."""
        model, settings = self.filler.model, self.filler.settings
        if not self.filler.causal:
            where = torch.zeros_like(row, dtype=torch.bool)
            where[0, places] = True
            return Predictor(model, settings).logits(row, where)
        before = torch.cat((torch.full_like(row[:, :1], BOS), row[:, : places[0]]), dim=1)
        return CausalReader(model, settings).next_logits(before)

    def _widened(self, places: Sequence[Span], width: int, free: Sequence[bool]) -> list[bool]:
        """The ``free`` tokens in ``places`` or at most ``width`` tokens away; for the causal reading all after them."""
        if self.filler.causal:
            first = min(start for start, _ in places)
            return [own and i >= first for i, own in enumerate(free)]
        chosen = len(free) * [False]
        for start, end in places:
            for i in range(max(0, start - width), min(len(free), end + width)):
                chosen[i] = free[i]
        return chosen
