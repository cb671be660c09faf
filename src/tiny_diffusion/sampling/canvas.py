"""Rows of text that are being filled, and what the model predicts for their positions.

Shapes: B rows, T tokens, N predicted positions, V text vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..model.diffusion import MASK_ID
from .characters import WholeCharacters
from .draw import Numbers, choose, forbid, neighbours, penalise, uniform
from .predictor import Predictor


@dataclass(frozen=True)
class Prediction:
    """The model's distribution at the positions ``where`` (B, T): logits (N, V), repetition penalty included.

    Temperature, ``top_k``, ``top_p`` and ``min_p`` are applied only when tokens are drawn. Certainty is measured
    before them: afterwards a low temperature or ``top_k`` 1 would make every position certain, and a sampler that
    orders positions by certainty would fill the whole text in one step.
    """

    where: Tensor
    logits: Tensor
    reserved: int

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
        predictor: Predictor,
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
        self.schedule = predictor.model.schedule
        self._predictor = predictor
        self._allowed = allowed
        self._whole = whole

    @property
    def masked(self) -> Tensor:
        """Where the block is unsettled, (B, T)."""
        return self.block & (self.ids == MASK_ID)

    @torch.inference_mode()
    def look(self, where: Tensor) -> Prediction:
        """The model's prediction for the positions ``where`` (B, T), at least one: one forward pass."""
        logits, reserved = self._predictor.logits(self.ids, where), self._predictor.model.reserved
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
