"""Drawing in a given order, each token from those that may stand there given the tokens already drawn.

Shapes: B rows, T tokens, N places, V text vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..model.diffusion import MASK_ID
from ..model.transformer import Transformer
from .causal_reader import CausalReader
from .denoise import DenoisingState
from .draw import Numbers, choose, forbid, neighbours, penalise
from .predictor import Predictor

Permit = Callable[[Tensor, Tensor], Tensor]
"""A mask (N, V) of the tokens that may be drawn at the places ``where`` (B, T) of ``ids`` (B, T), at least one each."""


def in_order(
    reader: Predictor | CausalReader,
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
    reserved, confidence = reader.model.reserved, (ids != MASK_ID).float()
    for step, where in enumerate(turns, start=1):
        ids, confidence = ids.clone(), confidence.clone()
        with torch.inference_mode():
            logits = reader.logits(ids, where)
            if settings.repetition_penalty != 1:
                beside = neighbours(ids, where, settings.repetition_window)
                logits = penalise(logits, beside - reserved, settings.repetition_penalty)
            logits = forbid(logits, allowed)
            if permit is not None:
                logits = logits.masked_fill(~permit(ids, where).to(logits.device), -torch.inf)
            tokens, chances = choose(logits, settings, numbers, where.sum(1).tolist())
        ids[where], confidence[where] = tokens + reserved, chances
        yield DenoisingState(ids, confidence, step, len(turns))


def left_to_right(
    model: Transformer,
    block: Tensor,
    kept: int,
    settings: GenerationConfig,
    numbers: Numbers,
    allowed: int,
    permit: Permit | None = None,
) -> Iterator[DenoisingState]:
    """Write ``block`` (B, T) after its first ``kept`` tokens by the causal reading; one state per token.

    Keys and values are cached, so that a step costs a pass over one token. Settings about the order and the number of
    steps have no effect. Raises UserError for controls that the model has not learnt; an autoregressive twin learns
    none.
    """
    model.eval()
    places = torch.arange(block.shape[1], device=block.device).expand_as(block)
    turns = [places == place for place in range(kept, block.shape[1])]
    yield from in_order(CausalReader(model, settings), block, turns, settings, numbers, allowed, permit)
