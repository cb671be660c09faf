"""From a stage's examples to rows of ids: sentences and pairs packed side by side, paragraphs as one stream.

Shapes: R rows, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..data.tokenizer import PAD, SEP, BookTokenizer
from ..runtime import send


@dataclass(frozen=True)
class Rows:
    """Rows of ids (R, T) and the document each token belongs to (R, T), numbered from 1 in its row, 0 for PAD."""

    ids: Tensor
    documents: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> "Rows":
        """The rows at ``index``."""
        return Rows(self.ids[index], self.documents[index])

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


def concatenate(parts: Sequence[Rows]) -> Rows:
    """All rows of ``parts``, in order."""
    return Rows(torch.cat([p.ids for p in parts]), torch.cat([p.documents for p in parts]))


def pack(examples: Sequence[Sequence[int]], context: int, generator: Generator) -> Rows:
    """Pack shuffled examples into rows of ``context`` tokens; one that is longer is cut into several documents.

    Next-fit: an example that does not fit the current row opens a new one. Attention stays within an example.
    """
    rows: list[list[int]] = []
    documents: list[list[int]] = []
    for i in torch.randperm(len(examples), generator=generator).tolist():
        example = examples[i]
        for start in range(0, len(example), context):
            piece = example[start : start + context]
            if not rows or len(rows[-1]) + len(piece) > context:
                rows.append([])
                documents.append([])
            number = documents[-1][-1] + 1 if documents[-1] else 1
            rows[-1].extend(piece)
            documents[-1].extend([number] * len(piece))
    ids = torch.full((len(rows), context), PAD)
    owner = torch.zeros((len(rows), context), dtype=torch.long)
    for r, (row, document) in enumerate(zip(rows, documents, strict=True)):
        ids[r, : len(row)] = torch.tensor(row)
        owner[r, : len(row)] = torch.tensor(document)
    return Rows(ids, owner)


def chop(stream: Tensor, context: int, generator: Generator) -> Rows:
    """Consecutive rows of ``context`` tokens from ``stream``, cut from a random offset and shuffled.

    A stream no longer than the context makes one padded row.
    """
    if len(stream) <= context:
        ids = torch.full((1, context), PAD)
        ids[0, : len(stream)] = stream
        return Rows(ids, (ids != PAD).long())
    count = max(1, len(stream) // context - 1)
    offset = int(torch.randint(0, len(stream) - count * context + 1, (), generator=generator))
    ids = stream[offset : offset + count * context].view(count, context)
    ids = ids[torch.randperm(count, generator=generator)]
    return Rows(ids, torch.ones_like(ids))


def windows(texts: Sequence[str], tokenizer: BookTokenizer, level: int, context: int) -> list[Tensor]:
    """Windows of ``context`` tokens that do not overlap, each within one text; the short last one is kept."""
    found: list[Tensor] = []
    for text in texts:
        found.extend(torch.tensor(tokenizer.encode(text, level)).split(context))
    return [w for w in found if len(w)]
