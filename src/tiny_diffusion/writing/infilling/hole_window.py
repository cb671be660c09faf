"""The row that some holes of a draft are filled in, and its mending.

Shapes: B rows, T tokens of the row, K of them known: before the next hole that is still open.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from ...data.tokenizer import MASK
from ...runtime import generator_for
from ...sampling.denoise import DenoisingState
from ..filler import Edge, Filled, Filler, Row
from ..mending import mend
from ..redrawing import MEND, Redrawing
from .boundaries import Edges
from .draft import Draft, Hole, around, filled_part, hole_at, surroundings, with_part


@dataclass(frozen=True)
class HoleWindow:
    """A row around some holes, ``spans`` of it by the numbers of their parts, and what stands ``outside`` of it.

    known: K. outside: ids before the row, and those behind it as far as the next open hole.
    """

    row: Row
    spans: Mapping[int, tuple[int, int]]
    known: int
    outside: tuple[list[int], list[int]]

    @classmethod
    def of(cls, filler: Filler, edges: Edges, draft: Draft, holes: Sequence[int]) -> "HoleWindow":
        """The window of ``holes``, of which none before or between them is open, with as much text as fits."""
        ids, start = around(draft, holes[0], holes[-1], filler.context)
        before, behind = surroundings(draft, holes[0], holes[-1])
        spans, end = {}, start
        for index in range(holes[0], holes[-1] + 1):
            spans[index] = (end, end + len(draft[index].ids))
            end = spans[index][1]
        spans = {i: spans[i] for i in holes}
        found = [edge for i in holes for edge in hole_edges(edges, hole_at(draft, i), ids, *spans[i])]
        known = min(len(ids), end + len(behind))
        outside = before[: len(before) - start], behind[known - end :]
        return cls(Row(torch.tensor(ids), tuple(found)), spans, known, outside)

    def fill(self, filler: Filler, draft: Draft, filled: Filled) -> Draft:
        """``draft`` with the holes filled as the row is; the steps are those of the first hole."""
        steps = filled.steps
        for i, span in self.spans.items():
            ids, confidence = (values[slice(*span)].tolist() for values in (filled.ids, filled.confidence))
            draft = with_part(draft, i, filled_part(hole_at(draft, i), ids, confidence, filler.tokenizer, steps))
            steps = 0
        return draft

    def mend(self, filler: Filler, filled: Filled, number: int, refused: dict[int, str]) -> Iterator[Filled]:
        """The filled row of sample ``number`` after each change that the guard asks for.

        What cannot be mended is put into ``refused``. A draw is made as the first one was: by the edges, and with the
        open holes behind the window's own masked.
        """
        if filler.guard is None:
            return
        device, known, given_up = filler.model.device, self.known, dict[int, str]()
        free = torch.zeros(1, known, dtype=torch.bool)
        for start, end in self.spans.values():
            free[0, start:end] = True
        before, behind = (torch.tensor([ids], dtype=torch.long) for ids in self.outside)
        place = len(self.outside[0]) + min(start for start, _ in self.spans.values())
        state = DenoisingState(filled.ids[None, :known].to(device), filled.confidence[None, :known].to(device), 0, 0)

        def redraw(row: Tensor, barred: Mapping[int, set[int]], _: int, draw: int) -> Iterator[DenoisingState]:
            return self._redraw(filler, row, barred, generator_for(filler.settings.seed, MEND, place, number, draw))

        steps = filled.steps
        for mended in mend(state, free.to(device), (before, behind), [filler.guard], redraw, given_up, onward=False):
            steps += 1
            ids = torch.cat((mended.ids[0].cpu(), filled.ids[known:]))
            yield Filled(ids, torch.cat((mended.confidence[0].cpu(), filled.confidence[known:])), steps)
        if given_up:
            [refused[number]] = given_up.values()

    def _redraw(
        self, filler: Filler, row: Tensor, barred: Mapping[int, set[int]], numbers: Generator
    ) -> Iterator[DenoisingState]:
        """States of drawing the known part (1, K) of the row where it has MASK."""
        edges = self.row.edges

        def fill(rows: Tensor, settled: int, numbers: Generator) -> Iterator[DenoisingState]:
            return filler.denoise(rows, [tuple(edge for edge in edges if rows[0, edge.place] == MASK)], numbers)

        permitted = {edge.place: edge.permitted for edge in edges}
        again = Redrawing(filler.model, filler.settings, filler.allowed, fill, permitted)
        rest = self.row.ids[None, self.known :].to(row.device)
        for state in again.states(torch.cat((row, rest), dim=1), barred, numbers):
            yield replace(state, ids=state.ids[:, : self.known], confidence=state.confidence[:, : self.known])


def hole_edges(edges: Edges, hole: Hole, ids: Sequence[int], start: int, end: int) -> tuple[Edge, ...]:
    """The edges of a hole at ``start``..``end`` of the row ``ids``, where no word stands already."""
    opening = edges.opening(hole.opening, single=end - start == 1)
    found = [Edge(start, opening)] if opening is not None else []
    if hole.gap.unit in ("sentence", "paragraph"):
        found.append(Edge(end - 1, edges.closing))
    return tuple(edge for edge in found if ids[edge.place] == MASK)
