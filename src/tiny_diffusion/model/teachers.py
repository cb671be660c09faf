"""Teachers: trained models whose laws a student learns beside the text.

Born-again networks (Furlanello et al. 2018) learn from one model like themselves; with several it is the distillation
of an ensemble (Hinton et al. 2015).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .head import Lesson
from .transformer import Transformer


@dataclass(frozen=True)
class Teachers:
    """Models in evaluation mode that read what the student reads; ``share``: of the target that is theirs.

    ``fingerprints`` tell the models' files apart, so that a resumed run can find the same ones. ``shelf``: other books
    than the student's that any of them has learnt from.
    """

    models: tuple[Transformer, ...]
    share: float
    fingerprints: tuple[str, ...] = ()
    shelf: tuple[str, ...] = ()

    @torch.no_grad()
    def lesson(self, states_of: Callable[[Transformer], Tensor]) -> Lesson:
        """What the teachers say at N places; ``states_of`` gives a model's hidden states there, (N, D)."""
        states = tuple(states_of(model) for model in self.models)
        pairs = zip(self.models, states, strict=True)
        tables = tuple(model.output[model.lowest :].to(state.dtype) for model, state in pairs)
        return Lesson(states, tables, self.share)
