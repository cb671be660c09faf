"""Rows of text that are being filled, and what the network says about their masked positions.

Shapes: B rows, T tokens, M positions wanted per row, N in all, V text vocabulary, D width, K controls.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..config import GenerationConfig
from ..config.generation_config import CONTROLS
from ..errors import UserError
from ..model.layers import KeyValueCache
from ..model.transformer import MASK_ID, Transformer
from ..runtime import autocast
from .characters import WholeCharacters
from .draw import Numbers, choose, forbid, neighbours, penalise, uniform


class Reader(Protocol):
    """A reading of the network: ``Predictor`` from both sides, ``in_order.CausalReader`` from left to right."""

    model: Transformer

    def logits(self, ids: Tensor, where: Tensor) -> Tensor:
        """Float32 logits (N, V) of the positions ``where`` (B, T), at least one, of ``ids`` (B, T)."""


@dataclass(frozen=True)
class Prediction:
    """The model's distribution at the positions ``where`` (B, T): logits (N, V), repetition penalty included.

    Temperature, ``top_k``, ``top_p`` and ``min_p`` are applied only when tokens are drawn. Certainty is measured before
    them: afterwards ``top_k`` 1 would make all positions certain, and the text would be filled in one step.
    """

    where: Tensor
    logits: Tensor
    reserved: int

    def within(self, masks: Tensor) -> "Prediction":
        """The distribution restricted to the tokens that ``masks`` (N, V) leave."""
        return replace(self, logits=self.logits.masked_fill(~masks.to(self.logits.device), -torch.inf))

    def probability(self, ids: Tensor) -> Tensor:
        """Probability (B, T) of the text tokens ``ids`` (B, T) at the predicted positions; zero elsewhere."""
        tokens = ids[self.where][:, None] - self.reserved
        return self._spread(self.logits.softmax(-1).gather(1, tokens).squeeze(1))

    def margin(self) -> Tensor:
        """Probability (B, T) of the likeliest token minus that of the second; zero elsewhere."""
        first, second = self.logits.softmax(-1).topk(2, dim=-1).values.unbind(-1)
        return self._spread(first - second)

    def entropy(self) -> Tensor:
        """Entropy (B, T) in nats; zero elsewhere."""
        chances = self.logits.softmax(-1)
        return self._spread(-torch.xlogy(chances, chances).sum(-1))

    def _spread(self, values: Tensor) -> Tensor:
        """``values`` (N,) at their positions in (B, T)."""
        return values.new_zeros(self.where.shape).masked_scatter(self.where, values)


@dataclass(frozen=True)
class Draft:
    """Drawn tokens that are not settled yet: ids (B, T) and the probability (B, T) with which each was drawn."""

    ids: Tensor
    chances: Tensor


class Canvas:
    """Ids (B, T), MASK where unsettled, and the probability (B, T) with which each was drawn, 1 for given tokens.

    ``whole`` keeps characters whole; None for a vocabulary that spells no text. ``block`` (B, T) marks the positions
    that a sampler may change now; given tokens are never among them.
    """

    def __init__(
        self,
        reader: Reader,
        ids: Tensor,
        settings: GenerationConfig,
        numbers: Numbers,
        allowed: int,
        whole: WholeCharacters | None = None,
    ) -> None:
        self.ids = ids.clone()
        self.block = ids == MASK_ID
        self.confidence = (~self.block).float()
        self.settings = settings
        self.numbers = numbers
        self.schedule = reader.model.schedule
        self._reader = reader
        self._allowed = allowed
        self._whole = whole

    @property
    def masked(self) -> Tensor:
        """Where the block is unsettled, (B, T)."""
        return self.block & (self.ids == MASK_ID)

    @torch.inference_mode()
    def look(self, where: Tensor) -> Prediction:
        """The model's prediction for the positions ``where`` (B, T), at least one: one forward pass."""
        logits, reserved = self._reader.logits(self.ids, where), self._reader.model.reserved
        if self.settings.repetition_penalty != 1:
            beside = neighbours(self.ids, where, self.settings.repetition_window)
            logits = penalise(logits, beside - reserved, self.settings.repetition_penalty)
        return Prediction(where, forbid(logits, self._allowed), reserved)

    @torch.inference_mode()
    def draw(self, prediction: Prediction, where: Tensor) -> Draft:
        """Draw tokens at the positions ``where`` (B, T), all of which the prediction must cover."""
        logits = prediction.logits[where[prediction.where]]
        if self._whole is None:
            counts = None if isinstance(self.numbers, Generator) else where.sum(1).tolist()
            drawn, chances = choose(logits, self.settings, self.numbers, counts)
        else:
            drawn, chances = self._whole.choose(self.ids, where, logits, self.settings, self.numbers)
        ids = self.ids.masked_scatter(where, drawn + prediction.reserved)
        return Draft(ids, self.confidence.masked_scatter(where, chances))

    def settle(self, where: Tensor, draft: Draft) -> None:
        """Take the draft's tokens at the positions ``where`` (B, T)."""
        self.ids = torch.where(where, draft.ids, self.ids)
        self.confidence = torch.where(where, draft.chances, self.confidence)

    def uniform(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """A uniform random number (B, T) for every position, on the CPU."""
        rows, tokens = self.ids.shape
        return uniform(self.numbers, [tokens] * rows, dtype).view(rows, tokens)


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
                self.cache = KeyValueCache(self.model.config.context + self.model.shift)

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


class Mean:
    """The mean of the laws of several readers, one per network; the first one's network stands for all."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self.readers, self.model = readers, readers[0].model

    def logits(self, ids: Tensor, where: Tensor) -> Tensor:
        """Log-probabilities (N, V), as logits, of the positions ``where`` (B, T) of ``ids`` (B, T)."""
        return mean_law([reader.logits(ids, where) for reader in self.readers])


def mean_law(logits: Sequence[Tensor]) -> Tensor:
    """Log-probabilities (..., V) of the mean of the laws that have these logits (..., V) each."""
    return torch.stack([each.log_softmax(-1) for each in logits]).logsumexp(0) - math.log(len(logits))


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
