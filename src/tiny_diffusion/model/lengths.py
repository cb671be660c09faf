"""Batches of equal length, so that a model that is being measured never sees padding."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences of one length, ``rows`` (B, T): row i is copy number ``copy[i]`` of sequence number ``owner[i]``."""

    owner: Tensor
    copy: Tensor
    rows: Tensor


def _once(length: int) -> int:
    return 1


def equal_lengths(
    sequences: Sequence[Tensor], batch_size: int, copies: Callable[[int], int] = _once
) -> Iterator[Batch]:
    """Batches of at most ``batch_size`` rows that hold each of ``sequences`` (1-D ids) ``copies(length)`` times.

    Lengths come in the order of their first sequence, and sequences of one length in their own order.
    """
    members: dict[int, list[int]] = {}
    for i, sequence in enumerate(sequences):
        members.setdefault(len(sequence), []).append(i)
    for length, owners in members.items():
        index, stacked, times = torch.tensor(owners), torch.stack([sequences[i] for i in owners]), copies(length)
        for start in range(0, len(owners) * times, batch_size):
            flat = torch.arange(start, min(start + batch_size, len(owners) * times))
            place = flat // times
            yield Batch(index[place], flat % times, stacked[place])
