"""The network as samplers use it: states only where tokens are wanted, products in the machine's fast precision.

Shapes: B rows, T tokens, M positions asked of each row, N positions asked in all, V text vocabulary, D width.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import GenerationConfig
from ..model.cache import KeyValueCache
from ..model.transformer import Transformer
from ..runtime import autocast
from .controls import wanted_controls


def cast_once(model: Transformer, precision: str) -> Transformer:
    """``model`` itself; where its products run in bfloat16, a copy whose blocks' matrices have that type already.

    Autocast alone would cast every matrix again at every step.
    """
    device = next(model.parameters()).device
    with autocast(device, precision):
        if not torch.is_autocast_enabled(device.type):
            return model
    fast = copy.deepcopy(model)
    for layer in fast.blocks.modules():
        if isinstance(layer, nn.Linear):
            layer.to(torch.bfloat16)
    return fast


class Predictor:
    """Logits at chosen positions of rows that fill up step by step.

    Rows without such a position take no forward pass. With ``settings.cache_context`` the keys and values of the
    first ``kept`` tokens are those of the first pass after ``keep`` was told of them, and later passes run over the
    other tokens only: an approximation, since a bidirectional model would let the settled tokens see what was written
    since.

    With controls and a ``settings.guidance`` g other than 1, the logits are u + g (c - u), from those with the controls
    (c) and those without (u): classifier-free guidance (Ho & Salimans 2022; for discrete diffusion Schiff et al. 2024),
    at twice the cost. Raises UserError for controls that the model has not learnt.
    """

    def __init__(self, model: Transformer, settings: GenerationConfig, kept: int) -> None:
        self.model = model
        self.precision = settings.precision
        self.controls = wanted_controls(model, settings)
        self.guidance = settings.guidance
        self.caching = settings.cache_context
        self.kept = 0
        self.cache: KeyValueCache | None = None
        self.keep(kept)

    def keep(self, count: int) -> None:
        """From now on the first ``count`` tokens of every row, no fewer than before, stay as they are."""
        if self.caching and count:
            self.kept = count
            if self.cache is None:
                self.cache = KeyValueCache(self.model.config.context)

    def logits(self, ids: Tensor, where: Tensor) -> Tensor:
        """Float32 logits (N, V) of the positions ``where`` (B, T), at least one, of ``ids`` (B, T), in their order.

        None of these may be among the tokens that are kept; the rows must be the same in every pass then.
        """
        if self.controls is None or self.guidance == 1:
            return self._logits(ids, where)
        guided, plain = self._logits(ids.repeat(2, 1), where.repeat(2, 1)).chunk(2)
        return plain + self.guidance * (guided - plain)

    def _levels(self, rows: int) -> Tensor | None:
        """Levels (rows, 1, K) of the controls; under guidance the latter half of the rows goes without."""
        if self.controls is None:
            return None
        levels = self.controls.expand(rows, 1, -1)
        if self.guidance == 1:
            return levels
        return levels * (torch.arange(rows, device=levels.device) < rows // 2)[:, None, None]

    def _logits(self, ids: Tensor, where: Tensor) -> Tensor:
        ids, where = self.model.input_of(ids), F.pad(where, (0, self.model.shift))
        if self.cache is None:
            rows = where.any(1)
            ids, where = ids[rows], where[rows]
        else:  # what was kept since the last pass goes through this one
            ids, where = ids[:, self.cache.length :], where[:, self.cache.length :]
        count = where.sum(1)
        width = int(count.max())
        positions = (~where).byte().argsort(dim=1, stable=True)[:, :width]  # (B, M), a short row's end means nothing
        asked = torch.arange(width, device=ids.device) < count[:, None]
        with autocast(ids.device, self.precision):
            hidden = self.model.hidden(
                ids, positions=positions, cache=self.cache, controls=self._levels(len(ids))
            )  # (B, M, D)
        if self.cache is not None:
            self.cache.length = self.kept
        return float_logits(self.model, hidden[asked])


def float_logits(model: Transformer, hidden: Tensor) -> Tensor:
    """Logits (N, V) of hidden states (N, D) in float32: bfloat16 ones are off by up to 3 % in probability at 8."""
    return model.logits(hidden.float())
