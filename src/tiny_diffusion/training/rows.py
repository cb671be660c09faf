"""From a stage's examples to rows of ids: sentences and pairs packed side by side, paragraphs as one stream.

A book's ids are kept once, in 4 bytes each; an epoch is a layout that says where its rows lie, and a batch's rows are
built when they are taken. So the memory of training hardly grows with the book.
Shapes: N tokens of a stage, E examples, R rows, P pieces, T tokens of a row.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ..data.tokenizer import PAD, SEP, BookTokenizer
from ..runtime import send


@dataclass(frozen=True)
class Rows:
    """Rows of ids (R, T) and the document each token belongs to (R, T), numbered from 1 in its row, 0 for PAD.

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
        """Where a text token stands (R, T): all but PAD and SEP."""
        return (self.ids != PAD) & (self.ids != SEP)

    def attention(self, device: torch.device) -> Tensor | None:
        """Who may attend to whom (R, 1, T, T), on ``device``: tokens of the same document.

        None when every row is one document.
        """
        if bool((self.documents == 1).all()):
            return None
        documents = send(self.documents, device)
        return documents[:, None, :, None] == documents[:, None, None, :]


@dataclass(frozen=True)
class Examples:
    """Encoded examples end to end: ids (N,) of 32 bits, and where each begins, with the end of the last (E + 1,)."""

    ids: Tensor
    bounds: Tensor

    @classmethod
    def of(cls, examples: Iterable[Sequence[int]]) -> "Examples":
        """Join ``examples``, read one at a time."""
        ids, bounds = array("i"), array("q", [0])
        for example in examples:
            ids.extend(example)
            bounds.append(len(ids))
        parts = np.array(ids, dtype=np.int32), np.array(bounds, dtype=np.int64)
        return cls(torch.from_numpy(parts[0]), torch.from_numpy(parts[1]))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> list[int]:
        """The ids of one example; raises IndexError for one that there is not."""
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
    """Rows of ``context`` tokens, each made of pieces of ``stream``, every piece a document of its own.

    starts, lengths (P,): the pieces, row by row. first (R + 1,): each row's first piece, and the number of pieces.
    """

    stream: Tensor
    context: int
    starts: Tensor
    lengths: Tensor
    first: Tensor

    def __len__(self) -> int:
        return len(self.first) - 1

    def take(self, index: Tensor) -> Rows:
        """Build the rows at ``index``, padded at their ends."""
        chosen = self.select(index)
        pieces = chosen.first.diff()
        row = torch.arange(len(index)).repeat_interleave(pieces)
        number = torch.arange(len(row)) - chosen.first[:-1].repeat_interleave(pieces) + 1
        # Where a piece's tokens come to stand in the flat rows: its row's start, and what the row held before it.
        before = chosen.lengths.cumsum(0) - chosen.lengths
        target = row * self.context + before - before[chosen.first[:-1]].repeat_interleave(pieces)
        place = target.repeat_interleave(chosen.lengths) + _ranges(chosen.lengths)
        ids = torch.full((len(index) * self.context,), PAD)
        ids[place] = self.stream[chosen.tokens()].long()
        documents = torch.zeros_like(ids)
        documents[place] = number.repeat_interleave(chosen.lengths)
        return Rows(ids.view(-1, self.context), documents.view(-1, self.context))

    def tokens(self) -> Tensor:
        """Where in the stream each token of each piece lies, piece by piece."""
        return self.starts.repeat_interleave(self.lengths) + _ranges(self.lengths)

    def select(self, index: Tensor) -> "Layout":
        """The layout of the rows at ``index`` only."""
        counts = self.first.diff()[index]
        pieces = self.first[index].repeat_interleave(counts) + _ranges(counts)
        return Layout(self.stream, self.context, self.starts[pieces], self.lengths[pieces], _bounds(counts))

    def beside(self, other: "Layout") -> "Layout":
        """The rows of both, this one's first; raises ValueError when they lie in different streams."""
        if self.stream is not other.stream or self.context != other.context:
            raise ValueError("layouts of different streams or row lengths cannot stand side by side")
        counts = torch.cat([self.first.diff(), other.first.diff()])
        starts, lengths = torch.cat([self.starts, other.starts]), torch.cat([self.lengths, other.lengths])
        return Layout(self.stream, self.context, starts, lengths, _bounds(counts))

    def shifted(self, stream: Tensor, offset: int) -> "Layout":
        """The same rows where ``stream`` holds this layout's stream from ``offset`` on."""
        return Layout(stream, self.context, self.starts + offset, self.lengths, self.first)


def _bounds(counts: Tensor) -> Tensor:
    return torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])


def _ranges(counts: Tensor) -> Tensor:
    """0 .. count - 1 for each count, end to end."""
    ends = counts.cumsum(0)
    return torch.arange(int(counts.sum())) - (ends - counts).repeat_interleave(counts)


def pack(examples: Examples, context: int, generator: Generator, chosen: Tensor | None = None) -> Layout:
    """Pack shuffled examples into rows of ``context`` tokens; one that is longer is cut into several documents.

    Next-fit: an example that does not fit the current row opens a new one. Attention stays within an example.
    ``chosen``: numbers of the examples to take; all when None.
    """
    order = torch.randperm(len(examples) if chosen is None else len(chosen), generator=generator)
    order = order if chosen is None else chosen[order]
    starts, lengths, first = array("q"), array("q"), array("q")
    room = -1
    for begin, length in zip(examples.bounds[order].tolist(), examples.lengths[order].tolist(), strict=True):
        for start in range(0, length, context):
            size = min(context, length - start)
            if size > room:
                first.append(len(starts))
                room = context
            starts.append(begin + start)
            lengths.append(size)
            room -= size
    first.append(len(starts))
    parts = [torch.from_numpy(np.array(part, dtype=np.int64)) for part in (starts, lengths, first)]
    return Layout(examples.ids, context, *parts)


def chop(stream: Tensor, context: int, generator: Generator) -> Layout:
    """Consecutive rows of ``context`` tokens from ``stream``, cut from a random offset and shuffled.

    A stream no longer than the context makes one padded row.
    """
    if len(stream) <= context:
        return Layout(stream, context, torch.tensor([0]), torch.tensor([len(stream)]), torch.tensor([0, 1]))
    count = max(1, len(stream) // context - 1)
    offset = int(torch.randint(0, len(stream) - count * context + 1, (), generator=generator))
    order = torch.randperm(count, generator=generator)
    return Layout(stream, context, offset + context * order, torch.full((count,), context), torch.arange(count + 1))


def windows(texts: Sequence[str], tokenizer: BookTokenizer, level: int, context: int) -> list[Tensor]:
    """Windows of ``context`` tokens that do not overlap, each within one text; the short last one is kept."""
    found: list[Tensor] = []
    for text in texts:
        found.extend(torch.tensor(tokenizer.encode(text, level)).split(context))
    return [w for w in found if len(w)]
