"""What is asked about a place beside a network: others of its kind, and counts of the book.

Shapes: B rows, T tokens, N places, V text vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..model.transformer import Transformer
from .canvas import Mean, Reader
from .counts import Counts


@dataclass(frozen=True)
class Experts:
    """Networks whose laws are averaged with that of the first one, and counts that the mean is multiplied with."""

    members: tuple[Transformer, ...] = ()
    counts: Counts | None = None

    def join(self, readers: Sequence[Reader], *, causal: bool) -> Reader:
        """One reader of all; ``readers``: those of the first network and of the members."""
        joined = readers[0] if len(readers) == 1 else Mean(readers)
        return joined if self.counts is None else Counted(joined, self.counts, causal=causal)


class Counted:
    """A reading together with counts; see ``Counts``."""

    def __init__(self, reader: Reader, counts: Counts, *, causal: bool) -> None:
        self.reader, self.counts, self.causal = reader, counts, causal
        self.model = reader.model

    def logits(self, ids: Tensor, where: Tensor) -> Tensor:
        """Float32 logits (N, V) of the positions ``where`` (B, T), at least one, of ``ids`` (B, T)."""
        return self.counts.times(self.reader.logits(ids, where), ids, where, causal=self.causal)


ALONE = Experts()
"""No one beside the network."""
