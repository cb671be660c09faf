"""Drawing some tokens of a settled row again, where need be with another token than stood there.

Shapes: T tokens of the row, N places that must change, V text vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..data.tokenizer import BOS, MASK
from ..model.transformer import Transformer
from ..runtime import autocast, memory_errors
from ..sampling.denoise import DenoisingState
from ..sampling.draw import choose, forbid
from ..sampling.predictor import Predictor, float_logits

MEND = 8  # purpose of random draws, see runtime.seed_for

Fill = Callable[[Tensor, int, Generator], Iterator[DenoisingState]]
"""States of filling the MASKs of rows (B, T) behind so many settled tokens."""


@dataclass(frozen=True)
class Redrawing:
    """How a model draws again: as ``fill`` does, but for the tokens that are barred.

    ``permitted``: for some places the tokens (V,) that may stand there at all, which ``fill`` knows by itself.
    """

    model: Transformer
    settings: GenerationConfig
    allowed: int
    fill: Fill
    permitted: Mapping[int, Tensor] = field(default_factory=dict)

    def states(self, row: Tensor, barred: Mapping[int, set[int]], generator: Generator) -> Iterator[DenoisingState]:
        """States of filling the MASKs of ``row`` (1, T).

        The masked places among ``barred`` (of a causal model: the first masked place) come first, in one pass, each
        with a token that it does not bar: what many draws would give in the end, if the others were thrown away.
        """
        row, confidence = row.clone(), (row != MASK).float()
        masked = (row[0] == MASK).nonzero().flatten().tolist()
        places = [place for place in (masked[:1] if self.model.config.causal else masked) if place in barred]
        if places:
            with memory_errors():
                row[0, places], confidence[0, places] = self._others(row, places, barred, generator)
        if len(places) == len(masked):
            yield DenoisingState(row, confidence, 1, 1)
            return
        settled = next(place for place in masked if place not in places)
        for state in self.fill(row, settled, generator):
            drawn = state.confidence.clone()
            drawn[0, places] = confidence[0, places]
            yield replace(state, confidence=drawn)

    @torch.inference_mode()
    def _others(
        self, row: Tensor, places: list[int], barred: Mapping[int, set[int]], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N,) for ``places`` that are not barred there, and their probabilities (N,).

        Where every token that may stand is barred, nothing is left to try and none counts as barred.
        """
        reserved = self.model.reserved
        logits = forbid(self._logits(row, places), self.allowed)  # (N, V)
        for i, place in enumerate(places):
            if place in self.permitted:
                logits[i] = logits[i].masked_fill(~self.permitted[place].to(logits.device), -torch.inf)
            others = logits[i].clone()
            others[[token - reserved for token in barred[place]]] = -torch.inf
            if others.max() > -torch.inf:
                logits[i] = others
        tokens, chances = choose(logits, self.settings, generator)
        return tokens + reserved, chances

    def _logits(self, row: Tensor, places: list[int]) -> Tensor:
        """Float32 logits (N, V) at ``places``; a causal model's single place is told by what stands before."""
        if not self.model.config.causal:
            where = torch.zeros_like(row, dtype=torch.bool)
            where[0, places] = True
            return Predictor(self.model, self.settings, 0).logits(row, where)
        before = torch.cat((torch.full_like(row[:, :1], BOS), row[:, : places[0]]), dim=1)
        with autocast(row.device, self.settings.precision):
            hidden = self.model.hidden(before)[:, -1]
        return float_logits(self.model, hidden)
