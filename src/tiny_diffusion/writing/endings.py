"""Endings: a text that stops within a sentence is written on, or its end drawn anew, until a sentence ends.

Shapes: B rows, T tokens.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..data.language.segmentation import sentence_ends
from ..data.tokenizer import MASK, BookTokenizer
from ..sampling.denoise import DenoisingState
from .filler import Edge, Filler
from .infilling.boundaries import Edges
from .layout import Span, token_spans
from .repair import Repair, Rule
from .results import Outcome, Stretch, WritingState

SHORTEST, LONGEST = 0.8, 1.1
"""Where a text may end, as shares of the length that is asked for."""
_ROOM = 4  # fewest tokens in which an end is drawn
_SEEN = 96  # tokens that show whether the last of them end a sentence
_NEXT = " Hm"
"""A possible continuation of a text that breaks off: no name and no number, so that "Mr." or "J." ends no sentence."""


@dataclass(frozen=True)
class EndsSentence:
    """A rule for ``repair``: a sentence ends within the last ``within`` tokens of the text, at least with the last."""

    tokenizer: BookTokenizer
    language: str
    within: int
    patience: int = 0
    rounds: int = 16

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """The last token, if no sentence ends there or shortly before."""
        near = ids[-_SEEN - self.within :]
        done = len(near) - last_end(near, self.tokenizer, self.language) <= self.within
        return [(len(ids) - 1, len(ids))] if free[-1] and not done else []

    def completion(self, ids: Sequence[int], free: Sequence[bool], place: Span) -> None:
        """No list of words ends a sentence: the token is drawn again."""

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """As many tokens as show where the last sentence ends."""
        return min(_SEEN, len(ids))

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the text without an end."""


@dataclass(frozen=True)
class Ended:
    """A text with its end: ids (T,), the probability (T,) of each, where the states show it, and the steps it took."""

    ids: Tensor
    confidence: Tensor
    stretch: Stretch
    steps: int


def last_end(ids: Sequence[int], tokenizer: BookTokenizer, language: str) -> int:
    """Number of tokens up to the end of the last whole sentence; 0 if none ends at the end of a token."""
    spans = token_spans(tokenizer, ids)
    bounds = {end: i + 1 for i, (_, end) in enumerate(spans)}  # of several tokens in one character the last counts
    ends = sentence_ends(tokenizer.decode(ids) + _NEXT, language)
    return max((bounds[end] for end in ends if end in bounds), default=0)


def shortest(length: int) -> int:
    """Fewest tokens after which a text of ``length`` tokens may end."""
    return math.ceil(SHORTEST * length)


def longest(length: int) -> int:
    """Most tokens after which a text of ``length`` tokens may end."""
    return math.floor(LONGEST * length + 1e-9)


@dataclass(frozen=True)
class Endings:
    """Ends the texts of a filler in a two-letter ``language``, within ``rules``.

    hidden: tokens before each text that are not part of it. given: tokens of the prompt, the hidden ones among them.
    """

    filler: Filler
    rules: Sequence[Rule]
    language: str
    hidden: int
    given: int

    def edges(self, last: int) -> tuple[Edge, ...]:
        """The edge of a row whose token at place ``last`` is to end a sentence; none for the causal reading."""
        return () if self.filler.causal else (Edge(last, self._closing),)

    def write(
        self, done: Tensor, sure: Tensor, refused: dict[int, str], stretches: Sequence[Stretch]
    ) -> Generator[WritingState, None, dict[int, Ended]]:
        """Every moment of ending the rows ``done`` (B, T), then by row the texts that got another end.

        A row whose last sentence ends late enough is left to be cut there. In the others the last tenth of the longest
        text, at least 4 tokens, is drawn: first a token that ends a sentence, in the last place, then what leads to it.
        The causal reading writes on, and ends with such a token if no sentence has ended by then.
        ``stretches``: of each row, so far.
        """
        length = done.shape[1] - self.given
        rows = [r for r, ids in enumerate(done.tolist()) if r not in refused and self._stops_early(ids, length)]
        if not rows:
            return {}
        end = self.given + longest(length)
        start = max(self.given, end - max(_ROOM, end - done.shape[1]))
        first = max(0, end - self.filler.context)
        block = torch.cat((done[rows, first:start], done.new_full((len(rows), end - start), MASK)), dim=1)
        edges = (Edge(block.shape[1] - 1, self._closing),)
        drawn = () if self.filler.causal else [edges] * len(rows)
        longer = tuple(replace(stretches[row], last=end - self.hidden) for row in rows)
        before, known = done[rows, :first], sure[rows, :start]

        def shown(state: DenoisingState, own: slice = slice(None)) -> WritingState:
            ids = torch.cat((before[own], state.ids), dim=1)
            confidence = torch.cat((known[own], state.confidence[:, start - first :]), dim=1)
            given = (torch.arange(end) < self.given).expand(ids.shape)
            visible = slice(self.hidden, None)
            return WritingState(
                ids[:, visible], confidence[:, visible], state.step, state.steps, given[:, visible], longer[own]
            )

        steps, ended = 0, dict[int, Ended]()
        for state in self.filler.denoise(block, [self.filler.numbers[row] for row in rows], drawn):
            steps += 1
            yield shown(state)
        rules = [*self.rules, EndsSentence(self.filler.tokenizer, self.language, longest(length) - shortest(length))]
        for i, row in enumerate(rows):
            own, taken = slice(i, i + 1), steps
            first_state = moment = DenoisingState(state.ids[own], state.confidence[own], 0, 0)
            repair = Repair(self.filler.mending, rules, end, row, edges)
            for moment in repair.states(first_state, block[own] == MASK, refused, [before[i].tolist()]):
                taken += 1
                yield shown(moment, own)
            last = shown(moment, own)
            ended[row] = Ended(last.ids[0], last.confidence[0], longer[i], taken)
        return ended

    def _stops_early(self, ids: list[int], length: int) -> bool:
        """Whether the last sentence of a row ends too early, or none does."""
        return last_end(ids, self.filler.tokenizer, self.language) < self.given + shortest(length)

    @cached_property
    def _closing(self) -> Tensor:
        """Tokens (V,) that end a sentence."""
        filler = self.filler
        return Edges(filler.tokenizer, filler.model.text_vocab_size, filler.allowed, self.language).closing


def with_endings(outcome: Outcome, ended: Mapping[int, Ended], tokenizer: BookTokenizer) -> Outcome:
    """``outcome`` with the texts that are in ``ended`` in place of those without an end."""
    texts = dict(outcome.texts)
    for row, end in ended.items():
        if row in texts and row not in outcome.refused:
            text, ids = texts[row], tuple(end.ids.tolist())
            texts[row] = replace(
                text,
                text=tokenizer.decode(ids),
                ids=ids,
                confidence=tuple(end.confidence.tolist()),
                given=tuple(i < sum(text.given) for i in range(len(ids))),
                steps=text.steps + end.steps,
                stretches=(*text.stretches, end.stretch),
            )
    return Outcome({row: text for row, text in texts.items() if row not in outcome.refused}, outcome.refused)
