"""From a stage's examples to rows of ids: sentences and pairs packed side by side, paragraphs as one stream.

The ids of a book are kept once, in 4 bytes each. An epoch is a layout that says where its rows are in them, and the
rows of a batch are built when they are taken, so the memory of training hardly grows with the book.
Shapes: N tokens of a stage, E examples, R rows, P pieces, T tokens of a row, K controls.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor

from ..data.tokenizer import BOS, END, PAD, BookTokenizer

BEGINNINGS = 0.25  # share of the rows of a stream that start where a paragraph does
TOLD = 0.75  # share of these that say so; a row without a mark may start anywhere


@dataclass(frozen=True)
class Rows:
    """Rows of ids (R, T) and the document of each token (R, T), numbered from 1 within its row, 0 for PAD.

    ``controls`` (R, 1 or T, K): levels of the learnt controls, for a model that has them.
    """

    ids: Tensor
    documents: Tensor
    controls: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> "Rows":
        """The rows at ``index``."""
        controls = None if self.controls is None else self.controls[index]
        return Rows(self.ids[index], self.documents[index], controls)

    @property
    def scorable(self) -> Tensor:
        """Which tokens are scored (R, T): text tokens and END."""
        return self.ids >= END


@dataclass(frozen=True)
class Examples:
    """Encoded examples end to end: int32 ids (N,), and the start of each example with the end of the last (E + 1,)."""

    ids: Tensor
    bounds: Tensor

    @classmethod
    def of(cls, examples: Iterable[Sequence[int]]) -> "Examples":
        """Join ``examples``, which are read one at a time."""
        ids, bounds = array("i"), array("q", [0])
        for example in examples:
            ids.extend(example)
            bounds.append(len(ids))
        parts = np.array(ids, dtype=np.int32), np.array(bounds, dtype=np.int64)
        return cls(torch.from_numpy(parts[0]), torch.from_numpy(parts[1]))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> list[int]:
        """The ids of one example; raises IndexError if there is no such example."""
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        found: list[int] = self.ids[self.bounds[index] : self.bounds[index + 1]].tolist()
        return found

    @property
    def lengths(self) -> Tensor:
        """Tokens of each example (E,)."""
        return self.bounds.diff()


@dataclass(frozen=True)
class Layout:
    """Rows of ``context`` tokens, each made of pieces of ``stream``; every piece is a document of its own.

    ``starts`` and ``lengths`` (P,) give the pieces, row by row; ``first`` (R + 1,) the first piece of each row, and the
    number of pieces. ``levels`` (P, K) are the controls of each piece, for a model that learns them. ``lead``: whether
    BOS is set before each piece, which is then no part of its length but takes a token of the row. ``marks`` (P,): what
    stands in place of the first token of each piece, PAD where the token itself does; None means no mark anywhere.
    """

    stream: Tensor
    context: int
    starts: Tensor
    lengths: Tensor
    first: Tensor
    levels: Tensor | None = None
    lead: bool = False
    marks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.first) - 1

    def take(self, index: Tensor) -> Rows:
        """Build the rows at ``index``, padded at their ends, with their controls."""
        chosen = self.select(index)
        pieces = chosen.first.diff()
        row = torch.arange(len(index)).repeat_interleave(pieces)
        number = torch.arange(len(row)) - chosen.first[:-1].repeat_interleave(pieces) + 1
        # Where the tokens of a piece go in the flat rows: behind its row's start and the pieces before it in the row.
        taken = chosen.lengths + self.lead
        before = taken.cumsum(0) - taken
        target = row * self.context + before - before[chosen.first[:-1]].repeat_interleave(pieces)
        place = target.repeat_interleave(taken) + _ranges(taken)
        ids = torch.full((len(index) * self.context,), PAD)
        if self.lead:
            ids[place] = BOS
        begins = target + self.lead
        ids[begins.repeat_interleave(chosen.lengths) + _ranges(chosen.lengths)] = self.stream[chosen.tokens()].long()
        if chosen.marks is not None:
            marked = chosen.marks != PAD
            ids[begins[marked]] = chosen.marks[marked]
        documents = torch.zeros_like(ids)
        documents[place] = number.repeat_interleave(taken)
        return Rows(ids.view(-1, self.context), documents.view(-1, self.context), chosen._controls(place))

    def _controls(self, place: Tensor) -> Tensor | None:
        """Controls (R, 1, K) if each row is one piece, else (R, T, K); ``place``: of each token in the flat rows."""
        if self.levels is None or len(self.levels) == len(self):
            return self.levels if self.levels is None else self.levels[:, None]
        controls = self.levels.new_zeros(len(self) * self.context, self.levels.shape[1])
        controls[place] = self.levels.repeat_interleave(self.lengths + self.lead, dim=0)
        return controls.view(len(self), self.context, -1)

    def tokens(self) -> Tensor:
        """Place in the stream of each token of each piece, piece by piece."""
        return self.starts.repeat_interleave(self.lengths) + _ranges(self.lengths)

    def select(self, index: Tensor) -> "Layout":
        """The layout of the rows at ``index`` only."""
        counts = self.first.diff()[index]
        pieces = self.first[index].repeat_interleave(counts) + _ranges(counts)
        levels, marks = (None if each is None else each[pieces] for each in (self.levels, self.marks))
        starts, lengths = self.starts[pieces], self.lengths[pieces]
        return replace(self, starts=starts, lengths=lengths, first=_bounds(counts), levels=levels, marks=marks)

    def beside(self, other: "Layout") -> "Layout":
        """The rows of both layouts, this one's first, without levels; raises ValueError for different streams."""
        if self.stream is not other.stream or self.context != other.context:
            raise ValueError("layouts of different streams or row lengths cannot be joined")
        counts = torch.cat([self.first.diff(), other.first.diff()])
        starts, lengths = torch.cat([self.starts, other.starts]), torch.cat([self.lengths, other.lengths])
        marks = torch.cat([torch.full_like(x.starts, PAD) if x.marks is None else x.marks for x in (self, other)])
        return replace(self, starts=starts, lengths=lengths, first=_bounds(counts), levels=None, marks=marks)

    def shifted(self, stream: Tensor, offset: int) -> "Layout":
        """The same rows in ``stream``, which holds this layout's stream from ``offset`` on."""
        return replace(self, stream=stream, starts=self.starts + offset, levels=None)


