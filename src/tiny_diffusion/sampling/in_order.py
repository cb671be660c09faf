"""Drawing in a given order, each token from those that may stand there given the tokens already drawn.

From left to right the causal reading does it, which reads every token once.

Shapes: B rows, T tokens, N places, V text vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import GenerationConfig
from ..data.tokenizer import BOS
from ..model.decoder import Decoder
from ..model.layers import KeyValueCache
from ..model.transformer import Transformer
from ..runtime import autocast, product_dtype
from .canvas import Canvas, Reader, float_logits, row_levels, wanted_controls
from .denoise import DenoisingState
from .draw import Numbers
from .experts import ALONE, Experts


class Permit(Protocol):
    """What may be drawn, given what stands there already."""

    def permitted(self, ids: Tensor, where: Tensor) -> Tensor:
        """Masks (N, V) of the tokens, at least one each, for the places ``where`` (B, T) of ``ids`` (B, T)."""


class CausalReader:
    """Logits of the next token of rows that grow from left to right; every token is read once.

    A dual model is read by a ``Decoder``, with its controls and ``settings.guidance`` as in ``Predictor``; an
    autoregressive twin by ``Transformer.hidden`` with cached keys. Raises UserError for controls that the model has
    not learnt.
    """

    def __init__(self, model: Transformer, settings: GenerationConfig) -> None:
        self.model, self.settings = model, settings
        self.levels = wanted_controls(model, settings)
        self.guided = self.levels is not None and settings.guidance != 1
        self.cache = KeyValueCache(model.config.context)
        self.decoder: Decoder | None = None
        self.read = 0  # tokens read, BOS among them

    def logits(self, ids: Tensor, where: Tensor) -> Tensor:
        """Float32 logits (B, V) of the place in ``where`` (B, T), the same one in every row of ``ids`` (B, T).

        From call to call the rows are the same up to the place before, and the place moves on.
        """
        place = int(where[0].nonzero()[0])
        new = F.pad(ids[:, :place], (1, 0), value=BOS)[:, self.read :]
        self.read = place + 1
        return self.next_logits(new)

    @torch.inference_mode()
    def next_logits(self, new: Tensor) -> Tensor:
        """Float32 logits (B, V) of the token after ``new`` (B, T), which follow all that was read before."""
        if not self.model.config.dual:
            with autocast(new.device, self.settings.precision):
                hidden = self.model.hidden(new, cache=self.cache)[:, -1]
            self.cache.length += new.shape[1]
            return float_logits(self.model, hidden)
        if self.decoder is None:
            levels = row_levels(self.levels, len(new), self.guided)
            controls = None if levels is None or self.model.controls is None else self.model.controls(levels)
            self.decoder = Decoder(self.model, self._dtype(), controls)
        if not self.guided:
            return self.decoder.next_logits(new)
        guided, plain = self.decoder.next_logits(new.repeat(2, 1)).chunk(2)
        return plain + self.settings.guidance * (guided - plain)

    def _dtype(self) -> torch.dtype:
        """The type of products: a CPU multiplies one token per row faster in float32 unless asked for another type."""
        device, precision = self.model.device, self.settings.precision
        return torch.float32 if device.type == "cpu" and precision == "auto" else product_dtype(device, precision)


def in_order(
    reader: Reader,
    ids: Tensor,
    turns: Sequence[Tensor],
    settings: GenerationConfig,
    numbers: Numbers,
    allowed: int,
    permit: Permit | None = None,
) -> Iterator[DenoisingState]:
    """Draw tokens of ``ids`` (B, T) turn by turn, at the MASKs that each of ``turns`` (B, T) marks; one state per turn.

    A token comes from the law of ``reader`` given the row so far, restricted to the first ``allowed`` tokens and to
    those that ``permit`` allows. Places of one turn are drawn without seeing each other.
    """
    canvas = Canvas(reader, ids, settings, numbers, allowed)
    for step, where in enumerate(turns, start=1):
        prediction = canvas.look(where)
        if permit is not None:
            prediction = prediction.within(permit.permitted(canvas.ids, where))
        canvas.settle(where, canvas.draw(prediction, where))
        yield DenoisingState(canvas.ids, canvas.confidence, step, len(turns))


def left_to_right(
    model: Transformer,
    block: Tensor,
    kept: int,
    settings: GenerationConfig,
    numbers: Numbers,
    allowed: int,
    permit: Permit | None = None,
    experts: Experts = ALONE,
) -> Iterator[DenoisingState]:
    """Write ``block`` (B, T) after its first ``kept`` tokens by the causal reading; one state per token.

    Keys and values are cached, so that a step costs a pass over one token. Settings about the order and the number of
    steps have no effect. ``experts``: what is asked beside the network. Raises UserError for controls that the model
    has not learnt; an autoregressive twin learns none.
    """
    model.eval()
    places = torch.arange(block.shape[1], device=block.device).expand_as(block)
    turns = [places == place for place in range(kept, block.shape[1])]
    reader = experts.join([CausalReader(each, settings) for each in (model, *experts.members)], causal=True)
    yield from in_order(reader, block, turns, settings, numbers, allowed, permit)
