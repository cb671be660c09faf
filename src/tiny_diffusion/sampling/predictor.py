"""The network as samplers use it: logits at the requested positions only, in the machine's fast precision.

Shapes: B rows, T tokens, M positions requested per row, N positions requested in all, V text vocabulary, D width,
K controls.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import GenerationConfig
from ..config.generation_config import CONTROLS
from ..errors import UserError
from ..model.layers import KeyValueCache
from ..model.transformer import Transformer
from ..runtime import autocast


def cast_once(model: Transformer, precision: str) -> Transformer:
    """``model`` itself, or a copy with its blocks' matrices in bfloat16 if ``precision`` computes products in it.

    Autocast alone would cast every matrix again in every step.
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

    Rows without a requested position are skipped. With ``settings.cache_context``, keys and values of the first
    ``kept`` tokens come from the first pass after ``keep`` was called, and later passes run over the other tokens only.
    This is an approximation: in a bidirectional model the kept tokens would see what was written since.

    With controls and ``settings.guidance`` g other than 1, the logits are u + g (c - u), where c is computed with the
    controls and u without them: classifier-free guidance (Ho & Salimans 2022; for discrete diffusion Schiff et al.
    2024), at twice the cost. Raises UserError for controls that the model has not learnt.
    """

    def __init__(self, model: Transformer, settings: GenerationConfig, kept: int = 0) -> None:
        self.model = model
        self.precision = settings.precision
        self.controls = wanted_controls(model, settings)
        self.guidance = settings.guidance
        self.caching = settings.cache_context
        self.kept = 0
        self.cache: KeyValueCache | None = None
        self.keep(kept)

    def keep(self, count: int) -> None:
        """From now on the first ``count`` tokens of every row stay as they are; ``count`` must never decrease."""
        if self.caching and count:
            self.kept = count
            if self.cache is None:
                self.cache = KeyValueCache(self.model.config.context)

    def logits(self, ids: Tensor, where: Tensor) -> Tensor:
        """Float32 logits (N, V) of the positions ``where`` (B, T), at least one, of ``ids`` (B, T), in row-major order.

        None of these positions may be among the kept tokens; with kept tokens, every pass must have the same rows.
        """
        if self.controls is None or self.guidance == 1:
            return self._logits(ids, where)
        guided, plain = self._logits(ids.repeat(2, 1), where.repeat(2, 1)).chunk(2)
        return plain + self.guidance * (guided - plain)

    def _logits(self, ids: Tensor, where: Tensor) -> Tensor:
        ids, where = self.model.input_of(ids), F.pad(where, (0, self.model.shift))
        if self.cache is None:
            rows = where.any(1)
            ids, where = ids[rows], where[rows]
        else:  # tokens kept since the last pass are in this one
            ids, where = ids[:, self.cache.length :], where[:, self.cache.length :]
        count = where.sum(1)
        width = int(count.max())
        positions = (~where).byte().argsort(dim=1, stable=True)[:, :width]  # (B, M), filled up in rows that have fewer
        asked = torch.arange(width, device=ids.device) < count[:, None]
        with autocast(ids.device, self.precision):
            guided = self.guidance != 1
            levels = row_levels(self.controls, len(ids) // 2 if guided else len(ids), guided)
            hidden = self.model.hidden(ids, positions=positions, cache=self.cache, controls=levels)  # (B, M, D)
        if self.cache is not None:
            self.cache.length = self.kept
        return float_logits(self.model, hidden[asked])


def float_logits(model: Transformer, hidden: Tensor) -> Tensor:
    """Float32 logits (N, V) of hidden states (N, D): at a logit of 8, bfloat16 is off by up to 3 % in probability."""
    return model.logits(hidden.float())


def wanted_controls(model: Transformer, settings: GenerationConfig) -> Tensor | None:
    """Levels (K,) of the controls that ``settings`` request, on the model's device; None if they request none.

    Raises UserError if the model has not learnt them.
    """
    values = (settings.sentence_length, settings.dialogue, settings.difficulty, settings.stage)
    chosen = dict(zip(CONTROLS, values, strict=True))
    given = [f"generation.{name}={value}" for name, value in chosen.items() if value != "any"]
    if not given:
        return None
    if model.controls is None:
        raise UserError(
            f"this model was trained without controls, {given[0]} needs one trained with model.controls=true"
        )
    levels = torch.tensor([0 if v == "any" else 1 + CONTROLS[name].index(v) for name, v in chosen.items()])
    levels = levels.to(model.device)
    if missing := model.controls.untrained(levels):
        name = list(CONTROLS)[missing[0]]
        raise UserError(
            f"generation.{name}={chosen[name]}: this model has not learnt it; its book has no such text, or its "
            "training ended before any came"
        )
    return levels


def row_levels(levels: Tensor | None, rows: int, guided: bool) -> Tensor | None:
    """Levels (rows, 1, K) of the controls; if ``guided``, as many rows without controls follow. None without any."""
    if levels is None:
        return None
    wanted = levels.expand(rows, 1, -1)
    return torch.cat((wanted, torch.zeros_like(wanted))) if guided else wanted


def row_controls(model: Transformer, levels: Tensor | None, rows: int, guided: bool) -> Tensor | None:
    """What the controls of ``row_levels`` add to each token, (rows, 1, D), or twice as many rows; None without any."""
    of_rows = row_levels(levels, rows, guided)
    return None if of_rows is None or model.controls is None else model.controls(of_rows)
