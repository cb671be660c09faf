"""The controls that a text is written under, from the settings of generation."""

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..config.controls import CONTROLS
from ..errors import UserError
from ..model.transformer import Transformer


def wanted_controls(model: Transformer, settings: GenerationConfig) -> Tensor | None:
    """Levels (K,) of the controls that ``settings`` ask for, on the model's device; None when they ask for none.

    Raises UserError when the model did not learn them.
    """
    values = (settings.sentence_length, settings.dialogue, settings.difficulty, settings.stage)
    chosen = dict(zip(CONTROLS, values, strict=True))
    given = [f"generation.{name}={value}" for name, value in chosen.items() if value != "any"]
    if not given:
        return None
    if model.controls is None:
        raise UserError(f"this model was trained without controls, {given[0]} needs one with model.controls=true")
    levels = torch.tensor([0 if v == "any" else 1 + CONTROLS[name].index(v) for name, v in chosen.items()])
    levels = levels.to(model.device)
    if missing := model.controls.untrained(levels):
        name = list(CONTROLS)[missing[0]]
        raise UserError(
            f"generation.{name}={chosen[name]}: this model has not learnt it; its book has no such text, or none came "
            "before its training ended"
        )
    return levels