def _bounds(counts: Tensor) -> Tensor:
    return torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])


def _ranges(counts: Tensor) -> Tensor:
    """Concatenate 0 .. count - 1 for each count."""
    ends = counts.cumsum(0)
    return torch.arange(int(counts.sum())) - (ends - counts).repeat_interleave(counts)


def pack(
    examples: Examples, context: int, generator: Generator, chosen: Tensor | None = None, lead: bool = False
) -> Layout:
    """Pack shuffled examples into rows of ``context`` tokens; a longer example is cut into several documents.

    Next-fit: an example that does not fit the current row opens a new one. Attention stays within an example.
    ``chosen``: numbers of the examples to take; None means all. ``lead``: with BOS before each document.
    """
    order = torch.randperm(len(examples) if chosen is None else len(chosen), generator=generator)
    order = order if chosen is None else chosen[order]
    starts, lengths, first = array("q"), array("q"), array("q")
    room = -1
    for begin, length in zip(examples.bounds[order].tolist(), examples.lengths[order].tolist(), strict=True):
        for start in range(0, length, context - lead):
            size = min(context - lead, length - start)
            if size + lead > room:
                first.append(len(starts))
                room = context
            starts.append(begin + start)
            lengths.append(size)
            room -= size + lead
    first.append(len(starts))
    pieces, sizes, rows = (torch.from_numpy(np.array(part, dtype=np.int64)) for part in (starts, lengths, first))
    return Layout(examples.ids, context, pieces, sizes, rows, lead=lead)


def chop(stream: Tensor, context: int, generator: Generator, openings: Tensor, lead: bool = False) -> Layout:
    """Consecutive rows of ``context`` tokens from ``stream``, cut from a random offset and shuffled.

    ``openings`` (N,): the mark of what begins with each token, PAD where nothing does. A share BEGINNINGS of the rows
    moves on to one of the beginnings in it, drawn at random; a share TOLD of these has its mark in place of the token
    before. A stream no longer than a row makes one padded row. With ``lead`` the first token of each row is BOS.
    """
    size = context - lead
    count = max(1, len(stream) // size - 1)
    room = max(0, len(stream) - count * size)
    starts = torch.randint(0, room + 1, (), generator=generator) + size * torch.randperm(count, generator=generator)
    lengths, marks = torch.full((count,), min(size, len(stream))), torch.full((count,), PAD)
    beginnings = (openings != PAD).nonzero().squeeze(1)
    beginnings = beginnings[(beginnings > 0) & (beginnings <= len(stream) - size)]
    low, high = torch.searchsorted(beginnings, starts), torch.searchsorted(beginnings, starts + size)
    moves, drawn, tells = torch.rand(3, count, dtype=torch.float64, generator=generator)
    moved = (moves < BEGINNINGS) & (high > low)
    begin = beginnings[(low + (drawn * (high - low)).long())[moved]]
    told = tells[moved] < TOLD
    marks[moved] = torch.where(told, openings[begin], PAD)
    starts = starts.masked_scatter(moved, begin - told.long())
    return Layout(stream, context, starts, lengths, torch.arange(count + 1), lead=lead, marks=marks)


def windows(texts: Sequence[str], tokenizer: BookTokenizer, level: int, context: int) -> list[Tensor]:
    """Windows of ``context`` tokens that do not overlap, each within one text; the short last one is kept."""
    found: list[Tensor] = []
    for text in texts:
        found.extend(torch.tensor(tokenizer.encode(text, level)).split(context))
    return [w for w in found if len(w)]
