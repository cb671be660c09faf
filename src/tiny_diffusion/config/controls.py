"""The learnt controls: settings that steer what is written, and their levels."""

from typing import Literal, TypeVar, get_args

from pydantic import Field

from .base import Config

MOST = 1e6
"""Largest factor or divisor of logits: beyond it they leave the range of float32."""


class Controls(Config):
    """Wishes about the text. Only models trained with ``model.controls`` follow them."""

    sentence_length: Literal["any", "short", "medium", "long"] = "any"
    """Length of the sentences (for models trained with model.controls)."""
    dialogue: Literal["any", "none", "some", "much"] = "any"
    """Amount of speech (for models trained with model.controls)."""
    difficulty: Literal["any", "easy", "medium", "hard"] = "any"
    """Difficulty of the sentences (for models trained with model.controls)."""
    stage: Literal["any", "sentences", "pairs", "paragraphs"] = "any"
    """Write like this stage of the curriculum (for models trained with model.controls)."""
    guidance: float = Field(2.0, ge=0, le=MOST)
    """Strength of the controls: 1 as learnt, 0 none; any value but 1 doubles the time."""


# Levels of each control from least to most. The setting's first value, ``any``, is no level.
CONTROLS: dict[str, tuple[str, ...]] = {
    name: get_args(field.annotation)[1:] for name, field in Controls.model_fields.items() if name != "guidance"
}
CONTROL_ROWS = 1 + sum(map(len, CONTROLS.values()))  # of the learnt table: one for ``any``, which stays zero

_Settings = TypeVar("_Settings", bound=Controls)


def uncontrolled(settings: _Settings) -> _Settings:
    """The same settings without controls, for a model in training, which has not learnt all levels yet."""
    return settings.model_copy(update=dict.fromkeys(CONTROLS, "any"))
