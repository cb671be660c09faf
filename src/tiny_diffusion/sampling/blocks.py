"""Semi-autoregressive writing: blocks of masked positions that fill up one after the other.

Shapes: B rows, T tokens.
"""

import torch
from torch import Tensor


def split(masked: Tensor, size: int) -> list[Tensor]:
    """The masked positions (B, T) in blocks, each (B, T), of ``size`` in the order of their row; 0: all in one."""
    if size == 0:
        return [masked]
    index = (masked.cumsum(1) - 1) // size
    return [masked & (index == i) for i in range(max(1, int(index.max()) + 1))]


def settled_prefix(masked: Tensor) -> int:
    """How many positions at the beginning are ``masked`` (B, T) in no row."""
    return int((~masked.any(0)).cumprod(0).sum())


def lengths(blocks: list[Tensor]) -> list[int]:
    """Positions that the row with most of them has in each block."""
    return torch.stack([block.sum(1).max() for block in blocks]).tolist()


def share(steps: int, lengths: list[int]) -> list[int]:
    """``steps`` shared over blocks of these lengths, at least one each.

    Each step goes to the block that would settle most tokens a step (Adams's apportionment): as many steps as
    tokens are one a token.
    """
    shares = [1] * len(lengths)
    for _ in range(steps - len(lengths)):
        shares[max(range(len(lengths)), key=lambda i: lengths[i] / shares[i])] += 1
    return shares
