"""Learnt controls: the network is told at every position what the text is to be like.

Shapes: B rows, P positions (1 if all positions of a row have the same controls), K controls, D model width.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn

from ..config.generation_config import CONTROL_ROWS, CONTROLS


class ControlEmbedding(nn.Module):
    """A vector for each level of each control, zero at first, so that training begins as without controls.

    The vectors are added to those of the tokens, as Dhariwal & Nichol 2021 add the label's to the time's, and not put
    before the text as tokens. So they take no room in the context, and every block of a long text has them. Level 0 is
    ``any`` and adds nothing; a level that no training row had stays zero too.
    """

    offsets: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        zeros = torch.zeros(
            CONTROL_ROWS, d_model
        )  # draws no random number, so all other weights begin as without controls
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
        """Numbers of the controls whose level in ``levels`` (K,) occurred in no training row."""
        still = (self.table.weight[self.rows(levels)] == 0).all(-1) & (levels > 0)
        return still.nonzero().flatten().tolist()
