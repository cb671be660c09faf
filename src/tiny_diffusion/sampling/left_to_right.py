"""The autoregressive twin's way to write: one token a step, each given those before it.

Shapes: B rows, T tokens, V text vocabulary.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..data.tokenizer import BOS
from ..model.cache import KeyValueCache
from ..model.transformer import Transformer
from ..runtime import autocast
from .controls import wanted_controls
from .denoise import DenoisingState
from .draw import Numbers, choose, forbid
from .predictor import float_logits
from .repetition import penalise


def left_to_right(
    model: Transformer, block: Tensor, kept: int, settings: GenerationConfig, numbers: Numbers, allowed: int
) -> Iterator[DenoisingState]:
    """Write ``block`` (B, T) behind its first ``kept`` tokens; a state after each.

    Keys and values of what stands already are kept, so that a step costs one token's pass. Of the settings that
    choose an order or a number of steps none applies; a repetition can only be of what stands before. Raises
    UserError for controls, which a causal model does not learn.
    """
    wanted_controls(model, settings)
    model.eval()
    cache = KeyValueCache(model.config.context)
    new = torch.cat((torch.full_like(block[:, :1], BOS), block[:, :kept]), dim=1)
    confidence = torch.zeros(block.shape, device=block.device)
    confidence[:, :kept] = 1
    for position in range(kept, block.shape[1]):
        before = block[:, max(0, position - settings.repetition_window) : position]
        tokens, chances = _next_tokens(model, new, before, cache, settings, numbers, allowed)
        new = tokens[:, None]
        block, confidence = block.clone(), confidence.clone()
        block[:, position], confidence[:, position] = tokens, chances
        yield DenoisingState(block, confidence, position - kept + 1, block.shape[1] - kept)


@torch.inference_mode()
def _next_tokens(
    model: Transformer,
    new: Tensor,
    before: Tensor,
    cache: KeyValueCache,
    settings: GenerationConfig,
    numbers: Numbers,
    allowed: int,
) -> tuple[Tensor, Tensor]:
    """The token (B,) drawn after the tokens in ``cache`` and ``new``, which are cached too, and its probability.

    ``before`` (B, W) are the tokens whose repetition is penalised.
    """
    with autocast(new.device, settings.precision):
        hidden = model.hidden(new, cache=cache)[:, -1]
    cache.length += new.shape[1]
    logits = float_logits(model, hidden)  # (B, V)
    if settings.repetition_penalty != 1:
        logits = penalise(logits, before - model.reserved, settings.repetition_penalty)
    drawn, chances = choose(forbid(logits, allowed), settings, numbers, [1] * len(new))
    return drawn + model.reserved, chances
