"""Learnt controls: what a text is to be like, told to the network at every position.

Shapes: B rows, P positions (one for all of a row's, or each its own), K controls, D model width.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn

from ..config.controls import CONTROL_ROWS, CONTROLS


class ControlEmbedding(nn.Module):
    """A vector for each level of each control, zero at first: a model starts as one without controls.

    Vectors are added to the tokens' own, as a diffusion model's label is to its time (Dhariwal & Nichol 2021), not
    put before the text as tokens: so they take no room of the context, and every block of a long text has them.
    Level 0 is ``any`` and adds nothing; a level that no training row had stays zero too.
    """

    offsets: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        zeros = torch.zeros(CONTROL_ROWS, d_model)  # no random number is drawn: all other weights begin as without
        self.table = nn.EmbeddingBag.from_pretrained(zeros, freeze=False, mode="sum", padding_idx=0)
        starts = [0, *accumulate(map(len, CONTROLS.values()))][:-1]
        self.register_buffer("offsets", torch.tensor(starts), persistent=False)

    def rows(self, levels: Tensor) -> Tensor:
        """Rows of the table (..., K) for ``levels`` (..., K), each from 0 (any) to its control's number of levels."""
        return torch.where(levels > 0, levels + self.offsets, 0)

    def forward(self, levels: Tensor) -> Tensor:
        """Sums of the levels' vectors, (B, P, D), for ``levels`` (B, P, K)."""
        return self.table(self.rows(levels).flatten(0, 1)).unflatten(0, levels.shape[:2])

    def untrained(self, levels: Tensor) -> list[int]:
        """Numbers of the controls whose level in ``levels`` (K,) no training row had."""
        still = (self.table.weight[self.rows(levels)] == 0).all(-1) & (levels > 0)
        return still.nonzero().flatten().tolist()
