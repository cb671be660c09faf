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
from .denoise import DenoisingState
from .draw import Numbers, choose, forbid, penalise


def left_to_right(
    model: Transformer, block: Tensor, kept: int, settings: GenerationConfig, numbers: Numbers, allowed: int
) -> Iterator[DenoisingState]:
    """Write ``block`` (B, T) after its first ``kept`` tokens by the causal reading; one state per token.

    Keys and values are cached, so that a step costs a pass over one token. Settings about the order and the number of
    steps have no effect; the repetition penalty looks at earlier tokens only. Raises UserError for controls that the
    model has not learnt; an autoregressive twin learns none.
    """
    model.eval()
    reader = CausalReader(model, settings)
    new = torch.cat((torch.full_like(block[:, :1], BOS), block[:, :kept]), dim=1)
    confidence = torch.zeros(block.shape, device=block.device)
    confidence[:, :kept] = 1
    for position in range(kept, block.shape[1]):
        before = block[:, max(0, position - settings.repetition_window) : position]
        tokens, chances = _next_tokens(reader.next_logits(new), before, settings, numbers, allowed, model.reserved)
        new = tokens[:, None]
        block, confidence = block.clone(), confidence.clone()
        block[:, position], confidence[:, position] = tokens, chances
        yield DenoisingState(block, confidence, position - kept + 1, block.shape[1] - kept)


@torch.inference_mode()
def _next_tokens(
    logits: Tensor, before: Tensor, settings: GenerationConfig, numbers: Numbers, allowed: int, reserved: int
) -> tuple[Tensor, Tensor]:
    """Tokens (B,) drawn from ``logits`` (B, V), and their probabilities (B,).

    ``before`` (B, W): the tokens whose repetition is penalised.
    """
    if settings.repetition_penalty != 1:
        logits = penalise(logits, before - reserved, settings.repetition_penalty)
    drawn, chances = choose(forbid(logits, allowed), settings, numbers, [1] * len(logits))
    return drawn + reserved, chances
