"""How a causal reading writes: one token per step, each given those before it.

Shapes: B rows, T tokens, V text vocabulary.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..data.tokenizer import BOS
from ..model.transformer import Transformer
from .causal_reader import CausalReader
from .characters import WholeCharacters
from .denoise import DenoisingState
from .draw import Numbers, choose, forbid, penalise


def left_to_right(
    model: Transformer,
    block: Tensor,
    kept: int,
    settings: GenerationConfig,
    numbers: Numbers,
    allowed: int,
    whole: WholeCharacters | None = None,
) -> Iterator[DenoisingState]:
    """Write ``block`` (B, T) after its first ``kept`` tokens by the causal reading; one state per token.

    Keys and values are cached, so that a step costs a pass over one token. Settings about the order and the number of
    steps have no effect; the repetition penalty looks at earlier tokens only. ``whole``: keeps characters whole. Raises
    UserError for controls that the model has not learnt; an autoregressive twin learns none.
    """
    model.eval()
    reader = CausalReader(model, settings)
    new = torch.cat((torch.full_like(block[:, :1], BOS), block[:, :kept]), dim=1)
    confidence = torch.zeros(block.shape, device=block.device)
    confidence[:, :kept] = 1
    for position in range(kept, block.shape[1]):
        logits = reader.next_logits(new)
        if settings.repetition_penalty != 1:
            before = block[:, max(0, position - settings.repetition_window) : position]
            logits = penalise(logits, before - model.reserved, settings.repetition_penalty)
        logits = forbid(logits, allowed)
        if whole is None:
            drawn, chances = choose(logits, settings, numbers, [1] * len(block))
        else:
            drawn, chances = whole.choose_next(block, position, logits, settings, numbers)
        tokens = drawn + model.reserved
        new = tokens[:, None]
        block, confidence = block.clone(), confidence.clone()
        block[:, position], confidence[:, position] = tokens, chances
        yield DenoisingState(block, confidence, position - kept + 1, block.shape[1] - kept)
