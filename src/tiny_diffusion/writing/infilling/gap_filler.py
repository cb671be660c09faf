"""Filling gaps: the rows in which gaps are open, their filling, and its repair by the rules.

Shapes: T tokens of a row, V text vocabulary.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from ...data.tokenizer import MASK
from ...model.lengths import equal_lengths
from ...sampling.denoise import DenoisingState
from ..filler import Edge, Filled, Filler
from ..repair import Repair
from ..results import Stretch, WritingState
from ..rules import Rule, Span
from .gapped_text import Hole
from .required_words import expectations, place_words, required_words, tokens_needed
from .template import GapRequest


@dataclass(frozen=True)
class Row:
    """Tokens (T,) with MASK where to fill, the edges to draw first, and the part of a text that is written.

    gaps: the places of the gaps.
    """

    ids: Tensor
    edges: tuple[Edge, ...] = ()
    stretch: Stretch = Stretch(0, 0, 0, 0)
    gaps: tuple[Span, ...] = ()


def fill(
    filler: Filler, rows: Iterable[Row], rules: Sequence[Rule] = ()
) -> Generator[WritingState, None, list[tuple[Row, Filled]]]:
    """Every moment of filling ``rows``, then each with what filled it; for ``rules`` see ``Filler.denoise``.

    Rows of one length are filled together and the others wait, because the model has never seen padding. The shortest
    come first, so that what a text draws does not depend on the other texts.
    """
    rows, found = list(rows), dict[int, Filled]()
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
    for batch in equal_lengths([rows[i].ids for i in order], max(1, len(rows))):
        owners = [order[i] for i in batch.owner.tolist()]
        ids, edges = batch.rows.to(filler.model.device), [rows[i].edges for i in owners]
        numbers = [filler.numbers[rows[i].stretch.text] for i in owners]
        given, stretches = ids != MASK, tuple(rows[i].stretch for i in owners)
        for state in filler.denoise(ids, numbers, edges, rules):
            shown, sure = state.ids.clone(), state.confidence.clone()
            yield WritingState(shown, sure, state.step, state.steps, given, stretches)
        for i, row, confidence in zip(owners, state.ids.cpu(), state.confidence.cpu(), strict=True):
            found[i] = Filled(row, confidence, state.step)
    return [(row, found[i]) for i, row in enumerate(rows)]


@dataclass(frozen=True)
class GapFiller:
    """Fills gaps of several texts made from one template. In its methods, ``k`` is the number of a text.

    guards: rules about copies; words: those about words. refused: reasons by number of the text. draws: numbers the
    attempts.
    """

    filler: Filler
    guards: Sequence[Rule]
    words: Sequence[Rule]
    refused: dict[int, str] = field(default_factory=dict)
    draws: Iterator[int] = field(default_factory=count)

    def row(self, k: int, hole: Hole, draw: int, inside: Sequence[int] | None = None) -> Row:
        """The row to fill a hole of text ``k`` in: its window with ``inside``, as in ``Hole.window``, and its edges."""
        ids, spans = hole.window(self.filler.context, inside)
        masks, last = self.filler.edges, spans[-1][1] - 1
        edges = [edge for gap, span in zip(hole.gaps, spans, strict=True) for edge in gap.edges(masks, ids, span)]
        if hole.meets_gap and ids[last] == MASK:  # what is filled next begins a new character
            here = [edge.permitted for edge in edges if edge.place == last]
            edges = [edge for edge in edges if edge.place != last]
            edges.append(Edge(last, here[0] & masks.whole if here else masks.whole))
        part = Stretch(k, hole.start, spans[0][0], spans[-1][1], draw)
        return Row(torch.tensor(ids), tuple(edges), part, tuple(spans))

    def in_sizes(self, k: int, hole: Hole, ratio: float, slack: float) -> Iterator[Row]:
        """Rows with a gap open in several sizes, its required words in place."""
        filler, settings, [gap] = self.filler, self.filler.settings, hole.gaps
        words = required_words(gap, filler.encode) if gap.must else []
        needed = tokens_needed(words) if words else 0
        bounds = gap.request.size_range(ratio, slack, settings.gap_tokens, filler.context, needed, len(words))
        several = -(-settings.gap_candidates // 2)  # each size twice: rows of one size are one batch
        sizes = sizes_of(gap.request, *bounds, ratio, several)
        chances: dict[int, Tensor] = {}
        for i in range(settings.gap_candidates):
            size = sizes[i % len(sizes)]
            inside: list[int] | None = [MASK] * size
            if words:
                if size not in chances:
                    ids, [span] = hole.window(filler.context, inside)
                    chances[size] = expectations(filler, ids, span)
                inside = place_words(words, chances[size], size - gap.request.is_whole, filler.numbers[k])
            if inside is not None:
                yield self.row(k, hole, next(self.draws), inside)

    def onward(self, k: int, hole: Hole, ratio: float, slack: float) -> Iterator[Row]:
        """Rows of the left side of a gap, with room behind it for what the causal reading writes."""
        filler, [gap] = self.filler, hole.gaps
        _, room = gap.request.size_range(ratio, slack, filler.settings.gap_tokens, filler.context)
        before = hole.before[max(0, len(hole.before) + room - filler.context) :]
        opening = filler.edges.opening(gap.opening, single=False)
        edges = () if opening is None else (Edge(len(before), opening),)
        ids = torch.tensor([*before, *[MASK] * room])
        for _ in range(filler.settings.gap_candidates):
            yield Row(ids, edges, Stretch(k, hole.start, len(before), len(ids), next(self.draws)))

    def repaired(
        self, rules: Sequence[Rule], hole: Hole, row: Row, filled: Filled
    ) -> Generator[WritingState, None, Filled]:
        """Every moment of repairing the gaps of a row by its edges, then the row; notes a refusal."""
        if not rules:
            return filled
        (start, _), (_, end) = row.gaps[0], row.gaps[-1]
        known = min(len(row.ids), end + hole.known)  # tokens before the next open gap
        device, given = self.filler.model.device, row.ids[None] != MASK
        free = torch.zeros(1, known, dtype=torch.bool, device=device)
        for span in row.gaps:
            free[0, slice(*span)] = row.ids[slice(*span)] == MASK  # required words stand there already
        repair = Repair(self.filler, rules, len(hole.before), row.stretch.text, row.edges, row.ids[known:])
        state = DenoisingState(filled.ids[None, :known].to(device), filled.confidence[None, :known].to(device), 0, 0)
        outside = [hole.before[: len(hole.before) - start]], [hole.behind[known - end :]]
        for latest in repair.states(state, free, self.refused, *outside):
            ids = torch.cat((latest.ids[0].cpu(), filled.ids[known:]))
            confidence = torch.cat((latest.confidence[0].cpu(), filled.confidence[known:]))
            filled = Filled(ids, confidence, filled.steps + 1)
            steps = filled.steps
            yield WritingState(ids[None].clone(), confidence[None].clone(), steps, steps, given, (row.stretch,))
        return filled


def sizes_of(request: GapRequest, least: int, most: int, ratio: float, count: int) -> list[int]:
    """``count`` sizes from ``least`` to ``most`` tokens: as long as the book's own, or evenly spaced."""
    usual = [request.usual[i] for i in spread(0, len(request.usual) - 1, count)] if request.usual else []
    return [min(max(round(words * ratio), least), most) for words in usual] or spread(least, most, count)


def spread(least: int, most: int, count: int) -> list[int]:
    """``count`` whole numbers from ``least`` to ``most``, evenly spaced."""
    return [least + (2 * i + 1) * (most - least + 1) // (2 * count) for i in range(count)]
