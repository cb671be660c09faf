"""Rows of text that fill up, and what the model says about their positions.

Shapes: B rows, T tokens, N positions that were looked at, V text vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..model.diffusion import MASK_ID
from .draw import Numbers, choose, forbid, uniform
from .predictor import Predictor
from .repetition import around, penalise


@dataclass(frozen=True)
class Prediction:
    """The model's law at the positions ``where`` (B, T): logits (N, V), a penalty for repetition included.

    Temperature, ``top_k``, ``top_p`` and ``min_p`` come later, when tokens are drawn. How sure the model is gets
    measured before them: after them a low temperature or ``top_k`` 1 makes every position certain, and a sampler
    that goes by certainty would fill the whole text in one step.
    """

    where: Tensor
    logits: Tensor
    reserved: int

    def probability(self, ids: Tensor) -> Tensor:
        """The probability (B, T) of the text tokens ``ids`` (B, T) that stand where it was looked; zero elsewhere."""
        tokens = ids[self.where][:, None] - self.reserved
        return self._spread(self.logits.softmax(-1).gather(1, tokens).squeeze(1))

    def margin(self) -> Tensor:
        """By how much (B, T) the likeliest token is likelier than the second; zero elsewhere."""
        first, second = self.logits.softmax(-1).topk(2, dim=-1).values.unbind(-1)
        return self._spread(first - second)

    def entropy(self) -> Tensor:
        """Entropy (B, T) in nats; zero elsewhere."""
        chances = self.logits.softmax(-1)
        return self._spread(-torch.xlogy(chances, chances).sum(-1))

    def _spread(self, values: Tensor) -> Tensor:
        """``values`` (N,) at their places in (B, T)."""
        return values.new_zeros(self.where.shape).masked_scatter(self.where, values)


@dataclass(frozen=True)
class Draft:
    """Drawn tokens, not settled yet: ids (B, T) and the probability (B, T) with which each was drawn."""

    ids: Tensor
    chances: Tensor


class Canvas:
    """Ids (B, T) with MASK where unsettled, and for each token the probability that it was drawn with, 1 if given.

    ``block`` (B, T) tells which positions a sampler may change now; what was given is never among them.
    """

    def __init__(
        self, predictor: Predictor, ids: Tensor, settings: GenerationConfig, numbers: Numbers, allowed: int
    ) -> None:
        self.ids = ids.clone()
        self.block = ids == MASK_ID
        self.confidence = (~self.block).float()
        self.settings = settings
        self.numbers = numbers
        self.schedule = predictor.model.schedule
        self._predictor = predictor
        self._allowed = allowed

    @property
    def masked(self) -> Tensor:
        """Where the block is unsettled, (B, T)."""
        return self.block & (self.ids == MASK_ID)

    @property
    def settled(self) -> Tensor:
        """Where the block is settled, (B, T)."""
        return self.block & (self.ids != MASK_ID)

    @torch.inference_mode()
    def look(self, where: Tensor) -> Prediction:
        """What the model says about the positions ``where`` (B, T), at least one: a forward pass."""
        logits, reserved = self._predictor.logits(self.ids, where), self._predictor.model.reserved
        if self.settings.repetition_penalty != 1:
            neighbours = around(self.ids, where, self.settings.repetition_window)
            logits = penalise(logits, neighbours - reserved, self.settings.repetition_penalty)
        return Prediction(where, forbid(logits, self._allowed), reserved)

    @torch.inference_mode()
    def draw(self, prediction: Prediction, where: Tensor) -> Draft:
        """Tokens drawn at the positions ``where`` (B, T), which the prediction must be about."""
        counts = None if isinstance(self.numbers, Generator) else where.sum(1).tolist()
        drawn, chances = choose(prediction.logits[where[prediction.where]], self.settings, self.numbers, counts)
        ids = self.ids.masked_scatter(where, drawn + prediction.reserved)
        return Draft(ids, self.confidence.masked_scatter(where, chances))

    def settle(self, where: Tensor, draft: Draft) -> None:
        """Take the draft's tokens at the positions ``where`` (B, T)."""
        self.ids = torch.where(where, draft.ids, self.ids)
        self.confidence = torch.where(where, draft.chances, self.confidence)

    def remask(self, where: Tensor) -> None:
        """Make the positions ``where`` (B, T), all in the block, unsettled again."""
        self.ids = self.ids.masked_fill(where, MASK_ID)
        self.confidence = self.confidence.masked_fill(where, 0.0)

    def uniform(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """A uniform random number (B, T), on the CPU, for every position."""
        rows, tokens = self.ids.shape
        return uniform(self.numbers, [tokens] * rows, dtype).view(rows, tokens)
