"""What the studies of many runs try."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from .base import Config

Schedule = Literal["described", "mixed", "reversed", "none", "last"]


class StudyConfig(Config):
    """Grids of the studies: the autoregressive twin's sweep, the crossover, the curriculum ablation."""

    seeds: int = Field(1, ge=1)
    """Runs per setting, with seeds from training.seed on."""
    epochs: tuple[int, ...] = Field((5, 10, 20, 40), min_length=1)
    """Epochs of training in compare, each a run with its own schedule."""
    sizes: tuple[str, ...] = ()
    """Presets of the model in compare; none: the config's own model."""
    ablation_epochs: int = Field(20, ge=1)
    """Compute of each schedule in ablation, in epochs of paragraphs."""
    schedules: tuple[Schedule, ...] = Field(get_args(Schedule), min_length=1)
    """Schedules in ablation, compared with the first of them. mixed: described, with a quarter of the rows at any mask
    rate. last: its last stage alone. none: paragraphs at any mask rate."""
    twin_epochs: tuple[int, ...] = Field((6, 12, 24), min_length=1)
    """Epochs of training in the twin's sweep."""
    twin_dropouts: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field((0.0, 0.1), min_length=1)
    """Dropout rates in the twin's sweep."""
    twin_weight_decays: tuple[Annotated[float, Field(ge=0)], ...] = Field((0.1,), min_length=1)
    """Weight decays in the twin's sweep."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("epochs", "twin_epochs"):
            value = getattr(self, name)
            if value[0] < 1 or any(b <= a for a, b in zip(value, value[1:], strict=False)):
                raise ValueError(f"{name}={list(value)} must rise from 1 or more, such as [5, 10, 20]")
        for name in ("sizes", "schedules", "twin_dropouts", "twin_weight_decays"):
            value = getattr(self, name)
            if len(set(value)) < len(value):
                raise ValueError(f"{name}={list(value)} names a value twice")
        return self
