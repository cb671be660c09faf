"""Keys and values of earlier tokens, kept so that they are computed only once.

Shapes: B rows, H heads, T new tokens, P tokens in all, K head width.
"""

from torch import Tensor


class KeyValueCache:
    """Rotated keys and values of each block for the first ``length`` tokens of every row.

    A forward pass writes those of its own tokens behind them. If the caller then raises ``length`` past them they stay;
    otherwise the next pass overwrites them.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.blocks: list[tuple[Tensor, Tensor]] = []

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write ``k`` and ``v`` (B, H, T, K) of one block behind those kept; returns all of them, (B, H, P, K) each."""
        if layer == len(self.blocks):
            shape = (*k.shape[:2], self.capacity, k.shape[3])
            self.blocks.append((k.new_empty(shape), v.new_empty(shape)))
        end = self.length + k.shape[2]
        keys, values = self.blocks[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]
