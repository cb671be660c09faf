"""The learnt controls and their levels, as the settings of generation name them."""

from typing import get_args

from .generation_config import GenerationConfig

NAMES = ("sentence_length", "dialogue", "difficulty", "stage")
# Levels of each control from least to most; ``any``, the setting's first value, is none of them.
CONTROLS: dict[str, tuple[str, ...]] = {
    name: get_args(GenerationConfig.model_fields[name].annotation)[1:] for name in NAMES
}
CONTROL_ROWS = 1 + sum(map(len, CONTROLS.values()))  # of the learnt table: one for ``any``, which stays zero


def uncontrolled(settings: GenerationConfig) -> GenerationConfig:
    """The same settings without controls: how a model writes while it trains, and has not learnt all levels."""
    return settings.model_copy(update=dict.fromkeys(NAMES, "any"))
