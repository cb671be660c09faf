"""The causal reading as writing uses it: logits of the next token, with controls and guidance.

Shapes: B rows, T tokens, V text vocabulary, K controls.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import GenerationConfig
from ..data.tokenizer import BOS
from ..model.cache import KeyValueCache
from ..model.decoder import Decoder
from ..model.transformer import Transformer
from ..runtime import autocast, product_dtype
from .predictor import float_logits, wanted_controls


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
            controls = row_controls(self.model, self.levels, len(new), self.guided)
            self.decoder = Decoder(self.model, self._dtype(), controls)
        if not self.guided:
            return self.decoder.next_logits(new)
        guided, plain = self.decoder.next_logits(new.repeat(2, 1)).chunk(2)
        return plain + self.settings.guidance * (guided - plain)

    def _dtype(self) -> torch.dtype:
        """The type of products: a CPU multiplies one token per row faster in float32 unless asked for another type."""
        device, precision = self.model.device, self.settings.precision
        return torch.float32 if device.type == "cpu" and precision == "auto" else product_dtype(device, precision)


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
